"""A restore drill: a few files of one backup copy restored to a scratch directory, and compared.

The proof that counts is a restore. Files are chosen by a seed; what was restored is compared byte for byte with the
snapshot where that can still be read, else read back and compared with the stored hashes. The scratch directory is
made and removed here, whatever happens.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..clock import Clock
from ..events import Control, Event, FileFailed, PhaseName, PhaseStarted, Sink
from ..ids import FileId
from ..media.base import Media
from ..plan import Overwrite, RestorePlan, Secret, SourceRoot
from ..repository.index_load import load_index
from ..repository.lock import locked
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.snapshot_file import read_snapshot_file
from . import restore
from .drilling.choice import Choice, choose_files
from .drilling.comparison import differs_from_hashes, differs_from_snapshot

DIFFERENT: Final = "drill-difference"
"""Code of the files that are not what was copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillPlan:
    """``files`` files at most, of ``most_bytes`` together at most, chosen by ``seed``; ``expected`` is about how many
    the copy has. ``scratch`` must not exist; its parent must. ``roots``: the opened snapshot; none = compare hashes.
    """

    snapshot_file_id: FileId
    scratch: Path
    seed: int
    files: int
    most_bytes: int
    expected: int
    roots: tuple[SourceRoot, ...] = ()
    index_cache: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillResult:
    """``problems``: by stored path, what is wrong with a chosen file, or with a folder that cannot be read.

    ``files`` and ``compared_bytes`` are those that were chosen; ``too_large`` did not fit into the bytes allowed.
    """

    files: int
    compared_bytes: int
    paths: tuple[bytes, ...]
    seconds: float
    too_large: int
    problems: dict[bytes, str] = field(default_factory=dict)


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: DrillPlan, media: Media, password: Secret, sink: Sink, control: Control, clock: Clock
) -> DrillResult:
    """Drill the copy. What is wrong is in the result, and told as FileFailed.

    Raises what a restore raises; NoSpace where the scratch directory has not enough; Stopped. The scratch directory is
    gone afterwards in any case.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    began = clock.monotonic()
    repository = Repository.open(media, password, clock=clock)
    with locked(repository, exclusive=False, control=control):
        reader = BlobReader(repository, load_index(repository, cache_directory=plan.index_cache))
        tree = read_snapshot_file(repository, plan.snapshot_file_id).tree
        choice = choose_files(
            reader,
            tree,
            seed=plan.seed,
            files=plan.files,
            most_bytes=plan.most_bytes,
            expected=plan.expected,
            control=control,
        )
        problems = dict(choice.unreadable)
        for path, sentence in problems.items():
            sink.emit(FileFailed(path=path, error=sentence, code="tree-damaged"))
        try:
            if choice.files:
                problems |= _restored(plan, choice, repository, sink, control, clock)
                sink.emit(PhaseStarted(phase=PhaseName.CHECK))
                problems |= _compared(plan, choice, reader, problems.keys(), sink, control)
        finally:
            remove_scratch(plan.scratch)
    return DrillResult(
        files=len(choice.files),
        compared_bytes=sum(node.size for node in choice.files.values()),
        paths=tuple(choice.files),
        seconds=clock.monotonic() - began,
        too_large=choice.too_large,
        problems=problems,
    )


def remove_scratch(scratch: Path) -> None:
    """Remove it with all that is in it. Harmless where it is gone; what cannot be removed is left for the next time."""
    shutil.rmtree(scratch, ignore_errors=True)


def _restored(  # noqa: PLR0917 - what to restore, and whom to tell
    plan: DrillPlan, choice: Choice, repository: Repository, sink: Sink, control: Control, clock: Clock
) -> dict[bytes, str]:
    """What could not be restored."""
    plan.scratch.mkdir(mode=0o700)
    heard = _Heard(sink, os.fsencode(plan.scratch))
    wanted = RestorePlan(
        snapshot_file_id=plan.snapshot_file_id,
        target=plan.scratch,
        paths=tuple(choice.files),
        overwrite=Overwrite.ALWAYS,
        with_metadata=False,
        index_cache=plan.index_cache,
    )
    restore.run_opened(wanted, repository, heard, control, clock)
    return heard.failed


def _compared(  # noqa: PLR0917 - what to compare, and whom to tell
    plan: DrillPlan, choice: Choice, reader: BlobReader, failed: Collection[bytes], sink: Sink, control: Control
) -> dict[bytes, str]:
    problems: dict[bytes, str] = {}
    for path, node in choice.files.items():
        control.check()
        if path in failed:
            continue
        restored = os.fsencode(plan.scratch) + path
        why = (
            differs_from_snapshot(restored, path, plan.roots)
            if plan.roots
            else differs_from_hashes(restored, node, reader)
        )
        if why:
            problems[path] = why
            sink.emit(FileFailed(path=path, error=why, code=DIFFERENT))
    return problems


class _Heard:
    """Passes on what a restore tells, but for its phases of beginning and end; remembers the files that failed."""

    def __init__(self, sink: Sink, target: bytes) -> None:
        self._sink, self._target = sink, target
        self.failed: dict[bytes, str] = {}

    def emit(self, event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase is not PhaseName.RESTORE:
            return
        if isinstance(event, FileFailed):
            self.failed[event.path.removeprefix(self._target)] = event.error
        self._sink.emit(event)
