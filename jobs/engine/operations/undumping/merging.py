"""Which dump of a chain each wanted path comes from, and under which name (RULES L6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...errors import HistoryUnusable
from ...repository.layout import BlobKind
from ...repository.reader import BlobReader
from ...repository.tree import Node
from ..dump_chain import DumpChain, Lost, Wanted
from .stored import StoredDump


def wanted_of(
    reader: BlobReader,
    chain: Sequence[StoredDump],
    paths: Sequence[bytes],
    *,
    beat: Callable[[], None],
    lost: Lost,
) -> list[list[Wanted]]:
    """For each dump of the chain what of ``paths``, with all below them, comes from it.

    Paths are relative to the content path. ``beat`` is called now and then and may raise; ``lost`` is told what the
    file server named and no dump holds. Raises NotInCopy for a path that was not there, HistoryUnusable where a dump
    has no list of files, NoSpace.
    """
    found: list[list[Wanted]] = [[] for _ in chain]
    with DumpChain(beat=beat) as merged:
        for dump in chain:
            if dump.history is None:
                raise HistoryUnusable(
                    f"The file server gave no list of files with its dump of {dump.label}: only whole volumes can be "
                    "restored.",
                    hint="Restore the whole volume to another path and take the files from there.",
                )
            merged.add(_pieces(reader, dump.history))
        for entry in merged.wanted(paths, lost=lost):
            found[entry.dump].append(entry)
    return found


def _pieces(reader: BlobReader, node: Node) -> Iterator[bytes]:
    return (reader.read(BlobKind.DATA, blob) for blob in node.content)
