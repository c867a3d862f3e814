"""Launching the comparison of storages with what is recorded of them, and what a person decides about it (RULES V4).

A job is of one file server: its own snapshots, and those that secondary copies sent there. Nothing is ever deleted by
a comparison; importing and deleting what was found are asked for by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet

from jobs.models import How, Initiator, Job, Operation, ScheduleRun, Snapshot
from jobs.selectors import active_jobs
from jobs.services.dispatch import dispatch
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor, create_job
from jobs.services.launch_many import Launched, Scope, subclients_of
from policies import audit
from policies.models import Copy, CopyKind, FileServer, Subclient
from policies.resolve import is_point, point_engines

FILE_SERVER: Final = "file_server"
"""Parameter: the id of the file server that is compared."""

ACCEPT: Final = "accept_missing"
"""Parameter: a person says that the snapshots are really gone, though not one of them is there."""

IMPORT: Final = "import"
"""Parameter: names of snapshots to take into the database, each with the id of the subclient it is of."""

DELETE: Final = "delete"
"""Parameter: names of snapshots that nobody knows, to be deleted from the storage."""


def launch_reconcile(
    server: FileServer,
    *,
    accept_missing: bool = False,
    imports: Mapping[str, Subclient] | None = None,
    deletions: Collection[str] = (),
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
    schedule_run: ScheduleRun | None = None,
) -> Job:
    """Compare what the storage holds with what is recorded. One at a time per file server; raises CannotLaunch.

    ``imports`` and ``deletions``: what else to do with snapshots that the installation does not know, by name.
    """
    imports = imports or {}
    with transaction.atomic():
        server = FileServer.objects.select_for_update().get(pk=server.pk)
        if not server.is_active:
            raise CannotLaunch(f"The file server {server.name} is switched off.", hint="Switch it on on its form.")
        if is_point(server.engine):
            raise CannotLaunch(f"{server.name} keeps no snapshots, so there is nothing to compare with the record.")
        if (running := active_reconcile(server)) is not None:
            raise CannotLaunch(f"Job {running.pk} is already reconciling {server.name}.", job=running)
        _refuse_known(server, [*imports, *deletions])
        parameters: dict[str, Any] = {FILE_SERVER: server.pk}
        if accept_missing:
            parameters[ACCEPT] = True
        if imports:
            parameters[IMPORT] = {name: subclient.pk for name, subclient in imports.items()}
        if deletions:
            parameters[DELETE] = sorted(deletions)
        job = create_job(
            operation=Operation.RECONCILE,
            subclient=None,
            user=user,
            initiator=initiator,
            how=how,
            file_server_label=server.name,
            parameters=parameters,
            schedule_run=schedule_run,
        )
        for sentence in _decisions(job, accept_missing=accept_missing, imports=imports, deletions=deletions):
            known = how if how in audit.How.values else audit.How.SYSTEM
            audit.record(action=audit.Action.OPERATED, instance=server, user=user, how=known, sentence=sentence)
    return dispatch(job.pk)


def launch_reconciles(*, scope: Scope, within: QuerySet[FileServer] | None = None, **given: Any) -> Launched:
    """For every storage that snapshots of the scope are on: the file servers, and where secondary copies send to.

    ``within``: only those among them that whoever asks may order something.
    """
    launched = Launched()
    servers = storages_of(scope)
    if within is not None:
        servers = servers.filter(pk__in=within.order_by().values("pk"))
    for server in servers:
        try:
            launched.jobs.append(launch_reconcile(server, **given))
        except CannotLaunch as refusal:
            launched.refused.append(f"{server.name}: {refusal.sentence}")
    return launched


def storages_of(scope: Scope) -> QuerySet[FileServer]:
    """By name, the active ones that keep snapshots. One that was named itself is among them in any case."""
    if isinstance(scope, FileServer):
        return FileServer.objects.filter(pk=scope.pk, is_active=True)
    subclients = Subclient.objects.filter(pk=scope.pk) if isinstance(scope, Subclient) else subclients_of(scope)
    copies = Copy.objects.filter(
        kind=CopyKind.SECONDARY_SNAP, is_active=True, policy__in=subclients.order_by().values("policy")
    )
    found = Q(pk__in=subclients.order_by().values("file_server")) | Q(pk__in=copies.values("target_server"))
    return FileServer.objects.filter(found, is_active=True).exclude(engine__in=point_engines())


def active_reconcile(server: FileServer) -> Job | None:
    """The one that is not over."""
    return active_jobs().filter(operation=Operation.RECONCILE, parameters__file_server=server.pk).first()


def reconcile_again(job: Job, **who: Any) -> Job:
    """The same comparison as a new job, without what a person decided then. Raises CannotLaunch."""
    server = FileServer.objects.filter(pk=job.parameters.get(FILE_SERVER)).first()
    if server is None:
        raise CannotLaunch("The file server of this job was deleted.", job=job)
    return launch_reconcile(server, **who)


def _refuse_known(server: FileServer, names: Collection[str]) -> None:
    known = (
        Snapshot.objects.filter(name__in=names, subclient__file_server=server)
        .exclude(state=Snapshot.State.DELETED)
        .first()
    )
    if known is not None:
        raise CannotLaunch(f"{known.name} is known: it is a snapshot of {known.subclient.path}.")


def _decisions(
    job: Job, *, accept_missing: bool, imports: Mapping[str, Subclient], deletions: Collection[str]
) -> list[str]:
    """What a person took upon themselves, for the audit trail. A mere comparison is told by what it finds."""
    told = [
        f"Imported from {job.file_server_label} as a snapshot of {subclient.path}: {name}, job {job.pk}"
        for name, subclient in imports.items()
    ]
    told += [
        f"Deleted from {job.file_server_label}, unknown to the database: {name}, job {job.pk}"
        for name in sorted(deletions)
    ]
    if accept_missing:
        told.append(f"Accepted that no recorded snapshot of {job.file_server_label} is there, job {job.pk}")
    return told
