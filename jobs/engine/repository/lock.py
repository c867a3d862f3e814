"""restic's lock protocol (design document, "Locks"): any number of shared locks, or one exclusive.

A lock is a small file; whoever wants one looks for conflicting locks, writes its own, waits 200 ms and looks again. It
is written anew every 5 minutes, and stale after 30, or when its process is known to be dead. Reading a repository
needs no lock; appending needs a shared one, removing an exclusive one. A process that holds a lock must survive SIGHUP.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from ..errors import DeletionRefused, EngineError, MediaUnavailable, RepositoryLocked
from ..events import Control, FreeRun
from ..ids import FileId
from .gojson import go_time
from .keys import user_name
from .layout import FileKind, file_name
from .lock_file import STALE_SECONDS, LockInfo, list_locks, ours, ours_lock
from .repository import Repository

logger = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.2
REFRESH_SECONDS: Final = 300.0
LOST_SECONDS: Final = STALE_SECONDS - 1.5 * REFRESH_SECONDS
"""A lock that could not be refreshed for so long is given up before others may take it for stale."""

_RETRY_REFRESH_SECONDS: Final = 30.0
_RETRY_ACQUIRE_SECONDS: Final = 1.0


def survive_liveness_probe() -> None:
    """Stock restic asks whether a lock's process lives by sending it SIGHUP, which by default would end it.

    A handler that does nothing is set where none is, for good: the probe may come just after the lock is gone. Not
    "ignore", which programs started from here would inherit. Signals can only be set on the main thread: whoever
    takes a lock on another one calls this before.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _do_nothing)


def _do_nothing(_signal: int, _frame: FrameType | None) -> None:
    return None


class RepositoryLock:
    """One lock of this process. ``place``, ``settle`` and ``start_refreshing`` are apart so that a copy can load its
    index during the wait and fork its workers before a thread exists; ``acquire`` does the first two in one go.
    """

    def __init__(self, repository: Repository, *, exclusive: bool) -> None:
        self._repository = repository
        self._exclusive = exclusive
        self._id: FileId | None = None
        self._placed_at = 0.0
        self._written_ns = 0
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost: EngineError | None = None
        self.cleared: list[LockInfo] = []
        """Stale locks of either kind that were removed on the way: a killed job's must not hinder stock restic."""

    @property
    def id(self) -> FileId | None:
        """The lock file now in the repository; it changes with every refresh. None = not held."""
        return self._id

    def acquire(self, *, wait_seconds: float = 0.0, control: Control | None = None) -> None:
        """Place and settle; tries again for up to ``wait_seconds``. Raises RepositoryLocked, Stopped."""
        clock = self._repository.clock
        control = control or FreeRun()
        until = clock.monotonic() + wait_seconds
        while True:
            control.check()
            try:
                self.place()
                self.settle()
                return
            except RepositoryLocked:
                if clock.monotonic() >= until:
                    raise
            clock.sleep(min(_RETRY_ACQUIRE_SECONDS, max(0.0, until - clock.monotonic())))

    def place(self) -> None:
        """Write the lock unless another conflicts; stale ones are removed. Raises RepositoryLocked."""
        survive_liveness_probe()
        self._refuse_conflicts()
        self._id = self._write()
        self._placed_at = self._repository.clock.monotonic()

    def settle(self) -> None:
        """Wait for the rest of 200 ms since ``place`` and look again. Raises RepositoryLocked, holding nothing."""
        clock = self._repository.clock
        rest = SETTLE_SECONDS - (clock.monotonic() - self._placed_at)
        if rest > 0:
            clock.sleep(rest)
        try:
            self._refuse_conflicts()
        except EngineError:
            self.release()
            raise

    def settle_if_due(self) -> bool:
        """As ``settle``, for who has something harmless to do meanwhile; False = the wait is not over, look later.

        Reading is harmless: whoever places an exclusive lock waits as long before it removes anything, and sees ours.
        """
        if self._repository.clock.monotonic() - self._placed_at < SETTLE_SECONDS:
            return False
        self.settle()
        return True

    def start_refreshing(self, *, every_seconds: float = REFRESH_SECONDS) -> None:
        """Keep the lock fresh on a thread of its own until ``release``. Once only; after workers were forked."""
        self._thread = threading.Thread(
            target=self._refresh_loop, args=(every_seconds,), name="repository-lock", daemon=True
        )
        self._thread.start()

    def refresh(self) -> None:
        """Write the lock anew, then remove the old file. Raises RepositoryLocked if somebody removed it."""
        with self._mutex:
            old = self._id
            if old is None:
                return
            if not self._repository.media.exists(file_name(FileKind.LOCK, old)):
                raise RepositoryLocked("The lock of this operation was removed by somebody else.")
            self._id = self._write()
            self._remove(old)

    def check(self) -> None:
        """Raise if the lock was lost: removed by others, or not refreshed in time. Call before committing.

        After the machine slept, a lock that nobody removed meanwhile is refreshed and goes on.
        """
        if self._lost is not None:
            raise self._lost
        if self._id is not None and self._age_seconds() > LOST_SECONDS:
            self.refresh()

    def release(self) -> None:
        """End the thread and remove the lock. Idempotent; a forked child does nothing."""
        if os.getpid() != self._pid:
            return
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._mutex:
            if self._id is not None:
                file_id, self._id = self._id, None
                self._remove(file_id)

    def _refuse_conflicts(self) -> None:
        for lock in list_locks(self._repository):
            if lock.id == self._id:
                continue
            if lock.verdict.is_stale:
                self._repository.delete_file(FileKind.LOCK, lock.id)
                self.cleared.append(lock)
                continue
            if not (self._exclusive or lock.exclusive):
                continue
            raise RepositoryLocked(
                f"The repository is locked {lock}, for {max(0, round(lock.age_seconds))} s since its last sign of life."
            )

    def _age_seconds(self) -> float:
        """Since the lock was last written, by the wall clock, which goes on while the machine sleeps."""
        return (self._repository.clock.now_ns() - self._written_ns) / 1e9

    def _write(self) -> FileId:
        now_ns = self._repository.clock.now_ns()
        value: dict[str, object] = {
            "time": go_time(now_ns),
            "exclusive": self._exclusive,
            "hostname": socket.gethostname(),
            "username": user_name(),
            "pid": os.getpid(),
        }
        value.update((name, number) for name, number in (("uid", os.getuid()), ("gid", os.getgid())) if number)
        text = json.dumps(value, separators=(",", ":")).encode()
        file_id = self._repository.write_file(FileKind.LOCK, text)
        with ours_lock:
            ours.add(file_id)
        self._written_ns = now_ns
        return file_id

    def _remove(self, file_id: FileId) -> None:
        """Where not even locks may be deleted, it is stale in half an hour: nothing fails for that."""
        try:
            self._repository.delete_file(FileKind.LOCK, file_id)
        except DeletionRefused as error:
            logger.info("The lock stays until it is stale: %s", error)
        with ours_lock:
            ours.discard(file_id)

    def _refresh_loop(self, every_seconds: float) -> None:
        wait = every_seconds
        while not self._stop.wait(wait):
            try:
                self.refresh()
                wait = every_seconds
            except RepositoryLocked as error:
                self._lost = error
                return
            except EngineError as error:
                logger.warning("The repository lock cannot be refreshed: %s", error)
                wait = min(_RETRY_REFRESH_SECONDS, every_seconds)
                if self._age_seconds() > LOST_SECONDS:
                    self._lost = MediaUnavailable("The repository lock could not be refreshed in time and is given up.")
                    return


@contextmanager
def locked(
    repository: Repository, *, exclusive: bool, wait_seconds: float = 0.0, control: Control | None = None
) -> Iterator[RepositoryLock]:
    """Hold a lock, kept fresh, for the length of the context. Raises RepositoryLocked."""
    lock = RepositoryLock(repository, exclusive=exclusive)
    try:
        lock.acquire(wait_seconds=wait_seconds, control=control)
        lock.start_refreshing()
        yield lock
    finally:
        lock.release()
