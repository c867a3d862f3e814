"""Media for tests of what wraps a medium: in memory, slow, or failing on purpose. Fakes: no server obeys a test."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from jobs.engine.errors import EngineError, FileMissing, MediaUnavailable
from jobs.engine.media.base import Buffer, Media, TestReport, Usage
from jobs.engine.media.wrapping import Wrapper


class HeldClock:
    """A clock that only sleeping moves. Thread-safe."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        return int(self.seconds * 10**9)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds
            self.slept.append(seconds)


class MemoryMedia:
    """Files in a dict. ``answers`` are errors, or answers of ``get``, used up one by one before anything works."""

    def __init__(self, *answers: EngineError | bytes) -> None:
        self.files: dict[str, bytes] = {}
        self.answers = list(answers)
        self.calls: list[str] = []

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        self._fail("put")
        self.files[name] = b"".join(pieces)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        told = self._fail("get")
        if told is not None:
            return told
        if name not in self.files:
            raise FileMissing("There is no such file.", name=name)
        return self.files[name][offset : None if length is None else offset + length]

    def size(self, name: str) -> int:
        if name not in self.files:
            raise FileMissing("There is no such file.", name=name)
        return len(self.files[name])

    def exists(self, name: str) -> bool:
        self._fail("exists")
        return name in self.files

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        for number, (name, data) in enumerate(self.files.items()):
            if number == 1:
                self._fail("list")
            yield name, len(data)

    def delete(self, name: str) -> None:
        self._fail("delete")
        self.files.pop(name, None)

    def usage(self) -> Usage:
        return Usage(total_bytes=None, free_bytes=None)

    def test(self) -> TestReport:
        return TestReport(steps=())

    def close(self) -> None:
        return None

    def __str__(self) -> str:
        return "memory"

    def _fail(self, call: str) -> bytes | None:
        self.calls.append(call)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, EngineError):
            raise answer
        return answer


class SlowMedia(Wrapper):
    """Every put and get takes at least so long, as over a network. Counts how many were under way at once."""

    def __init__(self, inner: Media, *, seconds: float) -> None:
        super().__init__(inner)
        self.seconds = seconds
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        self._slowly(lambda: self.inner.put(name, pieces))

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        answer: list[bytes] = []
        self._slowly(lambda: answer.append(self.inner.get(name, offset=offset, length=length)))
        return answer[0]

    def _slowly(self, work: Callable[[], object]) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            time.sleep(self.seconds)
            work()
        finally:
            with self._lock:
                self._now -= 1


class FlakyMedia(Wrapper):
    """A part of all operations fails: before it is done, after it was done, or with half of the answer."""

    def __init__(self, inner: Media, *, share: float, seed: int) -> None:
        super().__init__(inner)
        self._share = share
        self._random = random.Random(seed)
        self.failures = 0

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        how = self._draw()
        if how == "before":
            raise MediaUnavailable("The connection was refused.")
        self.inner.put(name, pieces)
        if how:
            raise MediaUnavailable("The connection was cut.")

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        how = self._draw()
        if how == "before":
            raise MediaUnavailable("The connection was refused.")
        data = self.inner.get(name, offset=offset, length=length)
        return data[: len(data) // 2] if how else data

    def exists(self, name: str) -> bool:
        if self._draw():
            raise MediaUnavailable("The server answered 503.")
        return self.inner.exists(name)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        if self._draw():
            raise MediaUnavailable("The server answered 500.")
        return self.inner.list(prefix)

    def delete(self, name: str) -> None:
        if self._draw():
            raise MediaUnavailable("The server answered 502.")
        self.inner.delete(name)

    def _draw(self) -> str:
        if self._random.random() >= self._share:
            return ""
        self.failures += 1
        return self._random.choice(("before", "after"))
