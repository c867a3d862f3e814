"""An end to every operation: drivers have timeouts for silence, but a server that trickles defeats those.

The operation runs on a thread of its own that is left behind when its time is over. It may still succeed later, which
harms nothing: files are named by their content.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ..errors import MediaUnavailable
from .base import Buffer, Media, Usage
from .wrapping import Wrapper, length_of

SLOWEST_BYTES_PER_SECOND: Final = 64 << 10
"""A transfer gets a second more for each of these."""
_UNKNOWN_BYTES: Final = 16 << 20

Answer = TypeVar("Answer")


class Timed(Wrapper):
    """``seconds`` for an operation, and more for what it transfers. Raises MediaUnavailable when they are over."""

    def __init__(self, inner: Media, *, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._pool = _Pool()

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        self._run(f"write “{name}”", lambda: self.inner.put(name, pieces), length_of(pieces))

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        count = _UNKNOWN_BYTES if length is None else length
        return self._run(f"read “{name}”", lambda: self.inner.get(name, offset=offset, length=length), count)

    def size(self, name: str) -> int:
        return self._run(f"look up “{name}”", lambda: self.inner.size(name))

    def exists(self, name: str) -> bool:
        return self._run(f"look up “{name}”", lambda: self.inner.exists(name))

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        return iter(self._run(f"list “{prefix}”", lambda: list(self.inner.list(prefix)), _UNKNOWN_BYTES))

    def delete(self, name: str) -> None:
        self._run(f"delete “{name}”", lambda: self.inner.delete(name))

    def usage(self) -> Usage:
        return self._run("measure", self.inner.usage)

    def _run(self, action: str, work: Callable[[], Answer], transferred: int = 0) -> Answer:
        seconds = self._seconds + transferred / SLOWEST_BYTES_PER_SECOND
        order = self._pool.submit(work)
        if not order.is_done.wait(seconds):
            raise MediaUnavailable(f"{self} did not {action} within {seconds:.0f} seconds.")
        if order.error is not None:
            raise order.error
        answer: Answer = order.answer
        return answer


@dataclass(slots=True, kw_only=True)
class _Order:
    work: Callable[[], Any]
    is_done: threading.Event = field(default_factory=threading.Event)
    answer: Any = None
    error: BaseException | None = None


class _Pool:
    """Threads that wait for work, as many as were ever busy at once; of this process only."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[_Order]] = []

    def submit(self, work: Callable[[], Any]) -> _Order:
        if self._pid != os.getpid():
            self._start()
        order = _Order(work=work)
        with self._lock:
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = queue.SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), name="medium", daemon=True).start()
        inbox.put(order)
        return order

    def _serve(self, inbox: queue.SimpleQueue[_Order]) -> None:
        while True:
            order = inbox.get()
            try:
                order.answer = order.work()
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                order.error = error
            with self._lock:
                self._idle.append(inbox)
            order.is_done.set()
            del order
