"""Restore jobs: paths of a snapshot, a replica or a backup copy to a directory on the node that runs the job (RULES V).

The source was chosen when the job was launched; one that cannot be read any more gives way to the next by RULES V1,
unless a person chose it.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from jobs.engine.errors import NotInCopy, SnapshotMissing
from jobs.engine.events import Level, PhaseName
from jobs.engine.ids import FileId
from jobs.engine.operations import restore
from jobs.engine.plan import Overwrite, RestorePlan, RestoreResult, StoredPath
from jobs.models import BackupCopy, Job
from jobs.restore_sources import Chosen, choose_source, sources_of
from jobs.rules.restore_source import NoSource, SourceKind
from jobs.runner import undump_restore
from jobs.runner.opened_media import open_media
from jobs.runner.references import ref_from_row, ref_of_replica, source_roots
from jobs.runner.restore_findings import findings_of
from jobs.runner.snapshot_sources import SnapshotSource, replica_losses
from jobs.runner.task import Task
from jobs.services.outcomes import Done, Outcome
from jobs.services.restore_parameters import CHOSEN_COPY, DESTINATION, EXPECTED, SOURCE, SOURCE_REASON
from jobs.services.restores import read_instead
from policies.resolve import build_engine, media_password
from snapcopy_site.lib.home import Home


def run(task: Task) -> Outcome:
    """Restore what the parameters name. Files that could not be restored make it *completed with errors*."""
    if DESTINATION in task.job.parameters:
        return undump_restore.run(task)
    task.phase(PhaseName.PREPARE)
    obstacles: dict[int, str] = {}
    while True:
        kind = _settle_source(task, obstacles)
        try:
            result = _from_media(task) if kind is SourceKind.MEDIA else _from_snapshot(task)
            break
        except SnapshotMissing as error:
            if task.job.copy_id is None or task.job.copy_id in obstacles or CHOSEN_COPY in task.job.parameters:
                raise
            obstacles[task.job.copy_id] = error.sentence.rstrip(".")
    return Done(
        exceptions=max(result.counters.exceptions, task.recorder.exceptions),
        result={
            "target": task.job.parameters["target"],
            "files": result.counters.files_done,
            "bytes": result.counters.bytes_done,
            "files_skipped": result.files_skipped,
            "warnings": result.warnings,
            **findings_of(result),
        },
    )


def _settle_source(task: Task, obstacles: dict[int, str]) -> SourceKind:
    """What is read now: the source of the launch, or where that cannot be read any more the next one (RULES V1).

    Raises NotInCopy if none is left, or a person chose this one.
    """
    job = task.job
    kind = SourceKind(job.parameters.get(SOURCE, SourceKind.MEDIA))
    if job.snapshot is None:
        raise NotInCopy("What this job restores was deleted.")
    node = job.node
    known = {source.copy.pk: source for source in sources_of(job.snapshot, node=node)}
    source = known.get(job.copy_id or 0)
    obstacle = obstacles.get(job.copy_id or 0, "") or (source.candidate.obstacle if source else "nothing of it is left")
    if not obstacle:
        return kind
    if CHOSEN_COPY in job.parameters:
        name = source.candidate.label if source else job.copy_label
        raise NotInCopy(
            f"{name[:1].upper()}{name[1:]} was chosen and cannot serve: {obstacle}.",
            hint="Start the restore again from another copy, or let SnapCopy choose one.",
        )
    paths = [bytes.fromhex(path) for path in job.parameters["paths"]]
    answer = choose_source(job.snapshot, paths=paths, node=node, obstacles=obstacles)
    if isinstance(answer, NoSource):
        raise NotInCopy(answer.reason, hint="Choose another point in time.")
    _read_instead(task, answer)
    return answer.source.kind


def _read_instead(task: Task, answer: Chosen) -> None:
    read_instead(task.job.pk, answer)
    before, after = (
        task.job,
        Job.objects.select_related(
            "copy", "backup_copy__media", "backup_copy__snapshot", "replica__snapshot", "replica__file_server"
        ).get(pk=task.job.pk),
    )
    before.copy, before.backup_copy, before.replica = after.copy, after.backup_copy, after.replica
    before.parameters = after.parameters
    task.tell("restore-source", str(after.parameters[SOURCE_REASON]), level=Level.WARNING)


def _from_media(task: Task) -> RestoreResult:
    row = task.job.backup_copy
    if row is None or row.snapshot_file_id is None:
        raise NotInCopy("The backup copy of this job is no longer on media.")
    driver = open_media(task, row.media)
    try:
        password = media_password(row.media)
        return restore.run(_plan(task.job, row), driver, password, task.recorder, task.orders, task.clock)
    finally:
        driver.close()


def _from_snapshot(task: Task) -> RestoreResult:
    """The driver holds the snapshot open for as long as it is read; the job's row holds it from deletion (R6)."""
    source = _snapshot_source(task.job)
    with replica_losses(source), ExitStack() as stack:
        roots = stack.enter_context(source.engine.open(source.ref))
        plan = _plan(task.job)
        return restore.run_from_snapshot(plan, source_roots(roots), task.recorder, task.orders, task.clock)


def _snapshot_source(job: Job) -> SnapshotSource:
    if job.snapshot is None or job.subclient is None:
        raise NotInCopy("The subclient or snapshot of this job was deleted.")
    if job.replica is not None:
        engine = build_engine(job.replica.file_server)
        return SnapshotSource(engine=engine, ref=ref_of_replica(job.replica), replica=job.replica)
    return SnapshotSource(engine=build_engine(job.subclient.file_server), ref=ref_from_row(job.snapshot))


def _plan(job: Job, row: BackupCopy | None = None) -> RestorePlan:
    """``row`` None = a snapshot is read."""
    given = job.parameters
    return RestorePlan(
        snapshot_file_id=FileId(row.snapshot_file_id) if row is not None and row.snapshot_file_id else None,
        target=Path(given["target"]),
        paths=tuple(StoredPath(bytes.fromhex(path)) for path in given["paths"]),
        strip_prefix=StoredPath(bytes.fromhex(given["strip_prefix"])),
        overwrite=Overwrite(given["overwrite"]),
        with_metadata=given["with_metadata"],
        dry_run=given["dry_run"],
        index_cache=Home.current().index_cache(row.media_id) if row is not None else None,
        files_expected=given.get(EXPECTED, {}).get("files"),
        bytes_expected=given.get(EXPECTED, {}).get("bytes"),
    )
