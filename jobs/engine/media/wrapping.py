"""What wraps any medium: everything passes through, and a wrapper overrides what it is about.

From the outside in: ``retrying`` (tries again), ``limited`` (so many transfers at once), ``throttled`` (bandwidth),
``timed`` (an end to waiting), ``checked`` (what was read is whole), the driver. Composed by ``layers``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from .base import Buffer, Media, TestReport, Usage

DEFAULT_TRANSFERS: Final = 2
"""Of a medium that is not limited: one waits for the medium while the other is prepared."""


@runtime_checkable
class Parallel(Protocol):
    """A medium that says how many transfers at once it is worth."""

    @property
    def transfers(self) -> int: ...


def transfers_of(media: Media) -> int:
    """How many puts and gets at once make use of a medium."""
    return media.transfers if isinstance(media, Parallel) else DEFAULT_TRANSFERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How parts of files are best read: ``most_bytes`` at once, and rather ``gap_bytes`` for nothing than ask again."""

    most_bytes: int
    gap_bytes: int


_NEAR: Final = Reach(most_bytes=4 << 20, gap_bytes=64 << 10)
_FAR: Final = Reach(most_bytes=24 << 20, gap_bytes=1 << 20)
"""A pack of ours in one request: each costs a way there and back, often money, and with some servers a look at the
whole file."""


def is_far(media: Media) -> bool:
    """Whether several transfers at once are worth it, as behind a network."""
    return transfers_of(media) > DEFAULT_TRANSFERS


def reach_of(media: Media) -> Reach:
    """How parts of its files are best read."""
    return _FAR if is_far(media) else _NEAR


@runtime_checkable
class NearReader(Protocol):
    """A medium that fetches what lies near, too: for what is asked for in pieces, such as trees."""

    def get_near(self, name: str, *, offset: int, length: int, is_fresh: bool = False) -> bytes: ...


def read_near(media: Media, name: str, *, offset: int, length: int, is_fresh: bool = False) -> bytes:
    """As ``get``. ``is_fresh``: what was kept of it was no good, ask the medium itself."""
    if isinstance(media, NearReader):
        return media.get_near(name, offset=offset, length=length, is_fresh=is_fresh)
    return media.get(name, offset=offset, length=length)


def length_of(pieces: Sequence[Buffer]) -> int:
    """Bytes of all pieces."""
    return sum([memoryview(piece).nbytes for piece in pieces])


class Wrapper:
    """A medium around another. As thread-safe as that, and as safe after ``fork``."""

    def __init__(self, inner: Media) -> None:
        self.inner = inner

    @property
    def transfers(self) -> int:
        return transfers_of(self.inner)

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        self.inner.put(name, pieces)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return self.inner.get(name, offset=offset, length=length)

    def size(self, name: str) -> int:
        return self.inner.size(name)

    def exists(self, name: str) -> bool:
        return self.inner.exists(name)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        return self.inner.list(prefix)

    def delete(self, name: str) -> None:
        self.inner.delete(name)

    def usage(self) -> Usage:
        return self.inner.usage()

    def test(self) -> TestReport:
        """Of the driver itself: a Test is to tell what is wrong, not to wait until it is right."""
        return self.inner.test()

    def close(self) -> None:
        self.inner.close()

    def __str__(self) -> str:
        return str(self.inner)
