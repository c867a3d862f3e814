"""Launching catalog jobs, and forgetting what is neither on the storage nor on media any more (RULES S4, R4)."""

from __future__ import annotations

from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from jobs.catalog.loading import forget_moment
from jobs.models import (
    BackupCopy,
    CatalogState,
    How,
    Initiator,
    Job,
    Operation,
    ScheduleRun,
    Snapshot,
    SnapshotState,
)
from jobs.rules import states
from jobs.selectors import active_jobs
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch, NothingNew
from jobs.services.launch import Actor, create_job
from jobs.services.launch_many import Launched, Scope, subclients_of
from policies.models import Subclient
from policies.resolve import dump_stream_engines

REBUILD: Final = "rebuild"
EVERYTHING: Final = "everything"
MEDIA_ONLY: Final = "media_only"
_WAITS: Final = (CatalogState.PENDING, CatalogState.FAILED)


def launch_catalog(
    subclient: Subclient,
    *,
    everything: bool = False,
    rebuild: bool = False,
    media_only: bool = False,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Catalogue what is pending. ``everything``: also what the policy skipped, as far as its data is still there.

    ``rebuild``: empty the catalog of the subclient first and make it anew; ``media_only``: from the repositories alone.
    One at a time per subclient. Raises CannotLaunch; NothingNew when nothing is to be catalogued.
    """
    running = active_jobs().filter(operation=Operation.CATALOG, subclient=subclient).first()
    if running is not None:
        raise _is_running(subclient, running)
    states_asked = [*_WAITS, *([CatalogState.SKIPPED] if everything or rebuild else [])]
    if rebuild:
        states_asked.append(CatalogState.DONE)
    asked = Snapshot.objects.filter(subclient=subclient, catalog_state__in=states_asked)
    listable = asked.filter(can_be_listed())
    if not (listable.filter(_has_data()) if everything or rebuild else listable).exists():
        raise NothingNew(f"Nothing of {subclient.path} is to be catalogued.")
    parameters: dict[str, Any] = {REBUILD: rebuild, EVERYTHING: everything, MEDIA_ONLY: media_only}
    try:
        with transaction.atomic():
            job = create_job(
                operation=Operation.CATALOG,
                subclient=subclient,
                user=user,
                initiator=initiator,
                how=how,
                parameters={name: True for name, value in parameters.items() if value},
                schedule_run=schedule_run,
            )
    except IntegrityError as error:
        found = active_jobs().filter(operation=Operation.CATALOG, subclient=subclient).first()
        if found is None:
            raise
        raise _is_running(subclient, found) from error
    return dispatch(job.pk)


def catalog_wishes(job: Job) -> dict[str, Any]:
    """What a catalog job was asked for, as keywords of :func:`launch_catalog`."""
    return {name: bool(job.parameters.get(name)) for name in (EVERYTHING, REBUILD, MEDIA_ONLY)}


def launch_catalogs(*, scope: Scope, **given: Any) -> Launched:
    """For every active subclient of the scope; see :func:`launch_catalog`. Nothing to do is no refusal."""
    launched = Launched()
    for subclient in subclients_of(scope):
        try:
            launched.jobs.append(launch_catalog(subclient, **given))
        except NothingNew:
            continue
        except CannotLaunch as refusal:
            launched.refused.append(f"{subclient.path}: {refusal.sentence}")
    return launched


def catalogable(subclient: Subclient) -> QuerySet[Snapshot]:
    """Snapshots that are not catalogued and could be: their data is still there."""
    missing = (CatalogState.SKIPPED, *_WAITS)
    return Snapshot.objects.filter(_has_data(), subclient=subclient, catalog_state__in=missing)


def mark_for_catalog(subclient: Subclient) -> int:
    """What was skipped is to be catalogued, as far as its data is still there. Returns how many."""
    return catalogable(subclient).update(catalog_state=CatalogState.PENDING)


def forget_lost(subclients: QuerySet[Subclient] | None = None) -> int:
    """Take out of the catalog what is neither on the storage nor on media any more; returns how many snapshots.

    Each is a transaction of its own, so that it may be stopped anywhere.
    """
    lost = Snapshot.objects.exclude(_has_data() | _is_awaited()).exclude(
        catalog_state__in=(CatalogState.AGED, CatalogState.SKIPPED)
    )
    if subclients is not None:
        lost = lost.filter(subclient__in=subclients)
    forgotten = 0
    for snapshot in lost.order_by("subclient", "taken_at"):
        with transaction.atomic():
            if snapshot.catalog_state == CatalogState.DONE:
                done = Snapshot.objects.filter(subclient=snapshot.subclient_id, catalog_state=CatalogState.DONE)
                after = done.filter(taken_at__gt=snapshot.taken_at).order_by("taken_at").first()
                following = after.taken_at if after is not None else None
                forget_moment(snapshot.subclient_id, snapshot.taken_at, following=following)
            Snapshot.objects.filter(pk=snapshot.pk).update(catalog_state=CatalogState.AGED, catalog_reason="")
        forgotten += 1
    return forgotten


def can_be_listed() -> Q:
    """Somebody can tell what is in the snapshot, or why not: of a dump that is only its copy (RULES S4)."""
    return ~Q(engine__in=dump_stream_engines()) | _is_on_media()


def _has_data() -> Q:
    on_storage = Q(state__in=(SnapshotState.PRESENT, SnapshotState.DELETING)) & ~Q(engine__in=dump_stream_engines())
    return _is_on_media() | on_storage


def _is_on_media() -> Q:
    return Q(Exists(BackupCopy.objects.filter(snapshot=OuterRef("pk"), state__in=states.ON_MEDIA)))


def _is_awaited() -> Q:
    """A point of which there will be a copy: it is not catalogued yet, and not lost."""
    return Q(engine__in=dump_stream_engines(), state=SnapshotState.PRESENT, catalog_state__in=_WAITS)


def _is_running(subclient: Subclient, job: Job) -> CannotLaunch:
    return CannotLaunch(f"Job {job.pk} is already cataloguing {subclient.path}.", job=job)
