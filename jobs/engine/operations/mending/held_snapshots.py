"""All held snapshots as one source: each is opened only while something of its own snapshot file is still lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from ...errors import EngineError, Stopped
from ...ids import FileId
from ...repository.blob import hash_blob
from ..touching import Lost
from .held_files import HeldFiles
from .sources import Brought, Case


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSnapshot:
    """A snapshot that ``file`` was made from. ``open`` may raise any EngineError; then the next one is asked."""

    file: FileId
    label: str
    open: Callable[[], AbstractContextManager[HeldFiles]]


@dataclass(slots=True, kw_only=True)
class HeldSnapshots:
    """A :class:`~.sources.BlobSource`. Snapshots are asked in their order, each for what those before did not have.

    ``opened`` are the labels of those that gave something; ``on_failed`` is told of one that could not be read.
    """

    label: str
    snapshots: Sequence[HeldSnapshot]
    on_failed: Callable[[HeldSnapshot, EngineError], None]
    opened: dict[str, int] = field(default_factory=dict)
    _failed: set[FileId] = field(default_factory=set)

    def bring(self, case: Case) -> Iterator[Brought]:
        touched = {file for one in case.touched if not one.is_folder for file in one.files}
        lost = dict(case.lost.data)
        for held in self.snapshots:
            if not lost:
                return
            if held.file not in touched or held.file in self._failed:
                continue
            case.control.check()
            try:
                with held.open() as files:
                    for kind, blob, plain in files.bring(replace(case, lost=Lost(data=lost))):
                        if blob in lost and hash_blob(plain) == blob:
                            del lost[blob]
                            self.opened[held.label] = self.opened.get(held.label, 0) + 1
                            yield kind, blob, plain
            except Stopped:
                raise
            except EngineError as error:
                self._failed.add(held.file)
                self.on_failed(held, error)
