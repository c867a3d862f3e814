"""Child processes that never outlive their parent: how one is started, asked to stop, and made to.

Linux only: ``PR_SET_PDEATHSIG`` sends a signal when the *thread* that started the child ends, so start children from
the main thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group a child runs as."""

    name: str
    uid: int
    gid: int


def dies_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """For ``preexec_fn``: the kernel sends the signal when the parent is gone, however it went.

    It must run after the change of user (subprocess does that), because a change of user clears the setting.
    """
    parent = os.getpid()

    def arrange() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    death_signal: signal.Signals = signal.SIGTERM,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own: Ctrl-C on the terminal reaches only the parent.

    Its output is appended to ``log``; ``keep_open`` are file descriptors it inherits. Raises OSError.
    """
    with open(log, "ab", opener=_private) as output:
        return subprocess.Popen(
            [os.fspath(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment) if environment is not None else None,
            start_new_session=True,
            pass_fds=keep_open,
            preexec_fn=dies_with_parent(death_signal),  # noqa: PLW1509 - only one system call
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=() if account else None,
        )


def stop(child: subprocess.Popen[bytes], *, stop_signal: signal.Signals, timeout_seconds: float) -> bool:
    """Ask, wait, and after the timeout kill the whole session. True when it ended by itself. Idempotent."""
    if child.poll() is None:
        child.send_signal(stop_signal)
    try:
        child.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        kill_session(child)
        return False
    return True


def kill_session(child: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the child and whatever it started in its session."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def python(*arguments: str) -> list[str]:
    """The command that runs this very interpreter."""
    return [sys.executable, *arguments]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
