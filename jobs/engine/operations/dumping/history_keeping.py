"""What a dump does with the file history while the image flows: keep it, and count what it speaks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ...ndmp.history import DirectoryRecord, FileRecord, HistorySink, NodeRecord
from ...ndmp.history_values import EntryKind


class HistoryKeeper(HistorySink, Protocol):
    """Keeps history until the image is whole, with bounded memory, as ``ndmp.history_spool`` does."""

    @property
    def records(self) -> int: ...

    def write_to(self, write: Callable[[bytes], object]) -> None:
        """Hand over the whole ``L.history`` file, in pieces, in order."""

    def close(self) -> None: ...


class CountedHistory:
    """A sink before another: ``files`` and ``folders`` whose data is in the dump."""

    def __init__(self, keeper: HistorySink) -> None:
        self.file_count = 0
        self.folder_count = 0
        self._keeper = keeper

    def files(self, records: list[FileRecord]) -> None:
        self._keeper.files(records)
        self._count(records)

    def directories(self, records: list[DirectoryRecord]) -> None:
        self._keeper.directories(records)

    def nodes(self, records: list[NodeRecord]) -> None:
        self._keeper.nodes(records)
        self._count(records)

    def _count(self, records: list[FileRecord] | list[NodeRecord]) -> None:
        folders = sum(
            1 for record in records if record.status is not None and record.status.kind == EntryKind.DIRECTORY
        )
        self.folder_count += folders
        self.file_count += len(records) - folders
