"""Snapshot jobs: rows to the snapshot engine and back, phases of RULES S1, then the inline backup copies (B1, B9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from django.db import transaction

from jobs.engine.events import Level, PhaseName
from jobs.engine.ids import snapshot_name
from jobs.engine.snapshots.base import Capability, SnapshotEngine, SnapshotRef
from jobs.models import CatalogState, Initiator, Job, Snapshot
from jobs.models import Level as RanLevel
from jobs.rules import levels
from jobs.runner.cataloguing import catalog_phase
from jobs.runner.quiesce import quiesced
from jobs.runner.references import ref_to_json
from jobs.runner.task import Task
from jobs.selectors import backup_copies_of_policy
from jobs.services import CannotLaunch, NothingNew, launch_backup_copy, launch_secondary_copy
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import AwaitsChildren, Done, Outcome
from jobs.services.replicas import secondary_copies_of
from jobs.services.selection import refresh_selection
from policies.models import CatalogMode, Subclient
from policies.resolve import build_engine, incremental_limit, install_id

_POLICY = "policy_id"


def run(task: Task) -> Outcome:
    """Take the snapshot unless an earlier attempt of this job did, then launch the inline copies."""
    subclient = task.job.subclient
    if subclient is None:
        raise ConfigurationDeleted("The subclient of this job was deleted.")
    snapshot = Snapshot.objects.filter(job=task.job).first() or take(task, subclient)
    result: dict[str, object] = {"snapshot": snapshot.name}
    failures = _catalog(task, snapshot, subclient)
    children = _launch_inline(task, subclient)
    if children:
        waits = f"for its backup copy: job {', '.join(str(child.pk) for child in children)}"
        return AwaitsChildren(result=result, reason=waits, exceptions=task.recorder.exceptions + failures)
    task.phase(PhaseName.FINISH)
    return Done(result=result, exceptions=task.recorder.exceptions + failures)


def _tell(task: Task, engine: SnapshotEngine, ref: SnapshotRef) -> None:
    content = ", ".join(ref.content)
    if Capability.DUMP_STREAM in engine.capabilities:
        sentence = (
            f"Point {ref.name} of {content} was marked: the file server makes its own snapshot when it is copied."
        )
    else:
        sentence = f"Snapshot {ref.name} of {content} was taken."
    task.tell("snapshot-taken", sentence)


def _catalog(task: Task, snapshot: Snapshot, subclient: Subclient) -> int:
    """RULES S4: inline is a phase of this job, unless an inline copy follows: that knows all of it without a look."""
    policy = subclient.policy
    if policy.catalog != CatalogMode.INLINE or (policy.is_inline and backup_copies_of_policy(subclient)):
        return 0
    return catalog_phase(task, snapshot)


def take(task: Task, subclient: Subclient, *, pin_reason: str = "") -> Snapshot:
    """Take it and write its row. ``pin_reason``: it is a safety snapshot, pinned, and not what the job is about."""
    job = task.job
    task.phase(PhaseName.PREPARE)
    engine = build_engine(subclient.file_server)
    engine.validate_content(subclient.content_paths)
    _drop_leftovers(engine, job)
    decision = _decide(job, subclient)
    name = snapshot_name(install_id(), job.pk, job.attempt)
    with quiesced(task, subclient):
        task.phase(PhaseName.SNAPSHOT)
        ref = engine.create(name, subclient.content_paths, task.orders)
        snapshot = _record(job, subclient, ref, decision, pin_reason=pin_reason)
    _tell(task, engine, ref)
    for failed in ref.unread:
        task.recorder.emit(failed)
    for warning in ref.warnings:
        task.tell("snapshot-warning", warning, level=Level.WARNING)
    return snapshot


def _drop_leftovers(engine: SnapshotEngine, job: Job) -> None:
    """What an interrupted attempt of this very job left on the storage."""
    if job.attempt == 1:
        return
    mine = f"sc-{install_id()}-{job.pk}-"
    for ref in engine.list():
        if ref.name.startswith(mine) and not Snapshot.objects.filter(name=ref.name).exists():
            engine.delete(ref)


def _decide(job: Job, subclient: Subclient) -> levels.Decision:
    """RULES S2 and L3: asked, runs as, why."""
    known = subclient.snapshots.select_related("job").order_by("-taken_at", "-pk")
    previous = known.first()
    before = None
    if previous is not None:
        parameters = previous.job.parameters if previous.job else {}
        before = levels.Conditions(
            policy_id=parameters.get(_POLICY), engine=previous.engine, content=frozenset(previous.content)
        )
    now = levels.Conditions(
        policy_id=subclient.policy_id,
        engine=subclient.file_server.engine,
        content=frozenset(subclient.content_paths),
    )
    decision = levels.snapshot_level(
        asked=job.asked_level,
        previous=before,
        current=now,
        last_number=previous.level_number if previous else None,
        limit=incremental_limit(subclient.file_server),
        has_full=known.filter(ran_level=RanLevel.FULL).exists(),
    )
    parameters = {**job.parameters, _POLICY: subclient.policy_id}
    Job.objects.filter(pk=job.pk).update(
        ran_level=decision.level.value,
        level_number=decision.number,
        level_reason=decision.reason,
        parameters=parameters,
    )
    return decision


def _record(
    job: Job, subclient: Subclient, ref: SnapshotRef, decision: levels.Decision, *, pin_reason: str
) -> Snapshot:
    """The row at once, so that a death right after never loses the snapshot; selected for copying with it."""
    is_skipped = subclient.policy.catalog == CatalogMode.SKIP
    with transaction.atomic():
        snapshot = Snapshot.objects.create(
            subclient=subclient,
            job=job,
            name=ref.name,
            engine=ref.engine,
            ref=ref_to_json(ref),
            content=list(ref.content),
            initiator=job.initiator,
            asked_level=job.asked_level,
            ran_level=decision.level.value,
            level_number=decision.number,
            catalog_state=CatalogState.SKIPPED if is_skipped else CatalogState.PENDING,
            is_pinned=bool(pin_reason),
            pin_reason=pin_reason,
            exclusive_bytes=ref.exclusive_bytes,
            taken_at=datetime.fromtimestamp(ref.taken_at_ns / 1e9, tz=UTC),
        )
        if not pin_reason:
            Job.objects.filter(pk=job.pk).update(snapshot=snapshot)
        refresh_selection(subclient)
    return snapshot


def _launch_inline(task: Task, subclient: Subclient) -> list[Job]:
    """RULES B1: every active copy of an inline policy, oldest waiting snapshot first; what feeds others goes first."""
    if not subclient.policy.is_inline:
        return []
    job = task.job
    launches: list[Callable[..., Job]] = [
        partial(launch_secondary_copy, subclient=subclient, copy=copy) for copy in secondary_copies_of(subclient)
    ]
    launches += [partial(launch_backup_copy, subclient, copy) for copy in backup_copies_of_policy(subclient)]
    children = []
    for launch in launches:
        try:
            child = launch(user=job.started_by, initiator=Initiator.INLINE, how=job.how, parent=job)
        except NothingNew as nothing:
            task.tell("inline-copy-not-due", nothing.sentence)
            continue
        except CannotLaunch as refusal:
            task.tell("inline-copy-refused", refusal.sentence, level=Level.WARNING)
            continue
        if child.parent_id == job.pk:
            children.append(child)
    return children
