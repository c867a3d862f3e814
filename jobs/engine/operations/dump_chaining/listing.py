"""From the lists of files that lie beside dumps in a repository: everything there was at the last one (RULES L6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Self

from ...events import FileFailed
from ...ids import BlobId
from ...repository.reader import BlobReader
from ..catalog.entries import Found, chain_of, outermost
from ..catalog.snapshot_changes import Eyes
from ..dump_chain import DumpChain
from .stored import stored_history

_LOST = "the file server names it, and none of the dumps holds it"


class DumpListing:
    """The lists of ``trees``, the full's first, put over each other for each content path. Used once, then closed.

    Making it reads them all, to disk. Raises HistoryUnusable, NotInCopy, NoSpace, RepositoryDamaged, MediaUnavailable.
    """

    def __init__(self, reader: BlobReader, trees: Sequence[BlobId], roots: Sequence[bytes], eyes: Eyes) -> None:
        self._eyes = eyes
        self._stack = ExitStack()
        self._chains: dict[bytes, DumpChain] = {}
        with self._stack:
            for root in outermost(roots):
                chain = self._chains[root] = self._stack.enter_context(DumpChain(beat=eyes.beat))
                for tree in trees:
                    chain.add(stored_history(reader, tree, root))
            self._stack = self._stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @property
    def doubt(self) -> str:
        """A sentence about what may be listed though it was gone; empty = nothing."""
        if all(chain.shows_deletions for chain in self._chains.values()):
            return ""
        return "This file server lists only what it copied: files that were deleted since the full dump are still here."

    def entries(self) -> Iterator[Found]:
        """Everything below the content paths, and the folders above them. Raises HistoryUnusable."""
        yield from chain_of(self._chains)
        for root, chain in self._chains.items():
            yield from chain.entries(root, lost=lambda path, root=root: self._lost(root, path))  # type: ignore[misc]

    def _lost(self, root: bytes, path: bytes) -> None:
        self._eyes.failed(FileFailed(path=root.rstrip(b"/") + b"/" + path, error=_LOST))
