"""Checking a repository: its structure always, and the data of a part of its packs if asked.

Nothing is changed. A shared lock keeps prune away; copies and restores go on beside it. What is found is a list of
problems, each with the file it is about and the paths it touches; only a medium that does not answer ends the check.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ..clock import Clock
from ..errors import InvalidOptions, RepositoryDamaged
from ..events import Control, Counters, Level, Notice, PhaseName, PhaseStarted, Progress, Sink
from ..ids import BlobId, FileId
from ..media.base import Media
from ..plan import Secret
from ..repository.index import Index
from ..repository.index_load import load_index
from ..repository.layout import BlobKind, FileKind, damaged, file_name
from ..repository.lock import locked
from ..repository.pack import PackedBlob
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.snapshot_file import SnapshotFile, list_snapshot_files
from .marking import Broken, Touched, mark_from, touched_paths
from .pack_reading import PackFindings, verify_pack
from .pack_table import PackTable

MOST_TOUCHED: Final = 1000
_PROGRESS_SECONDS: Final = 0.5
_PACKS_AHEAD: Final = 4
_READERS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """``read_data_percent`` of the packs, 0 to 100, are read whole and verified: a random choice, by ``seed``.

    ``seed`` None = another choice every time.
    """

    read_data_percent: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.read_data_percent <= 100:
            raise InvalidOptions(
                "The part of the data to read is between 0 and 100 percent.", field="read_data_percent"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong. ``name`` is the file in the repository, or the blob."""

    name: str
    sentence: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """``touched`` are paths that cannot be restored whole, at most MOST_TOUCHED of them.

    Unreferenced packs are no problem: interrupted copies leave them, and the next prune removes them.
    """

    snapshot_files: int
    trees: int
    blobs: int
    packs: int
    packs_read: int
    bytes_read: int
    unreferenced_packs: int
    unreferenced_bytes: int
    problems: tuple[Problem, ...]
    touched: tuple[Touched, ...]
    damaged_packs: tuple[FileId, ...]
    """Packs that are missing or fail their checksum, for ``repair``."""

    @property
    def ok(self) -> bool:
        return not self.problems


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: CheckPlan, media: Media, password: Secret, sink: Sink, control: Control, clock: Clock
) -> CheckResult:
    """Check the repository on ``media``. Every problem is also told as a Notice of level ERROR.

    Raises RepositoryLocked, RepositoryMissing, WrongPassword, MediaUnavailable, MediaRefused; RepositoryDamaged only
    for a config or keys that do not open; Stopped as soon as ``control`` does.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    repository = Repository.open(media, password, clock=clock)
    with locked(repository, exclusive=False, control=control):
        return _Check(plan, repository, sink, control, clock).run()


@dataclass(slots=True)
class _Findings:
    problems: list[Problem] = field(default_factory=list)
    bad_data: set[BlobId] = field(default_factory=set)
    bad_trees: set[BlobId] = field(default_factory=set)
    bad_packs: dict[FileId, None] = field(default_factory=dict)


class _Check:
    """One check. Used once."""

    def __init__(self, plan: CheckPlan, repository: Repository, sink: Sink, control: Control, clock: Clock) -> None:
        self._plan = plan
        self._repository = repository
        self._sink, self._control, self._clock = sink, control, clock
        self._found = _Findings()
        self._files_done = self._files_total = 0
        self._bytes_done = self._bytes_total = 0
        self._next_progress = 0.0

    def run(self) -> CheckResult:
        self._sink.emit(PhaseStarted(phase=PhaseName.CHECK))
        snapshots = list_snapshot_files(self._repository, on_damaged=self._report)
        index = load_index(self._repository, on_damaged=self._report)
        stored = dict(self._repository.list_files(FileKind.PACK))
        self._control.check()
        packs = PackTable(index)
        self._compare_packs(packs, stored)
        reader = BlobReader(self._repository, index)
        marks = mark_from(
            reader,
            [snapshot.tree for snapshot in snapshots],
            control=self._control,
            on_broken=self._report_broken,
            on_trees=self._count_trees,
        )
        chosen = self._choose(packs, stored)
        self._bytes_total = sum(stored[packs.ids[number]] for number in chosen)
        self._read_packs(packs, chosen)
        unreferenced = stored.keys() - set(packs.ids)
        self._tell_unreferenced(len(unreferenced), sum(stored[name] for name in unreferenced))
        self._progress(now=True)
        return CheckResult(
            snapshot_files=len(snapshots),
            trees=marks.count(BlobKind.TREE),
            blobs=sum(index.count(kind) for kind in BlobKind),
            packs=len(packs),
            packs_read=len(chosen),
            bytes_read=self._bytes_done,
            unreferenced_packs=len(unreferenced),
            unreferenced_bytes=sum(stored[name] for name in unreferenced),
            problems=tuple(self._found.problems),
            touched=self._touched(index, snapshots),
            damaged_packs=tuple(self._found.bad_packs),
        )

    def _compare_packs(self, packs: PackTable, stored: dict[FileId, int]) -> None:
        for number, (pack, expected) in enumerate(zip(packs.ids, packs.stored_bytes.tolist(), strict=True)):
            size = stored.get(pack)
            name = file_name(FileKind.PACK, pack)
            if size is None:
                self._report_pack(pack, [damaged(name, "it is missing")], packs.blobs(number))
            elif size != expected:
                why = f"it has {size} bytes where the index expects {expected}"
                self._report_pack(pack, [damaged(name, why)], packs.blobs(number))

    def _choose(self, packs: PackTable, stored: dict[FileId, int]) -> list[int]:
        readable = [number for number, pack in enumerate(packs.ids) if pack in stored]
        count = round(len(readable) * self._plan.read_data_percent / 100)
        if self._plan.read_data_percent and readable:
            count = max(1, count)
        return random.Random(self._plan.seed).sample(readable, count)  # noqa: S311 - a sample, not a secret

    def _read_packs(self, packs: PackTable, chosen: list[int]) -> None:
        waiting = iter(chosen)
        ahead: deque[Future[PackFindings]] = deque()
        with ThreadPoolExecutor(_READERS, thread_name_prefix="check-reader") as pool:

            def submit(count: int) -> None:
                for number in islice(waiting, count):
                    ahead.append(pool.submit(verify_pack, self._repository, packs.ids[number], packs.blobs(number)))

            submit(_PACKS_AHEAD)
            while ahead:
                findings = ahead.popleft().result()
                self._bytes_done += findings.bytes_read
                if findings.errors:
                    self._report_pack(findings.pack, findings.errors, findings.bad)
                self._control.check()
                self._progress()
                submit(1)

    def _touched(self, index: Index, snapshots: list[SnapshotFile]) -> tuple[Touched, ...]:
        found = self._found
        if not found.bad_data and not found.bad_trees:
            return ()
        reader = BlobReader(self._repository, index)
        paths: Iterator[Touched] = touched_paths(
            reader, snapshots, data=found.bad_data, trees=found.bad_trees, control=self._control
        )
        return tuple(islice(paths, MOST_TOUCHED))

    def _report(self, error: RepositoryDamaged) -> None:
        problem = Problem(name=error.name, sentence=error.sentence, hint=error.hint)
        if problem not in self._found.problems[-10:]:
            self._found.problems.append(problem)
            self._sink.emit(Notice(level=Level.ERROR, code=error.code, sentence=error.sentence))

    def _report_broken(self, broken: Broken) -> None:
        (self._found.bad_trees if broken.kind is BlobKind.TREE else self._found.bad_data).add(broken.blob)
        self._report(broken.error)

    def _report_pack(self, pack: FileId, errors: Sequence[RepositoryDamaged], bad: Sequence[PackedBlob]) -> None:
        self._found.bad_packs[pack] = None
        for blob in bad:
            (self._found.bad_trees if blob.kind is BlobKind.TREE else self._found.bad_data).add(blob.id)
        for error in errors:
            self._report(error)

    def _count_trees(self, count: int) -> None:
        self._files_done += count
        self._progress()

    def _tell_unreferenced(self, count: int, size: int) -> None:
        if count:
            sentence = (
                f"{count} packs ({size} bytes) are in no index; interrupted copies leave such, prune removes them."
            )
            self._sink.emit(Notice(level=Level.INFO, code="packs-unreferenced", sentence=sentence))

    def _progress(self, *, now: bool = False) -> None:
        at = self._clock.monotonic()
        if at < self._next_progress and not now:
            return
        self._next_progress = at + _PROGRESS_SECONDS
        counters = Counters(
            directories_done=self._files_done,
            bytes_total=self._bytes_total or None,
            bytes_done=self._bytes_done,
            bytes_read=self._bytes_done,
            exceptions=len(self._found.problems),
        )
        self._sink.emit(Progress(counters=counters))
