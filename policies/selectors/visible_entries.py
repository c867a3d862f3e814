"""Whose audit entries a user may see: those about objects they may see, and without the names that a change holds.

Jobs and snapshots are rows of :mod:`jobs`, which configuration never imports: it says here, once Django is ready, which
of them a user sees (``register``). An entry of a kind that nobody registered is for those who see everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from policies.models import AuditEntry, Copy
from policies.selectors.visible import (
    Person,
    sees_everything,
    visible_file_servers,
    visible_policies,
    visible_schedules,
    visible_subclients,
)
from snapcopy_site.lib.roles import role_of

Provider = Callable[[Person], QuerySet[Any]]

_OPEN: Final = ("medium", "access node", "blackout window", "restart policy")
"""Kinds that everybody with a role sees; nothing in them names a source."""

_REFERENCES: Final = frozenset({"policy", "file_server", "subclient", "copy", "target_server", "excluded_subclients"})
"""Fields that hold names of sources, perhaps of some that the user may not see."""

_providers: dict[str, Provider] = {}


def register(kind: str, provider: Provider) -> None:
    """``kind`` as the audit trail calls it; ``provider`` gives the rows that a user sees."""
    _providers[kind] = provider


def visible_entries(user: Person) -> QuerySet[AuditEntry]:
    found = AuditEntry.objects.all()
    if sees_everything(user):
        return found
    if role_of(user) is None:
        return found.none()
    wanted = Q(object_kind__in=_OPEN)
    for kind, provider in _providers.items():
        keys = provider(user).order_by().annotate(_text=Cast("pk", TextField())).values("_text")
        wanted |= Q(object_kind=kind, object_id__in=keys)
    return found.filter(wanted)


def without_hidden_names(entries: list[AuditEntry], user: Person) -> list[AuditEntry]:
    """The same entries; for a user with a scope without the changes of references, in memory only."""
    if not sees_everything(user):
        for entry in entries:
            entry.changes = {name: values for name, values in entry.changes.items() if name not in _REFERENCES}
    return entries


def _visible_copies(user: Person) -> QuerySet[Copy]:
    return Copy.objects.filter(policy__in=visible_policies(user))


register("file server", visible_file_servers)
register("subclient", visible_subclients)
register("storage policy", visible_policies)
register("schedule", visible_schedules)
register("copy", _visible_copies)
