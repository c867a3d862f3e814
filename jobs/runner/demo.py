"""The sample data job: configure, three snapshots with changes between, their copies, one planned failure, a restore.

Everything goes through the services, the queue and the workers that real work takes; nothing is faked. It runs on a
light worker, because it mostly waits for the jobs it launches.
"""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobs.engine.errors import Killed as EngineKilled
from jobs.engine.events import Level, PhaseName
from jobs.engine.plan import Overwrite
from jobs.engine.plan import Secret as PlainSecret
from jobs.models import BackupCopy, Job, JobState, Snapshot
from jobs.rules import states
from jobs.runner import demo_tree
from jobs.runner.task import Task
from jobs.services import (
    CannotControl,
    CannotLaunch,
    kill_job,
    launch_backup_copy,
    launch_restore,
    launch_snapshot,
    launch_test,
)
from jobs.services.failures import ConfigurationDeleted, SampleDataFailed
from jobs.services.outcomes import Done, Outcome
from policies import services as configuration
from policies.models import AccessNode, FileServer, Media, StoragePolicy, Subclient
from policies.secrets import REPOSITORY_PASSWORD
from snapcopy_site.lib.home import Home

SERVER, SUBCLIENT, MEDIUM, POLICY, COPY = "sample-server", "office", "sample-disk", "sample-policy", "backup"
_POLL_SECONDS = 0.1


def run(task: Task) -> Outcome:
    """Build everything; a second run uses what the first left."""
    folder = Home.current().demo
    node = task.job.node
    if node is None:
        raise ConfigurationDeleted("The access node of this job was deleted.")
    return _run(task, folder, node)


def _run(task: Task, folder: Path, node: AccessNode) -> Outcome:
    source = folder / "source"
    task.phase(PhaseName.PREPARE)
    demo_tree.build(source)
    subclient = _configure(task, folder, node)
    task.tell("sample-tree", f"Sample files are in {source}; the subclient {subclient.path} protects them.")
    _test(task, subclient)

    task.phase(PhaseName.SNAPSHOT)
    _snap_and_copy(task, subclient, JobState.COMPLETED)
    demo_tree.change(source, round_number=1)
    expected = demo_tree.fingerprint(source / demo_tree.DOCUMENTS)
    second = _snap_and_copy(task, subclient, JobState.COMPLETED)
    demo_tree.change(source, round_number=2)
    failure = _planned_failure(task, subclient, source)

    task.phase(PhaseName.RESTORE)
    verified = _restore(task, second, source, folder / "restored", expected)
    task.phase(PhaseName.FINISH)
    return Done(result={"subclient": subclient.path, "verified_files": verified, "planned_failure": failure})


def _configure(task: Task, folder: Path, node: AccessNode) -> Subclient:
    """Medium, policy, file server and subclient, pinned to the node whose disk holds the sample files."""
    who: dict[str, Any] = {"user": task.job.started_by, "how": "system"}
    medium = Media.objects.filter(name=MEDIUM).first() or configuration.create_media(
        name=MEDIUM,
        description="Sample data: a repository on this node's own disk.",
        kind="disk",
        options={"path": str(folder / "media"), "create_directory": True},
        secrets={REPOSITORY_PASSWORD: PlainSecret(secrets.token_urlsafe(24))},
        **who,
    )
    policy = StoragePolicy.objects.filter(name=POLICY).first()
    if policy is None:
        policy = configuration.create_policy(name=POLICY, description="Sample data: copies on demand.", **who)
        configuration.create_copy(policy, name=COPY, media=medium, media_agents=[node], **who)
    server = FileServer.objects.filter(name=SERVER).first() or configuration.create_file_server(
        name=SERVER,
        description="Sample data: a directory on this node.",
        engine="directory",
        options={"area": str(folder / "snapshots")},
        access_nodes=[node],
        **who,
    )
    return Subclient.objects.filter(file_server=server, name=SUBCLIENT).first() or configuration.create_subclient(
        file_server=server,
        name=SUBCLIENT,
        description="Sample data: the files of a small office.",
        content_paths=[str(folder / "source")],
        policy=policy,
        **who,
    )


def _test(task: Task, subclient: Subclient) -> None:
    """Press **Test** on the medium and the file server, as a person would."""
    for tested in ({"media": Media.objects.get(name=MEDIUM)}, {"file_server": subclient.file_server}):
        job = _wait(task, launch_test(**tested, node=task.job.node, **_who(task)))
        if job.state != JobState.COMPLETED:
            raise SampleDataFailed(f"Job {job.pk}, a test, is {job.get_state_display().lower()}.")


def _snap_and_copy(task: Task, subclient: Subclient, ends: JobState) -> Snapshot:
    snapped = _wait(task, _launch(task, subclient))
    if snapped.state not in (JobState.COMPLETED, ends) or snapped.snapshot is None:
        raise SampleDataFailed(f"Job {snapped.pk}, a snapshot, is {snapped.get_state_display().lower()}.")
    _copy(task, subclient, ends)
    return snapped.snapshot


def _launch(task: Task, subclient: Subclient) -> Job:
    """A snapshot; one that an interrupted attempt of the sample data left running is waited for first."""
    try:
        return launch_snapshot(subclient, **_who(task))
    except CannotLaunch as refusal:
        if refusal.job is None:
            raise
        _wait(task, refusal.job)
        return launch_snapshot(subclient, **_who(task))


def _copy(task: Task, subclient: Subclient, ends: JobState) -> None:
    """Until nothing waits; the last copy is the one of the last snapshot."""
    copied = _wait(task, launch_backup_copy(subclient, **_who(task)))
    while following := Job.objects.filter(pk=copied.result.get("next_job")).first():
        copied = _wait(task, following)
    if copied.state != ends:
        raise SampleDataFailed(f"Job {copied.pk}, a backup copy, is {copied.get_state_display().lower()}.")


def _planned_failure(task: Task, subclient: Subclient, source: Path) -> str:
    """The third snapshot while one file is held by another program: its copy is *completed with errors*."""
    with demo_tree.kept_by_another(source / demo_tree.UNREADABLE) as is_unreadable:
        if not is_unreadable:
            task.tell(
                "sample-failure-impossible",
                "This file system has no leases and root reads every file, so the planned failure is left out.",
                level=Level.WARNING,
            )
            _snap_and_copy(task, subclient, JobState.COMPLETED)
            return ""
        task.tell(
            "sample-failure", f"{demo_tree.UNREADABLE} is held open exclusively while the third snapshot is taken."
        )
        _snap_and_copy(task, subclient, JobState.COMPLETED_WITH_ERRORS)
    return demo_tree.UNREADABLE


def _restore(task: Task, snapshot: Snapshot, source: Path, target: Path, expected: dict[str, str]) -> int:
    """Restore the documents as they were at a snapshot, and compare every byte with what they were then."""
    shutil.rmtree(target, ignore_errors=True)
    row = BackupCopy.objects.select_related("snapshot__subclient__file_server", "copy__media", "media").get(
        snapshot=snapshot
    )
    documents = str(source / demo_tree.DOCUMENTS).encode()
    job = _wait(
        task,
        launch_restore(
            snapshot,
            row.copy,
            paths=[documents],
            target=str(target),
            strip_prefix=str(source).encode(),
            node=task.job.node,
            overwrite=Overwrite.ALWAYS,
            **_who(task),
        ),
    )
    if job.state != JobState.COMPLETED:
        raise SampleDataFailed(f"Job {job.pk}, a restore, is {job.get_state_display().lower()}.")
    found = demo_tree.fingerprint(target / demo_tree.DOCUMENTS)
    if found != expected:
        raise SampleDataFailed(
            f"Job {job.pk} restored {len(found)} files that are not the {len(expected)} of the snapshot."
        )
    task.tell("sample-restore", f"{len(found)} files were restored to {target} and are what they were.")
    return len(found)


def _wait(task: Task, job: Job) -> Job:
    """Until the job is over. When the sample data is killed, so is the job it waits for."""
    Job.objects.filter(pk=job.pk).update(parent=task.job)
    try:
        while job.state not in states.FINAL:
            task.orders.check()
            task.clock.sleep(_POLL_SECONDS)
            job.refresh_from_db()
    except EngineKilled:
        with suppress(CannotControl):
            kill_job(job)
        raise
    return job


def _who(task: Task) -> dict[str, Any]:
    return {"user": task.job.started_by, "initiator": task.job.initiator, "how": task.job.how}
