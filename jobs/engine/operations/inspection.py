"""Looking at a repository for what is wrong with it: the structure, packs read whole, and what is lost by it.

Both a check and a repair begin with it. Nothing is changed; who looks holds the lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ..clock import Clock
from ..errors import RepositoryDamaged
from ..events import Control, Counters, Level, Notice, Progress, Sink
from ..ids import BlobId, FileId
from ..media.wrapping import transfers_of
from ..repository.index import Index
from ..repository.index_load import load_index
from ..repository.layout import BlobKind, FileKind, damaged, file_name
from ..repository.pack import PackedBlob
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.second_places import read_elsewhere
from ..repository.snapshot_file import SnapshotFile, list_snapshot_files
from .marking import Broken, Marks, mark_from
from .pack_reading import PackFindings, verify_pack
from .pack_table import PackTable
from .touching import Lost, Root, Touched, touched_paths

_PROGRESS_SECONDS: Final = 0.5
_PACKS_READY: Final = 2
"""Packs that were read and wait to be counted, beside those being read."""

MOST_PROBLEMS: Final = 1000
"""So many are kept; they are counted beyond it."""

_MOST_NOTICES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong. ``name`` is the file in the repository, or the blob."""

    name: str
    sentence: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackDamage:
    """A pack that is missing or fails a checksum. ``blobs_bad`` of its ``blobs`` cannot be had from it."""

    pack: FileId
    sentence: str
    blobs: int
    blobs_bad: int


@dataclass(slots=True)
class Findings:
    """What was found so far. ``bad_*`` are blobs that a pack should hold and does not, by that pack; '' = no pack.

    ``misfits`` are packs that are there and cannot be as they should be: they are read whole in any case.
    """

    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    misfits: dict[FileId, None] = field(default_factory=dict)
    packs: dict[FileId, PackDamage] = field(default_factory=dict)
    bad_data: dict[BlobId, str] = field(default_factory=dict)
    bad_trees: dict[BlobId, str] = field(default_factory=dict)
    unreadable_files: dict[FileId, None] = field(default_factory=dict)
    """Snapshot files that are damaged, or expected and not there."""


class Inspection:
    """One look at one repository. ``structure`` first, then as many packs as wanted, then what is lost.

    ``expected`` are snapshot files that should be there, with their trees. Used once.
    """

    def __init__(
        self, repository: Repository, *, expected: Sequence[Root] = (), sink: Sink, control: Control, clock: Clock
    ) -> None:
        self.repository = repository
        self.found = Findings()
        self.snapshots: list[SnapshotFile] = []
        self.index = Index()
        self.stored: dict[FileId, int] = {}
        self.packs_read = self.bytes_read = self.bytes_total = 0
        self._expected = {root.file: root for root in expected}
        self._sink, self._control, self._clock = sink, control, clock
        self._trees_done = 0
        self._next_progress = 0.0

    def structure(self) -> None:
        """Snapshot files, index and packs as they are listed, and every tree."""
        self.snapshots = list_snapshot_files(self.repository, on_damaged=self._report_snapshot_file)
        self._miss_expected()
        self.index = load_index(self.repository, on_damaged=self.report)
        self.stored = dict(self.repository.list_files(FileKind.PACK))
        self._control.check()
        self.packs = PackTable(self.index)
        self._compare_packs()
        self.reader = BlobReader(self.repository, self.index)
        self.marks = self._mark()

    @property
    def roots(self) -> list[Root]:
        """The trees of all snapshot files, newest first; also of those that cannot be read, where it is known."""
        read = [Root(file=one.id or FileId(""), tree=one.tree) for one in reversed(self.snapshots)]
        known = {root.file for root in read}
        return read + [root for name, root in self._expected.items() if name not in known]

    @property
    def unreferenced(self) -> dict[FileId, int]:
        """Packs that no index names, and their sizes: interrupted copies leave such."""
        named = set(self.packs.ids)
        return {name: size for name, size in self.stored.items() if name not in named}

    def read_packs(self, chosen: Iterable[int], *, on_good: Callable[[FileId], None] | None = None) -> None:
        """Read packs whole, in this order, and compare everything. ``on_good`` is told of each that is as it should be.

        The misfits of the structure come first; missing packs were told with it and are left out.
        """
        first = [number for number, pack in enumerate(self.packs.ids) if pack in self.found.misfits]
        numbers = dict.fromkeys([*first, *chosen])
        waiting = iter([number for number in numbers if self.packs.ids[number] in self.stored])
        ahead: deque[Future[PackFindings]] = deque()
        readers = transfers_of(self.repository.media)
        with ThreadPoolExecutor(readers, thread_name_prefix="check-reader") as pool:

            def submit(count: int) -> None:
                for number in islice(waiting, count):
                    pack, blobs = self.packs.ids[number], self.packs.blobs(number)
                    ahead.append(pool.submit(verify_pack, self.repository, pack, blobs))

            submit(readers + _PACKS_READY)
            while ahead:
                self._heard(ahead.popleft().result(), on_good)
                self._control.check()
                self.progress()
                submit(1)

    def lost(self) -> Lost:
        """What is needed and really lost: not what another pack holds as well, nor what no snapshot file refers to."""
        trees = self._without_second_copies(BlobKind.TREE, self.found.bad_trees)
        data = self._without_second_copies(BlobKind.DATA, self.found.bad_data)
        needed = self._needed(BlobKind.TREE, trees)
        if needed:  # nobody knows what they referred to
            return Lost(data=data, trees=trees)
        return Lost(data=self._needed(BlobKind.DATA, data))

    def touched(self, lost: Lost) -> Iterator[Touched]:
        """The paths that cannot be restored whole for that."""
        return touched_paths(self.reader, self.roots, self.marks, lost, control=self._control)

    def report(self, error: RepositoryDamaged) -> None:
        """One problem more; the very same twice is one."""
        found = self.found
        problem = Problem(name=error.name, sentence=error.sentence, hint=error.hint)
        if problem in found.problems[-10:]:
            return
        found.problem_count += 1
        if found.problem_count <= MOST_PROBLEMS:
            found.problems.append(problem)
        if found.problem_count <= _MOST_NOTICES:
            self._sink.emit(Notice(level=Level.ERROR, code=error.code, sentence=error.sentence))

    def progress(self, *, now: bool = False) -> None:
        """Twice a second at most."""
        at = self._clock.monotonic()
        if at < self._next_progress and not now:
            return
        self._next_progress = at + _PROGRESS_SECONDS
        counters = Counters(
            directories_done=self._trees_done,
            bytes_total=self.bytes_total or None,
            bytes_done=self.bytes_read,
            bytes_read=self.bytes_read,
            exceptions=self.found.problem_count,
        )
        self._sink.emit(Progress(counters=counters))

    def _heard(self, findings: PackFindings, on_good: Callable[[FileId], None] | None) -> None:
        self.packs_read += 1
        self.bytes_read += findings.bytes_read
        if findings.errors:
            self._report_pack(findings.pack, findings.errors[0], findings.bad, blobs=findings.blobs)
        elif on_good is not None:
            on_good(findings.pack)

    def _miss_expected(self) -> None:
        there = {one.id for one in self.snapshots} | self.found.unreadable_files.keys()
        for name in self._expected.keys() - there:
            self._report_snapshot_file(damaged(file_name(FileKind.SNAPSHOT, name), "it is missing"))

    def _compare_packs(self) -> None:
        for number, (pack, expected) in enumerate(zip(self.packs.ids, self.packs.stored_bytes.tolist(), strict=True)):
            size = self.stored.get(pack)
            if size is None:
                missing = damaged(file_name(FileKind.PACK, pack), "it is missing")
                blobs = self.packs.blobs(number)
                self._report_pack(pack, missing, blobs, blobs=len(blobs))
            elif size != expected:
                self.found.misfits[pack] = None

    def _mark(self) -> Marks:
        return mark_from(
            self.reader,
            [root.tree for root in self.roots],
            control=self._control,
            on_broken=self._report_broken,
            on_trees=self._count_trees,
        )

    def _without_second_copies(self, kind: BlobKind, bad: dict[BlobId, str]) -> dict[BlobId, str]:
        avoid = self.found.packs.keys()
        return {
            blob: pack
            for blob, pack in bad.items()
            if not pack or read_elsewhere(self.repository, self.index, kind, blob, avoid=avoid) is None
        }

    def _needed(self, kind: BlobKind, lost: dict[BlobId, str]) -> dict[BlobId, str]:
        """What is in no index was referred to, else nobody would know of it."""
        ids = list(lost)
        marked = dict(zip(ids, self.marks.has_many(kind, ids).tolist(), strict=True))
        return {blob: pack for blob, pack in lost.items() if not pack or marked[blob]}

    def _report_snapshot_file(self, error: RepositoryDamaged) -> None:
        self.found.unreadable_files[FileId(error.name.rpartition("/")[2])] = None
        self.report(error)

    def _report_broken(self, broken: Broken) -> None:
        bad = self.found.bad_trees if broken.kind is BlobKind.TREE else self.found.bad_data
        name = broken.error.name
        pack = FileId(name.rpartition("/")[2]) if name.startswith(f"{FileKind.PACK.value}/") else None
        bad.setdefault(broken.blob, pack or "")
        if pack is None:
            self.report(broken.error)
        elif pack in self.stored:
            self.found.misfits[pack] = None

    def _report_pack(self, pack: FileId, error: RepositoryDamaged, bad: Sequence[PackedBlob], *, blobs: int) -> None:
        """One problem for the pack, however many of its blobs are bad."""
        sentence = f"{error.sentence} {_not_whole(len(bad), blobs)}"
        self.found.packs[pack] = PackDamage(pack=pack, sentence=sentence, blobs=blobs, blobs_bad=len(bad))
        for blob in bad:
            (self.found.bad_trees if blob.kind is BlobKind.TREE else self.found.bad_data)[blob.id] = pack
        self.report(RepositoryDamaged(sentence, name=error.name, hint=error.hint))

    def _count_trees(self, count: int) -> None:
        self._trees_done += count
        self.progress()


def _not_whole(bad: int, blobs: int) -> str:
    if not bad:
        return "All of its blobs are whole."
    return f"{'All' if bad == blobs else f'{bad:,}'} of its {blobs:,} blob{'s' if blobs > 1 else ''} cannot be read."
