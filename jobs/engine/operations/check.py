"""Checking a repository: its structure always, and the data of a part of its packs if asked.

Nothing is changed. A shared lock keeps prune away; copies and restores go on beside it. What is found is a list of
problems, each with the file it is about, and the paths they touch; only a medium that does not answer ends the check.
Which packs are read is decided in ``rotation``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np

from ..clock import Clock
from ..events import Control, Level, Notice, PhaseName, PhaseStarted, Sink
from ..ids import FileId
from ..media.base import Media
from ..plan import Secret
from ..repository.layout import BlobKind
from ..repository.lock import locked
from ..repository.repository import Repository
from .inspection import Inspection, PackDamage, Problem
from .rotation import History, Ledger, Pace, choose, keys_of
from .touching import Root, Touched

MOST_TOUCHED: Final = 100_000
"""So many paths are named; the counts are of all."""

_TELL_SECONDS: Final = 10.0
_TELL_PACKS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """``pace`` says how much is read. ``suspects`` are read first and besides: packs that were found damaged before.

    ``expected`` are snapshot files that should be there. ``seed`` None = another order of equals every time.
    """

    pace: Pace = field(default_factory=Pace)
    suspects: frozenset[FileId] = frozenset()
    expected: tuple[Root, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """``problems`` are the first MOST_PROBLEMS of ``problem_count``, one for each damaged file.

    ``touched`` are the first MOST_TOUCHED of ``touched_count`` paths that cannot be restored whole; ``*_touched``
    count all of them by snapshot file: files, and folders of which everything below is lost.

    ``unreadable_files`` are snapshot files that are damaged, or expected and missing. ``lost_blobs`` are in no pack any
    more. Unreferenced packs are no problem: interrupted copies leave them, and the next prune removes them.
    """

    snapshot_files: int
    trees: int
    blobs: int
    packs: int
    packs_bytes: int
    packs_read: int
    bytes_read: int
    unreferenced_packs: int
    unreferenced_bytes: int
    problems: tuple[Problem, ...]
    problem_count: int
    damaged: tuple[PackDamage, ...]
    lost_blobs: int
    unreadable_files: tuple[FileId, ...]
    touched: tuple[Touched, ...]
    touched_count: int
    files_touched: dict[FileId, int]
    folders_touched: dict[FileId, int]

    @property
    def ok(self) -> bool:
        return not self.problem_count

    @property
    def damaged_packs(self) -> tuple[FileId, ...]:
        """Packs that are missing or fail their checksum, for ``repair``."""
        return tuple(one.pack for one in self.damaged)


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: CheckPlan,
    media: Media,
    password: Secret,
    sink: Sink,
    control: Control,
    clock: Clock,
    *,
    ledger: Ledger | None = None,
) -> CheckResult:
    """Check the repository on ``media``. Every problem is also told as a Notice of level ERROR.

    ``ledger`` says when each pack was last read, and takes what is read now; None = nothing is known of any.

    Raises RepositoryLocked, RepositoryMissing, WrongPassword, MediaUnavailable, MediaRefused; RepositoryDamaged only
    for a config or keys that do not open; Stopped as soon as ``control`` does.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    repository = Repository.open(media, password, clock=clock)
    with locked(repository, exclusive=False, control=control):
        return check_locked(plan, repository, sink, control, clock, ledger=ledger)


def check_locked(
    plan: CheckPlan, repository: Repository, sink: Sink, control: Control, clock: Clock, *, ledger: Ledger | None
) -> CheckResult:
    """As :func:`run`, for whoever holds a lock already."""
    sink.emit(PhaseStarted(phase=PhaseName.CHECK))
    seen = Inspection(repository, expected=plan.expected, sink=sink, control=control, clock=clock)
    seen.structure()
    chosen = _choose(plan, seen, ledger, now=clock.now_ns() // 10**9)
    seen.bytes_total = sum(seen.stored.get(seen.packs.ids[number], 0) for number in chosen)
    told = _Told(ledger, clock)
    try:
        seen.read_packs(chosen, on_good=told.add)
    finally:
        told.tell()
    _tell_unreferenced(seen.unreferenced, sink)
    seen.progress(now=True)
    return _result(seen)


class _Told:
    """What was read and is good, told to the ledger every few seconds."""

    def __init__(self, ledger: Ledger | None, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._packs: list[FileId] = []
        self._next = clock.monotonic() + _TELL_SECONDS

    def add(self, pack: FileId) -> None:
        self._packs.append(pack)
        if len(self._packs) >= _TELL_PACKS or self._clock.monotonic() >= self._next:
            self.tell()

    def tell(self) -> None:
        self._next = self._clock.monotonic() + _TELL_SECONDS
        packs, self._packs = self._packs, []
        if packs and self._ledger is not None:
            self._ledger.read(packs)


def _choose(plan: CheckPlan, seen: Inspection, ledger: Ledger | None, *, now: int) -> list[int]:
    """Suspects first, then those whose turn it is."""
    packs = seen.packs
    sizes = packs.stored_bytes
    history = ledger.open(packs.ids, sizes.tolist()) if ledger is not None else History()
    turn = ledger.turn if ledger is not None else 0
    first = [number for number, pack in enumerate(packs.ids) if pack in plan.suspects and pack in seen.stored]
    rest = np.array(
        [number for number, pack in enumerate(packs.ids) if pack in seen.stored and pack not in plan.suspects],
        dtype=np.int64,
    )
    standing = history.of(keys_of([packs.ids[number] for number in rest]), now=now, turn=turn)
    turns = choose(sizes[rest], standing, plan.pace, seed=plan.seed)
    return first + [int(number) for number in rest[turns]]


def _result(seen: Inspection) -> CheckResult:
    lost = seen.lost()
    files: Counter[FileId] = Counter()
    folders: Counter[FileId] = Counter()
    touched = _counted(seen.touched(lost), files, folders)
    named = tuple(islice(touched, MOST_TOUCHED))
    more = sum(1 for _ in touched)
    unreferenced = seen.unreferenced
    return CheckResult(
        snapshot_files=len(seen.snapshots),
        trees=seen.marks.count(BlobKind.TREE),
        blobs=sum(seen.index.count(kind) for kind in BlobKind),
        packs=len(seen.packs),
        packs_bytes=int(seen.packs.stored_bytes.sum()),
        packs_read=seen.packs_read,
        bytes_read=seen.bytes_read,
        unreferenced_packs=len(unreferenced),
        unreferenced_bytes=sum(unreferenced.values()),
        problems=tuple(seen.found.problems),
        problem_count=seen.found.problem_count,
        damaged=tuple(seen.found.packs.values()),
        lost_blobs=len(lost),
        unreadable_files=tuple(seen.found.unreadable_files),
        touched=named,
        touched_count=len(named) + more,
        files_touched=dict(files),
        folders_touched=dict(folders),
    )


def _counted(touched: Iterable[Touched], files: Counter[FileId], folders: Counter[FileId]) -> Iterator[Touched]:
    for one in touched:
        (folders if one.is_folder else files).update(one.files)
        yield one


def _tell_unreferenced(packs: dict[FileId, int], sink: Sink) -> None:
    if packs:
        size = sum(packs.values())
        sentence = (
            f"{len(packs)} packs ({size} bytes) are in no index; interrupted copies leave such, prune removes them."
        )
        sink.emit(Notice(level=Level.INFO, code="packs-unreferenced", sentence=sentence))
