"""Which names a recovery asks for, where each goes, and in which pieces a file server takes them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ...ndmp.values import UNKNOWN, WantedName
from ..dump_chain import Wanted
from ..restoring.selection import split_path

BLOCK_BYTES: Final = 2_048
"""What is read besides a file's content, at least: its header, and to the end of its last block."""
_NAMES_AT_ONCE: Final = 1_000
_NAMES_OF_A_WHOLE_READING: Final = 20_000
"""Without direct access each piece reads the whole image, so pieces are large."""
_BYTES_AT_ONCE: Final = 1 << 20
_BYTES_OF_A_WHOLE_READING: Final = 8 << 20
_COMMAND_LINE_BYTES: Final = 1_600
"""Of names. Amanda's ndmjob hands a command line of at most 4,096 bytes to a shell, the environment among it."""
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where paths go: below ``target``, None = where they came from, without the leading ``strip_prefix``."""

    target: bytes | None = None
    strip_prefix: bytes = b""

    def of(self, path: bytes) -> bytes:
        """The destination of a live path. Raises InvalidOptions for one that is not below ``strip_prefix``."""
        if self.target is None:
            return path
        parts, prefix = split_path(path), split_path(self.strip_prefix)
        rest = parts[len(prefix) :] if parts[: len(prefix)] == prefix else parts
        return b"/" + b"/".join([*split_path(self.target), *rest])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What one recovery takes: so many names, and so many bytes of them."""

    names: int
    bytes: int

    @classmethod
    def of(cls, *, product: str, at_once: int | None, is_direct: bool) -> Limit:
        """``product``: what the file server calls itself; ``at_once``: what its profile allows, None = any number."""
        names = _NAMES_AT_ONCE if is_direct else _NAMES_OF_A_WHOLE_READING
        size = _BYTES_AT_ONCE if is_direct else _BYTES_OF_A_WHOLE_READING
        if product.startswith("NDMJOB"):
            size = _COMMAND_LINE_BYTES
        return cls(names=min(names, at_once or names), bytes=size)


class Piece(NamedTuple):
    """The names of one recovery, and what they are."""

    wanted: tuple[Wanted, ...]
    names: tuple[WantedName, ...]


def is_folder(entry: Wanted) -> bool:
    return entry.kind == "d"


def in_order(wanted: Sequence[Wanted], *, is_direct: bool) -> Iterator[list[Wanted]]:
    """Names in rounds. With direct access folders come last, so that they keep their times.

    Folders in which nothing is wanted come with the files: they would change the times of those above them. Inside a
    round names are in the order of the image, and the names of one file together, so that it stays one.
    """
    holding = {entry.path.rpartition(b"/")[0] for entry in wanted}
    late = [entry for entry in wanted if is_direct and is_folder(entry) and entry.path in holding]
    early = [entry for entry in wanted if not (is_direct and is_folder(entry) and entry.path in holding)]
    for chosen in (early, late):
        if chosen:
            yield sorted(chosen, key=lambda entry: (entry.fh_info or 0, entry.node or 0, entry.path))


def pieces(wanted: Iterable[Wanted], *, content: bytes, places: Places, limit: Limit) -> Iterator[Piece]:
    """The names of each recovery. One file's names are never torn apart, whatever the limit."""
    held: list[Wanted] = []
    held_bytes = 0
    for names in _files(wanted):
        size = sum(_length(entry, places.of(_live(content, entry.path))) for entry in names)
        if held and (len(held) + len(names) > limit.names or held_bytes + size > limit.bytes):
            yield _piece(held, content, places)
            held, held_bytes = [], 0
        held += names
        held_bytes += size
    if held:
        yield _piece(held, content, places)


def _files(wanted: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    """Neighbours that are names of one file."""
    names: list[Wanted] = []
    for entry in wanted:
        if names and (entry.node is None or entry.node != names[0].node):
            yield names
            names = []
        names.append(entry)
    if names:
        yield names


def _piece(wanted: Sequence[Wanted], content: bytes, places: Places) -> Piece:
    names = tuple(
        WantedName(
            original_path=entry.original,
            destination_path=places.of(_live(content, entry.path)),
            node=UNKNOWN if entry.node is None else entry.node,
            fh_info=UNKNOWN if entry.fh_info is None else entry.fh_info,
        )
        for entry in wanted
    )
    return Piece(tuple(wanted), names)


def _live(content: bytes, path: bytes) -> bytes:
    return content.rstrip(b"/") + b"/" + path


def _length(entry: Wanted, destination: bytes) -> int:
    """Bytes on a command line, at most: a shell may see four for one that is not plain."""
    text = entry.original + destination
    return 24 + sum(1 if byte in _PLAIN else 4 for byte in text)
