"""Which jobs, snapshots and copies a user may see: what is of a subclient of theirs. Every page of the work asks here.

The configuration's half is :mod:`policies.selectors.visible`. What is of everything at once, such as aging or the
pruning of a medium, names what it touches; with a scope it is not shown, and nobody with one may order it.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from jobs.models import BackupCopy, Job, Operation, Snapshot, SnapshotMount, SnapshotReplica
from policies.models import Copy
from policies.selectors.visible import (
    Person,
    sees_everything,
    visible_file_servers,
    visible_policies,
    visible_subclients,
    whole_file_servers,
)
from snapcopy_site.lib.roles import role_of

Row = TypeVar("Row", bound=Model)

_OF_A_MEDIUM: Final = (Operation.PRUNE, Operation.VERIFY, Operation.REPAIR, Operation.ATTACH)
"""They tell of everything that lies on the medium."""


def visible_jobs(user: Person) -> QuerySet[Job]:
    """Newest first: of their subclients, tests of their file servers and of media, reconciliations of whole servers."""
    found = Job.objects.order_by("-pk")
    if sees_everything(user):
        return found
    if role_of(user) is None:
        return found.none()
    of_mine = Q(subclient__in=visible_subclients(user)) & ~Q(operation__in=_OF_A_MEDIUM)
    tests = Q(operation=Operation.TEST) & (
        Q(parameters__has_key="media") | Q(_server__in=_keys(visible_file_servers(user)))
    )
    reconciled = Q(operation=Operation.RECONCILE, _server__in=_keys(whole_file_servers(user)))
    return found.alias(_server=KeyTextTransform("file_server", "parameters")).filter(of_mine | tests | reconciled)


def visible_snapshots(user: Person) -> QuerySet[Snapshot]:
    return _of_subclients(Snapshot.objects.all(), "subclient", user)


def visible_backup_copies(user: Person) -> QuerySet[BackupCopy]:
    return _of_subclients(BackupCopy.objects.all(), "snapshot__subclient", user)


def visible_replicas(user: Person) -> QuerySet[SnapshotReplica]:
    return _of_subclients(SnapshotReplica.objects.all(), "snapshot__subclient", user)


def visible_mounts(user: Person) -> QuerySet[SnapshotMount]:
    return _of_subclients(SnapshotMount.objects.all(), "snapshot__subclient", user)


def visible_copies(user: Person) -> QuerySet[Copy]:
    """Copies of the policies they see."""
    found = Copy.objects.all()
    return found if sees_everything(user) else found.filter(policy__in=visible_policies(user))


def only_visible(jobs: QuerySet[Job], user: Person) -> QuerySet[Job]:
    """Those of ``jobs`` that the user may see; the very same query for one who sees everything."""
    return jobs if sees_everything(user) else jobs.filter(pk__in=visible_jobs(user).order_by().values("pk"))


def require_everything(user: Person) -> None:
    """For orders that act on everything at once. Raises PermissionDenied for a user with a scope."""
    if not sees_everything(user):
        raise PermissionDenied(
            "This acts on everything, also on what is outside your scope. Ask somebody without a scope, or an admin."
        )


def _of_subclients(rows: QuerySet[Row], path: str, user: Person) -> QuerySet[Row]:
    return rows if sees_everything(user) else rows.filter(**{f"{path}__in": visible_subclients(user)})


def _keys(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Their keys as texts, as the parameters of a job hold them."""
    keys: QuerySet[Any] = rows.order_by().annotate(_text=Cast("pk", TextField())).values("_text")
    return keys
