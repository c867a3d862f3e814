"""Forking workers that are safe to have: they die with their parent, hold none of its descriptors, and never unwind.

The parent may have threads and open connections (it may be a job of a queue worker). The child therefore runs nothing
of the parent's but the function it was forked for: other objects are frozen and never collected, signals are the
system's again, inherited descriptors are closed, and it ends by ``_exit`` whatever happens.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_libc: Final = ctypes.CDLL(None, use_errno=True)
_YOUNG_OBJECTS: Final = 50_000
_ENDING_SECONDS: Final = 0.5
"""No thread takes longer to end; one that runs that long is a library's own."""


class WorkerProcess:
    """A forked child. ``wait`` reaps it; the object must be waited for exactly once."""

    __slots__ = ("_status", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it), or None while it runs."""
        if self._status is None:
            self._reap(os.WNOHANG)
        return self._status

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        if self._status is None:
            self._reap(0)
        return self._status or 0

    def _reap(self, options: int) -> None:
        try:
            pid, status = os.waitpid(self.pid, options)
        except ChildProcessError:
            self._status = 0
            return
        if pid:
            self._status = os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """SIGKILL; no error if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def fork_worker(run: Callable[[], None], *, keep_fds: frozenset[int]) -> WorkerProcess:
    """Run ``run`` in a forked child that keeps only ``keep_fds`` and the standard streams open.

    The child ends with code 0 when ``run`` returns and 1 when it raises; ``run`` reports errors itself.
    """
    parent = os.getpid()
    let_threads_end()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return WorkerProcess(pid)
    code = 1
    try:
        _settle(parent, keep_fds)
        run()
        code = 0
    finally:
        os._exit(code)


def let_threads_end() -> None:
    """Wait for threads that are over for Python, but not yet for the libraries they used.

    A thread that was joined still runs what libraries do at its end. OpenSSL takes a lock of the whole process there:
    forked at that moment, the child would have that lock for ever, and its first new thread would wait for it.
    """
    ends_at = time.monotonic() + _ENDING_SECONDS
    while _is_a_thread_ending() and time.monotonic() < ends_at:
        time.sleep(0.001)


def _is_a_thread_ending() -> bool:
    """Whether a thread that Python does not know runs. Those that libraries keep for later sleep."""
    known = {thread.native_id for thread in threading.enumerate()}
    for name in os.listdir("/proc/self/task"):
        if int(name) in known:
            continue
        try:
            with open(f"/proc/self/task/{name}/stat", "rb") as file:
                state = file.read().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if state in (b"R", b"D"):
            return True
    return False


def _settle(parent: int, keep_fds: frozenset[int]) -> None:
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 100)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    faulthandler.enable(file=2)
    _close_others(keep_fds)
    keep_buffers_in_heap()


def _close_others(keep_fds: frozenset[int]) -> None:
    """Their numbers stay taken, by ``/dev/null``: an object of the parent's that still names one, such as a mapped
    file, would otherwise read or close what the child opens under it."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd != nothing and fd not in keep_fds and _is_open(fd):
            os.dup2(nothing, fd, inheritable=False)
    os.close(nothing)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def keep_buffers_in_heap() -> None:
    """Let malloc serve MiB-sized buffers from the heap: mapping and unmapping each costs more than using it."""
    _libc.mallopt(_M_MMAP_THRESHOLD, 64 << 20)
    _libc.mallopt(_M_TRIM_THRESHOLD, 256 << 20)
