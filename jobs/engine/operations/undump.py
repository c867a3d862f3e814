"""A restore of dumps: their images go back to an NDMP file server, which writes the files itself (RULES L6).

Whole volumes are given back dump after dump through the chain, as they were made. Of chosen files and folders each
comes from the one dump of the chain that holds it, under the name that it has at the point, in one action. What is in
the way at the destination is overwritten: that is the file server's doing, and nobody can ask it not to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..clock import Clock
from ..errors import InvalidOptions, MediaRefused, NoSpace
from ..events import Control, FileFailed, Level, Notice, PhaseName, PhaseStarted, Progress, Sink
from ..ids import FileId
from ..media.base import Media
from ..ndmp.login import Capabilities, Server, capabilities, connect
from ..ndmp.profiles import Profile
from ..ndmp.recover import RecoverOrder, RecoverResult, everything, recover
from ..ndmp.session import Session, Waits
from ..ndmp.transfer import DataPath
from ..ndmp.values import BackupAbility
from ..plan import RestoreResult, Secret, StoredPath
from ..repository.index_load import load_index
from ..repository.lock import RepositoryLock
from ..repository.reader import BlobReader
from ..repository.repository import Repository
from ..repository.stored_file import StoredFile
from .dump_chain import Wanted
from .restoring.waiting import wait_for
from .undumping.merging import wanted_of
from .undumping.names import Limit, Places, in_order, is_folder, pieces
from .undumping.steps import Step, by_content, named, require_fit, step_of
from .undumping.stored import StoredDump, chain_of
from .undumping.tally import Tally

_LINES_TOLD: Final = 20
_LOST: Final = "the file server named it, and none of the dumps holds it"
_NOT_STRIPPED: Final = StoredPath(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class UndumpPlan:
    """Give back ``paths`` (live paths; empty = all content paths) to ``server``.

    ``snapshot_files``: the chain, the full first, the point last. ``content`` are the point's content paths.
    ``target`` None = in place; else everything lands at ``target`` + its live path without ``strip_prefix``.
    ``is_direct``: chosen files are read where they are in the images, if the file server can.
    """

    snapshot_files: tuple[FileId, ...]
    content: tuple[StoredPath, ...]
    server: Server
    profile: Profile
    data_path: DataPath = field(default_factory=DataPath)
    waits: Waits = field(default_factory=Waits)
    paths: tuple[StoredPath, ...] = ()
    target: StoredPath | None = None
    strip_prefix: StoredPath = _NOT_STRIPPED
    is_direct: bool = True
    index_cache: Path | None = None
    files_expected: int | None = None


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: UndumpPlan, media: Media, password: Secret, sink: Sink, control: Control, clock: Clock
) -> RestoreResult:
    """Give back what the plan names. Files that the file server could not write are told as FileFailed.

    Running the same plan again begins again: every file is written anew. Raises Stopped within seconds after
    ``control`` does, the recovery aborted at the file server; NotInCopy, InvalidOptions, EngineUnsupported (images of
    another kind, no file history); SourceUnavailable, StorageBusy, LoginRefused, StreamIncomplete, AnswerUnreadable;
    RepositoryLocked, RepositoryMissing, RepositoryDamaged, WrongPassword; MediaUnavailable.
    """
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    if plan.target is not None and not plan.target.startswith(b"/"):
        raise InvalidOptions("The restore target must be an absolute path on the file server.", field="target")
    repository = wait_for(lambda: Repository.open(media, password, clock=clock), control)
    lock = _lock(repository, sink)
    try:
        index = wait_for(lambda: load_index(repository, cache_directory=plan.index_cache), control)
        if lock is not None:
            lock.settle()
            lock.start_refreshing()
        return _Undump(plan, BlobReader(repository, index), sink, control, clock).run()
    finally:
        if lock is not None:
            lock.release()


class _Undump:
    """One restore. Used once."""

    def __init__(self, plan: UndumpPlan, reader: BlobReader, sink: Sink, control: Control, clock: Clock) -> None:
        self._plan, self._reader = plan, reader
        self._sink, self._control, self._clock = sink, control, clock
        self._places = Places(target=plan.target, strip_prefix=plan.strip_prefix)
        self._warnings = self._lost = 0

    def run(self) -> RestoreResult:
        parts = [
            (chain_of(self._reader, self._plan.snapshot_files, content), paths)
            for content, paths in by_content(self._plan.content, self._plan.paths).items()
        ]
        self._sink.emit(PhaseStarted(phase=PhaseName.SCAN))
        merged = [(chain, self._wanted(chain, paths) if paths else None) for chain, paths in parts]
        with connect(self._plan.server, self._control, waits=self._plan.waits) as session:
            told = capabilities(session)
            steps = [step for chain, wanted in merged for step in self._steps(chain, wanted, told)]
            tally = self._tally(steps)
            self._sink.emit(PhaseStarted(phase=PhaseName.RESTORE))
            for step in steps:
                self._recover(session, step, tally)
        self._sink.emit(PhaseStarted(phase=PhaseName.FINISH))
        self._sink.emit(Progress(counters=tally.counters()))
        return RestoreResult(counters=tally.counters(), warnings=self._warnings)

    def _wanted(self, chain: Sequence[StoredDump], paths: Sequence[bytes]) -> list[list[Wanted]]:
        top = chain[0].content.rstrip(b"/") + b"/"

        def lost(path: bytes) -> None:
            self._lost += 1
            self._sink.emit(FileFailed(path=top + path, error=_LOST, code="file-not-recovered"))

        return wanted_of(self._reader, chain, paths, beat=self._control.check, lost=lost)

    def _steps(
        self, chain: Sequence[StoredDump], wanted: Sequence[Sequence[Wanted]] | None, told: Capabilities
    ) -> list[Step]:
        for dump in chain:
            require_fit(dump, self._plan.profile, told)
        if wanted is None:
            names = everything(self._places.of(chain[0].content))
            return [Step(dump=dump, names=names, expected_bytes=dump.image.size) for dump in chain]
        is_direct = self._is_direct(chain, wanted, told)
        limit = Limit.of(
            product="" if told.info is None else told.info.product,
            at_once=self._plan.profile.names_at_once,
            is_direct=is_direct,
        )
        rounds = [list(in_order(entries, is_direct=is_direct)) for entries in wanted]
        deepest = max(map(len, rounds), default=0)
        return [
            step_of(dump, piece, is_direct=is_direct)
            for number in range(deepest)
            for dump, its_rounds in zip(chain, rounds, strict=True)
            for piece in pieces(
                its_rounds[number] if number < len(its_rounds) else (),
                content=dump.content,
                places=self._places,
                limit=limit,
            )
        ]

    def _is_direct(self, chain: Sequence[StoredDump], wanted: Sequence[Sequence[Wanted]], told: Capabilities) -> bool:
        if not self._plan.is_direct:
            return False
        types = [kind for kind in told.backup_types if kind.name == chain[0].type]
        if types and not any(BackupAbility.RECOVER_DIRECT in kind.abilities for kind in types):
            self._warn(
                "no-direct-access", "The file server knows no direct access: the images are read from the start."
            )
            return False
        if any(entry.fh_info is None for entries in wanted for entry in entries):
            self._warn(
                "no-direct-access",
                "The file history does not tell where files are in the images: they are read from the start.",
            )
            return False
        return True

    def _tally(self, steps: Sequence[Step]) -> Tally:
        chosen = [step.piece for step in steps if step.piece is not None]
        files = sum(not is_folder(entry) for piece in chosen for entry in piece.wanted)
        return Tally(
            self._sink,
            self._clock,
            exceptions=self._lost,
            files_total=files if len(chosen) == len(steps) else self._plan.files_expected,
            bytes_total=sum(step.expected_bytes for step in steps),
        )

    def _recover(self, session: Session, step: Step, tally: Tally) -> None:
        dump = step.dump
        environment = self._plan.profile.recover_environment(
            dump.environment, is_direct=step.is_direct, is_recursive=step.piece is None
        )
        order = RecoverOrder(type=dump.type, environment=environment, names=step.names, data_path=self._plan.data_path)
        tally.begin(dump.label, expected_bytes=step.expected_bytes)
        result = recover(session, order, StoredFile(self._reader, dump.image), progress=tally.sent)
        wanted = step.piece.wanted if step.piece else ()
        folders = sum(is_folder(entry) for entry in wanted)
        tally.end(files=len(wanted) - folders, folders=folders)
        self._tell(step, result, tally)

    def _tell(self, step: Step, result: RecoverResult, tally: Tally) -> None:
        path_of = named(step, self._places)
        for failure in result.failed:
            tally.failed(path_of(failure.name), failure.reason)
        tally.exceptions += result.failed_count - len(result.failed)
        for line in result.log[-_LINES_TOLD:]:
            self._sink.emit(Notice(level=Level.INFO, code="file-server-said", sentence=f"File server: {line.text}"))
        if step.piece is None:
            sentence = f"Given back: {step.dump.label}, an image of {step.dump.image.size:,} bytes."
            self._sink.emit(Notice(level=Level.INFO, code="dump-given-back", sentence=sentence))

    def _warn(self, code: str, sentence: str) -> None:
        self._warnings += 1
        self._sink.emit(Notice(level=Level.WARNING, code=code, sentence=sentence))


def _lock(repository: Repository, sink: Sink) -> RepositoryLock | None:
    """A shared lock, so that nobody prunes what is being read. A medium that takes none is read without."""
    lock = RepositoryLock(repository, exclusive=False)
    try:
        lock.place()
    except (MediaRefused, NoSpace) as error:
        sentence = f"Restoring without a lock, since the medium takes none: {error.sentence}"
        sink.emit(Notice(level=Level.WARNING, code="restore-without-lock", sentence=sentence))
        return None
    return lock
