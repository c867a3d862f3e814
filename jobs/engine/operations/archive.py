"""Chosen paths of a backup copy or a snapshot as one archive, streamed: nothing is kept on disk, memory is bounded.

What an archive cannot hold (sockets; devices in ZIP) or what cannot be read is left out and named in a
last entry, ``NOT-IN-THIS-ARCHIVE.txt``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Final, Protocol

import zstandard

from ..plan import StoredPath
from ..repository.tree import Node, NodeKind
from .archiving import tar_stream, zip_stream
from .archiving.contents import Member
from .archiving.holding import Holding, LeaveOut
from .restoring.selection import split_path

LEFT_OUT: Final = b"NOT-IN-THIS-ARCHIVE.txt"
_PIECE_BYTES: Final = 256 << 10
"""Small writes are joined to pieces of about this size."""
_NAMED: Final = 10_000
"""So many paths are named at the end; more are counted."""
_ZSTD_LEVEL: Final = 3


class ArchiveFormat(StrEnum):
    """The value is the file name's ending."""

    ZIP = "zip"
    TAR = "tar"
    TAR_ZSTD = "tar.zst"

    @property
    def content_type(self) -> str:
        return {"zip": "application/zip", "tar": "application/x-tar", "tar.zst": "application/zstd"}[self.value]


class _Writer(Protocol):
    def member(self, name: bytes, member: Member) -> Iterator[bytes]: ...
    def finish(self) -> Iterator[bytes]: ...


def stream(
    holding: Holding,
    paths: Sequence[StoredPath],
    archive_format: ArchiveFormat,
    *,
    on_problem: Callable[[StoredPath, str], None] | None = None,
) -> Iterator[bytes]:
    """The archive of ``paths`` (``b"/"`` = everything) with all below them, in pieces of some 100 KiB.

    Names are relative to the deepest directory that holds all paths. Raises NotInCopy, InvalidOptions before the first
    piece; RepositoryDamaged or SourceUnavailable in the middle of a large file, MediaUnavailable: the archive is then
    cut off, on purpose.
    ``on_problem`` is told of every path left out.
    """
    chosen = _outermost(paths)
    for path in chosen:
        holding.node(path)
    pieces = _joined(_archive(holding, chosen, archive_format, on_problem))
    return _compressed(pieces) if archive_format is ArchiveFormat.TAR_ZSTD else pieces


def _archive(
    holding: Holding,
    paths: list[StoredPath],
    archive_format: ArchiveFormat,
    on_problem: Callable[[StoredPath, str], None] | None,
) -> Iterator[bytes]:
    writer: _Writer
    if archive_format is ArchiveFormat.ZIP:
        writer, supports = zip_stream.ZipStream(), zip_stream.supports
    else:
        writer, supports = tar_stream.TarStream(), tar_stream.supports
    left_out: list[tuple[StoredPath, str]] = []
    count = 0

    def leave_out(path: StoredPath, why: str) -> None:
        nonlocal count
        count += 1
        if count <= _NAMED:
            left_out.append((path, why))
        if on_problem is not None:
            on_problem(path, why)

    def wanted() -> Iterator[tuple[StoredPath, Node]]:
        for chosen in paths:
            for path, node in _with_itself(holding, chosen, leave_out):
                if supports(node):
                    yield path, node
                else:
                    leave_out(path, f"a {node.kind} cannot be in a {archive_format.value} archive")

    prefix = len(_common_directory(paths))
    for member in holding.members(wanted(), leave_out):
        yield from writer.member(member.path[prefix:].lstrip(b"/"), member)
    if count:
        yield from writer.member(LEFT_OUT, _note(left_out, count))
    yield from writer.finish()


def _with_itself(holding: Holding, path: StoredPath, leave_out: LeaveOut) -> Iterator[tuple[StoredPath, Node]]:
    """A chosen directory is an entry, too, but for the root."""
    node = holding.node(path)
    if node is not None and node.subtree is not None:
        yield path, node
    yield from holding.walk(path, leave_out)


def _outermost(paths: Sequence[StoredPath]) -> list[StoredPath]:
    """Normalised, sorted, without paths that are below another one; nothing chosen = everything."""
    kept: list[tuple[bytes, ...]] = []
    for parts in sorted({split_path(path) for path in paths} or {()}):
        if not kept or parts[: len(kept[-1])] != kept[-1]:
            kept.append(parts)
    return [StoredPath(b"".join(b"/" + part for part in parts)) for parts in kept]


def _common_directory(paths: list[StoredPath]) -> bytes:
    """The deepest directory that holds every path."""
    above = [path.split(b"/")[:-1] for path in paths]
    common = above[0]
    for parts in above[1:]:
        length = next((n for n, (a, b) in enumerate(zip(common, parts, strict=False)) if a != b), None)
        common = common[: min(len(common), len(parts)) if length is None else length]
    return b"/".join(common)


def _note(left_out: list[tuple[StoredPath, str]], count: int) -> Member:
    lines = [f"{path.decode('utf-8', 'backslashreplace')}: {why}" for path, why in left_out]
    if count > len(left_out):
        lines.append(f"and {count - len(left_out):,} more")
    text = ("\n".join(["These could not be put into this archive:", "", *lines]) + "\n").encode()
    return Member(StoredPath(LEFT_OUT), _NOTE._replace(mtime_ns=time.time_ns()), size=len(text), whole=text)


_NOTE: Final = Node(
    name=LEFT_OUT,
    kind=NodeKind.FILE,
    permissions=0o644,
    mtime_ns=0,
    atime_ns=0,
    ctime_ns=0,
    uid=0,
    gid=0,
    user="",
    group="",
    inode=0,
    device_id=0,
    size=0,
    links=1,
    link_target=b"",
    device=0,
    attributes=(),
    content=(),
    subtree=None,
)


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) >= _PIECE_BYTES:
            if kept:
                yield b"".join(kept)
                kept, size = [], 0
            yield piece
            continue
        kept.append(piece)
        size += len(piece)
        if size >= _PIECE_BYTES:
            yield b"".join(kept)
            kept, size = [], 0
    if kept:
        yield b"".join(kept)


def _compressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
    for piece in pieces:
        packed = compressor.compress(piece)
        if packed:
            yield packed
    yield compressor.flush()
