"""Backup copies of file servers that are read as the stream of a dump: its level, the dump, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Final

from django.utils import timezone

from jobs.engine.errors import EngineUnsupported, SnapshotMissing
from jobs.engine.events import Level, PhaseName
from jobs.engine.ids import FileId
from jobs.engine.ndmp.dump_source import DumpSource
from jobs.engine.ndmp.history_spool import HistorySpool
from jobs.engine.ndmp.profiles import ONTAP
from jobs.engine.operations import dump
from jobs.engine.operations.dumping.plan import DumpPlan, DumpResult
from jobs.engine.plan import CopySettings
from jobs.engine.snapshots.base import Capability, DumpStreamer
from jobs.models import BackupCopy
from jobs.rules import levels, states, tokens
from jobs.runner.after_copy import guard, inline_catalog
from jobs.runner.copy_base import CopyBase, Stream, choose_base, store_level
from jobs.runner.copy_record import DumpTokens, record_copy, usage_of
from jobs.runner.former_files import forget_former
from jobs.runner.opened_media import open_media
from jobs.runner.references import ref_from_row
from jobs.runner.snapshot_sources import choose_source
from jobs.runner.task import Task
from jobs.services.copy_states import mark_copying
from jobs.services.dump_dates import begin_dump, commit_dumps, dates_of
from jobs.services.outcomes import Done, Outcome
from policies.models import Copy, Media, Subclient
from policies.resolve import build_engine, is_point, media_password
from policies.services.media import ensure_repository
from snapcopy_site.lib.home import Home

_LATER: Final = timedelta(minutes=1)
"""A dump that begins so long after its point is not of that time any more."""
_LONGEST_TOKEN: Final = 1_000


def is_dumped(subclient: Subclient) -> bool:
    """Whether its backup copies are made here."""
    return Capability.DUMP_STREAM in build_engine(subclient.file_server).capabilities


def run(task: Task, row: BackupCopy, subclient: Subclient, copy: Copy, media: Media) -> Outcome:
    """Dump the content paths of the job's point to its copy's medium.

    Raises SnapshotMissing where newer points were copied already: the file server has only the files of now; and
    EngineUnsupported where there is a copy of it already, which stays.
    """
    task.phase(PhaseName.PREPARE)
    if is_point(row.snapshot.engine):
        _refuse_overtaken(row, copy)
    source = choose_source(task, row, subclient, copy)
    if not isinstance(source.engine, DumpStreamer):
        raise EngineUnsupported(f"The file server {subclient.file_server.name} cannot be dumped over the network.")
    driver, password = open_media(task, media), media_password(media)
    try:
        if media.repository_id is None:
            repository = ensure_repository(media)
            task.tell("repository-created", f"The medium {media.name} has the repository {repository.id[:8]} now.")
        filer = source.engine.dump_source(task.orders, source.ref)
        chosen = choose_base(row, subclient, copy, source, stream=_stream(filer, row, subclient))
        store_level(task.job, chosen.decision, row.snapshot)
        mark_copying(row, job_id=task.job.pk, base=chosen.row)
        _tell_what_it_is(task, row)
        result = dump.run(
            _plan(task, row, media, filer, chosen),
            driver,
            password,
            task.recorder,
            task.orders,
            task.clock,
            new_history=HistorySpool,
            before_dump=partial(_begin, row, subclient, filer, chosen.decision.number),
        )
        _tell_dumps(task, result, chosen.decision.number)
        kept = _tokens_of(task, row, filer, result, chosen, server_id=source.server_id(subclient))
        usage = usage_of(driver)
    finally:
        driver.close()
    is_full = chosen.decision.level is levels.RunLevel.FULL
    exceptions = guard(task, row, subclient, result.copy, is_dump=True) if is_full else 0
    exceptions += inline_catalog(task, row, subclient, result.copy, is_partial=False)
    return Done(
        exceptions=exceptions,
        result={
            "snapshot_file_id": result.copy.snapshot_file_id,
            "tree_id": result.copy.tree_id,
            "source": result.copy.source_note,
        },
        record=partial(
            _record,
            partial(
                record_copy, row, media, chosen.row, chosen.decision, result.copy, exceptions=0, usage=usage, dump=kept
            ),
            row,
            chosen.decision.number,
        ),
        afterwards=partial(forget_former, task.job.pk, row.pk),
    )


def _refuse_overtaken(row: BackupCopy, copy: Copy) -> None:
    newer = BackupCopy.objects.filter(
        snapshot__subclient=row.snapshot.subclient_id,
        snapshot__taken_at__gt=row.snapshot.taken_at,
        copy=copy,
        media=copy.media,
        state__in=states.ON_MEDIA,
    )
    if newer.exists():
        if row.snapshot_file_id is not None:
            raise EngineUnsupported(
                f"{row.snapshot.name} cannot be dumped again: points after it were copied already, and the file server "
                "has only the files of now.",
                hint="Take a snapshot and copy that. The copy that there is stays.",
            )
        raise SnapshotMissing(
            f"Points after {row.snapshot.name} were copied already, and the file server has only the files of now.",
            hint="Take a snapshot and copy that.",
        )


def _stream(filer: DumpSource, row: BackupCopy, subclient: Subclient) -> Stream:
    dates = dates_of(subclient.file_server, address=_address(filer), paths=row.snapshot.content)
    return Stream(has_tokens=bool(filer.profile.token), dates=dates)


def _address(filer: DumpSource) -> str:
    return f"{filer.server.host}:{filer.server.port}"


def _tell_what_it_is(task: Task, row: BackupCopy) -> None:
    if task.job.attempt > 1:
        task.tell(
            "dump-begins-again",
            "A dump cannot be continued, so it begins again. What was stored of it is not stored twice.",
        )
    if is_point(row.snapshot.engine) and timezone.now() - row.snapshot.taken_at > _LATER:
        moment = timezone.localtime()
        task.tell(
            "dump-is-later",
            "The file server makes its own snapshot when it is copied: "
            f"this copy holds the files of {moment:%Y-%m-%d %H:%M}.",
        )


def _tell_dumps(task: Task, result: DumpResult, level: int) -> None:
    for one in result.dumps:
        task.tell("dumped", f"{one.file_system} was dumped at level {level}: {one.image_bytes:,} bytes.")
        if not one.history_records:
            task.tell(
                "dump-without-history",
                f"The file server did not say which files are in the dump of {one.file_system}: only all of it can be "
                "restored.",
                level=Level.WARNING,
            )


def _plan(task: Task, row: BackupCopy, media: Media, filer: DumpSource, chosen: CopyBase) -> DumpPlan:
    subclient, base = row.snapshot.subclient, chosen.row
    return DumpPlan(
        source=filer,
        file_systems=tuple(row.snapshot.content),
        level=chosen.decision.number,
        base_tokens=chosen.base_dates,
        hostname=subclient.file_server.name,
        username="snapcopy",
        taken_at_ns=ref_from_row(row.snapshot).taken_at_ns,
        parent=FileId(base.snapshot_file_id) if base is not None and base.snapshot_file_id else None,
        repository_id=media.repository_id,
        tags=(f"subclient={subclient.path}", f"snapshot={row.snapshot.name}", f"job={task.job.pk}"),
        settings=CopySettings(index_cache=Home.current().index_cache(media.pk)),
    )


def _begin(row: BackupCopy, subclient: Subclient, filer: DumpSource, level: int, path: str) -> None:
    begin_dump(subclient.file_server, address=_address(filer), path=path, level=level, row=row)


def _tokens_of(
    task: Task, row: BackupCopy, filer: DumpSource, result: DumpResult, chosen: CopyBase, *, server_id: int
) -> DumpTokens:
    """What the file server gave with the dumps, for the next ones (RULES L5); nothing where it counts by itself."""
    if chosen.base_dates is None:
        return DumpTokens(server_id=server_id, dates={})
    told = {one.file_system: one.token for one in result.dumps if one.token}
    if filer.profile.key == ONTAP.key:
        accepted = tokens.accepted(told, content=row.snapshot.content, number=chosen.decision.number)
    else:
        accepted = _opaque(told, row.snapshot.content)
    for problem in accepted.problems:
        task.tell("dump-token", f"{problem} The next copy will be full.", level=Level.WARNING)
    return DumpTokens(server_id=server_id, dates=accepted.dates)


def _opaque(told: Mapping[str, str], content: list[str]) -> tokens.Told:
    """Tokens of which nothing is known but that they go back as they came."""
    dates = {path: told[path] for path in content if path in told and len(told[path]) <= _LONGEST_TOKEN}
    missing = tuple(f"No token came with the dump of {path}." for path in content if path not in dates)
    return tokens.Told(dates=dates, problems=missing)


def _record(record: partial[None], row: BackupCopy, level: int) -> None:
    """RULES L4: the levels go on only with the state *copied*, in its transaction."""
    record()
    commit_dumps(row, level=level)
