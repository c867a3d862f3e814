"""A small company's backups as rows: every state a page can show, without running a job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Job, JobAttempt, JobEvent, JobException, JobPhase, JobState, Operation
from policies.models import Copy, Subclient
from tests.factories import backup_copy_of, make_file_server, make_media, make_policy, make_subclient
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    home: Subclient
    copy: Copy
    copied: BackupCopy
    running: Job
    failed: Job
    partial: Job
    waiting: Job


def make_world() -> World:
    """Three subclients: one protected, one with a copy that waits, one without anything."""
    node = make_node(name="backup-1", slots=4)
    medium = make_media("/srv/backup/disk-a")
    type(medium).objects.filter(pk=medium.pk).update(
        total_bytes=800 * GIB, free_bytes=90 * GIB, stored_bytes=40 * GIB, measured_at=timezone.now()
    )
    policy = make_policy(name="nightly", media=medium)
    server = make_file_server(name="files-berlin")
    home = make_subclient(name="home", file_server=server, policy=policy)
    projects = make_subclient(name="projects", file_server=server, policy=policy, paths=("/srv/projects",))
    make_subclient(name="new", file_server=server, policy=policy, paths=("/srv/new",))
    copy = backup_copy_of(policy)
    copied = _copied(home, copy)
    snapshot = make_snapshot(projects, n=1)
    make_backup_copy(snapshot, copy, state=CopyState.TO_BE_COPIED)
    return World(
        home=home,
        copy=copy,
        copied=copied,
        running=_running(home, copy, node_name=node.name),
        failed=_failed(projects, copy),
        partial=_partial(home, copy, copied),
        waiting=make_job(
            operation=Operation.RESTORE,
            state=JobState.WAITING,
            subclient=home,
            state_reason="every slot of backup-1 is taken",
            parameters={"target": "/restore/today", "paths": [], "overwrite": "if newer"},
        ),
    )


def _copied(subclient: Subclient, copy: Copy) -> BackupCopy:
    snapshot = make_snapshot(subclient)
    return make_backup_copy(snapshot, copy, files=512_331, logical_bytes=60 * GIB, stored_bytes=30 * GIB)


def _running(subclient: Subclient, copy: Copy, *, node_name: str) -> Job:
    started = timezone.now() - timedelta(seconds=120)
    job = make_job(
        operation=Operation.BACKUP_COPY,
        state=JobState.RUNNING,
        subclient=subclient,
        copy=copy,
        node=make_node(name=node_name),
        node_reason="The only node. 3 of 4 slots free.",
        started_at=started,
        heartbeat_at=timezone.now() + timedelta(minutes=5),
        attempt=2,
        asked_level="incremental",
        ran_level="full",
        level_reason="the content paths were changed",
        current_phase="copy",
        percent=42.0,
        bytes_total=100 * GIB,
        bytes_done=42 * GIB,
        bytes_read=30 * GIB,
        bytes_new=20 * GIB,
        bytes_stored=9 * GIB,
        files_total=50_000,
        files_done=21_000,
        in_flight=["/srv/home/anna/film.mkv", "/srv/home/a-very-long-name-" + "x" * 120],
        rate_samples=[[second, second * GIB // 3, second * GIB // 4, second * GIB // 13] for second in range(1, 120)],
    )
    for order, (name, state) in enumerate((("prepare", "completed"), ("copy", "running")), 1):
        finished = started + timedelta(seconds=1) if state == "completed" else None
        JobPhase.objects.create(
            job=job, attempt=2, name=name, order=order, state=state, started_at=started, finished_at=finished
        )
    lost = {"state": "interrupted", "reason": "its process was lost", "finished_at": started}
    JobAttempt.objects.create(job=job, number=1, node_label="backup-1", started_at=started, **lost)
    JobAttempt.objects.create(job=job, number=2, node_label="backup-1", started_at=started)
    JobEvent.objects.create(job=job, at=started, level="warning", code="resumed", sentence="Attempt 1 was interrupted.")
    return job


def _failed(subclient: Subclient, copy: Copy) -> Job:
    return make_job(
        operation=Operation.BACKUP_COPY,
        state=JobState.FAILED,
        subclient=subclient,
        copy=copy,
        error_code="no-space",
        error_sentence="The medium “disk-a” is full.",
        error_hint="Free space or enlarge the file system, then resubmit the job.",
    )


def _partial(subclient: Subclient, copy: Copy, row: BackupCopy) -> Job:
    job = make_job(
        operation=Operation.BACKUP_COPY,
        state=JobState.COMPLETED_WITH_ERRORS,
        subclient=subclient,
        copy=copy,
        snapshot=row.snapshot,
        backup_copy=row,
        files_done=512_329,
        bytes_done=60 * GIB,
        bytes_read=GIB,
        bytes_new=GIB,
        bytes_stored=GIB // 2,
        exceptions_count=2,
    )
    for name in (b"/srv/home/anna/.lock", b"/srv/home/\xff\xfe.bin"):
        JobException.objects.create(
            job=job,
            attempt=1,
            path=name,
            display_path=name.decode("utf-8", "backslashreplace"),
            error="Permission denied",
            code="file-unreadable",
        )
    return job
