"""The copies of a policy as the file wants them: written in the order in which they feed each other, then ordered."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from policies import services
from policies.audit import Actor, How
from policies.declared import lookups
from policies.declared.picture import retention_of
from policies.declared.reading import Entry
from policies.models import Copy, CopyKind, Retention, StoragePolicy
from policies.models.policy_choices import BACKUP_KINDS
from policies.previews import Deletion, deletions_of_edit


def write_copy(policy: StoragePolicy, entry: Entry, user: Actor) -> list[Deletion]:
    """A new policy's own primary snap copy takes the name that the file gives it.

    Returns what the next aging would delete because of the edit, and would not delete without it (RULES R9).
    """
    copy = policy.copies.filter(name=entry.name).first()
    if copy is None and entry.values.get("kind") == CopyKind.PRIMARY_SNAP and policy.copies.count() == 1:
        copy = policy.copies.filter(kind=CopyKind.PRIMARY_SNAP).first()
    values = _values(policy, entry, copy)
    if copy is None:
        services.create_copy(policy, user=user, how=How.CLI, **values)
        return []
    deletions = deletions_of_edit(copy=copy, changes=values)
    services.update_copy(copy, user=user, how=How.CLI, **values)
    return deletions


def in_feeding_order(entries: list[Entry]) -> list[Entry]:
    """A copy after the one it is fed from; what feeds itself in a circle comes last and is refused by the service.

    Primary copies come before secondary ones, which need them.
    """
    kinds = [CopyKind.PRIMARY_SNAP, CopyKind.PRIMARY_BACKUP]
    left = sorted(entries, key=lambda entry: ([*kinds, entry.values.get("kind")]).index(entry.values.get("kind")))
    ordered: list[Entry] = []
    while left:
        waiting = {entry.name for entry in left}
        ready = [entry for entry in left if entry.values.get("source") not in waiting - {entry.name}] or left[:1]
        ordered += ready
        left = [entry for entry in left if entry not in ready]
    return ordered


def order_copies(policy: StoragePolicy, names: list[str], user: Actor) -> None:
    """The file's order is the precedence; copies it does not name follow, snap copies stay before backup copies."""
    copies = list(policy.copies.order_by("precedence"))
    place = {name: number for number, name in enumerate(names)}
    wanted = sorted(copies, key=lambda copy: (_family(copy), place.get(copy.name, len(names))))
    for number, copy in enumerate(wanted, 1):
        services.place_copy(copy, precedence=number, user=user, how=How.CLI)


def _family(copy: Copy) -> int:
    return 0 if copy.kind == CopyKind.PRIMARY_SNAP else 1 if not copy.is_backup else 2


def _values(policy: StoragePolicy, entry: Entry, copy: Copy | None) -> dict[str, Any]:
    given = entry.values
    values: dict[str, Any] = {"name": entry.name}
    for key, field in (("kind", "kind"), ("active", "is_active"), ("aging", "ages"), ("extended", "extended")):
        if key in given:
            values[field] = given[key]
    if "medium" in given:
        values["media"] = lookups.medium_row(given["medium"], key="medium")
    if "target_server" in given:
        values["target_server"] = lookups.server_row(given["target_server"], key="target_server")
    if "media_agents" in given:
        values["media_agents"] = lookups.node_rows(given["media_agents"], key="media_agents")
    if "source" in given:
        source = given["source"]
        path = None if source is None else f"{policy.name}/{source}"
        values["source"] = lookups.copy_row(path, key="source")
    kind = str(given.get("kind") or (copy.kind if copy else ""))
    if "retention" in given and (copy is None or retention_of(copy) != given["retention"]):
        values |= _retention(kind, given["retention"])
    return values


def _retention(kind: str, given: str | dict[str, int]) -> dict[str, Any]:
    if isinstance(given, str):
        return {"retention": Retention(given)}
    if set(given) == {"count"}:
        return {"retention": Retention.COUNT, "retention_count": given["count"]}
    if set(given) == {"days"} and kind not in BACKUP_KINDS:
        return {"retention": Retention.DAYS, "retention_days": given["days"]}
    if set(given) == {"days"}:
        raise ValidationError({"retention": ["A backup copy is kept by {days: 30, cycles: 1}, or infinite."]})
    return {"retention": Retention.BASIC, "retention_days": given["days"], "retention_cycles": given["cycles"]}
