"""One request for everything below a policy, a file server or a subclient (RULES B1): a job for each subclient."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db.models import QuerySet

from jobs.models import Job, ScheduleRun
from jobs.selectors import backup_copies_of_policy
from jobs.services.errors import CannotLaunch, NothingNew
from jobs.services.launch import Actor, launch_backup_copy, launch_snapshot
from policies.models import Copy, FileServer, StoragePolicy, Subclient

Scope = StoragePolicy | FileServer | Subclient


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The jobs, in order of their subclients' names, and a sentence for each that could not be launched.

    Both empty = nothing is new. A job that was running already and takes the request with it counts as launched.
    """

    jobs: list[Job] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def launch_snapshots(
    *,
    scope: Scope,
    level: str,
    initiator: str,
    how: str,
    user: Actor = None,
    schedule_run: ScheduleRun | None = None,
) -> Launched:
    """Snapshot every active subclient of the scope now. What is switched off is passed over."""
    launched = Launched()
    for subclient in subclients_of(scope):
        try:
            job = launch_snapshot(
                subclient, level=level, initiator=initiator, how=how, user=user, schedule_run=schedule_run
            )
        except CannotLaunch as refusal:
            launched.refused.append(f"{subclient.path}: {refusal.sentence}")
            continue
        launched.jobs.append(job)
    return launched


def launch_backup_copies(
    *,
    scope: Scope,
    copy: Copy | None = None,
    initiator: str,
    how: str,
    user: Actor = None,
    schedule_run: ScheduleRun | None = None,
) -> Launched:
    """Copy what waits, for every active subclient of the scope; ``copy`` None = to every active backup copy."""
    launched = Launched()
    for subclient in subclients_of(scope):
        for target in backup_copies_of_policy(subclient):
            if copy is not None and target.pk != copy.pk:
                continue
            try:
                job = launch_backup_copy(
                    subclient, target, initiator=initiator, how=how, user=user, schedule_run=schedule_run
                )
            except NothingNew:
                continue
            except CannotLaunch as refusal:
                launched.refused.append(f"{subclient.path} to {target.name}: {refusal.sentence}")
                continue
            launched.jobs.append(job)
    return launched


def subclients_of(scope: Scope) -> QuerySet[Subclient]:
    """The active subclients of active servers and policies, by name (RULES B1)."""
    active = Subclient.objects.filter(is_active=True, file_server__is_active=True, policy__is_active=True)
    match scope:
        case StoragePolicy():
            found = active.filter(policy=scope)
        case FileServer():
            found = active.filter(file_server=scope)
        case Subclient():
            found = active.filter(pk=scope.pk)
    return found.select_related("file_server", "policy").order_by("file_server__name", "name")
