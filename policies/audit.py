"""The audit trail: what an object looked like before and after, and the row that says who did it.

Secrets never get here: a changed secret is the word “changed”. Any app may :func:`record` what a person did.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models

from policies.models import AuditEntry

Actor = AbstractBaseUser | AnonymousUser | None
Action = AuditEntry.Action
How = AuditEntry.How

_NOT_SHOWN: Final = frozenset(
    {
        "id",
        "created_at",
        "updated_at",
        "last_test",
        "last_tested_at",
        "measured_at",
        "password",
        "last_login",
        "date_joined",
        "active_since",
        "last_slot_at",
        "next_slot_at",
    }
)


def picture(instance: models.Model) -> dict[str, object]:
    """The object's fields as JSON for people: references as names, sets as sorted lists of names."""
    shown: dict[str, object] = {}
    for field in instance._meta.concrete_fields:
        if field.name in _NOT_SHOWN:
            continue
        value = getattr(instance, field.name)
        shown[field.name] = value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)
    if instance.pk:
        for many in instance._meta.many_to_many:
            shown[many.name] = sorted(str(other) for other in getattr(instance, many.name).all())
    return shown


def difference(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, list[object]]:
    """``{field: [before, after]}`` of what differs; options are compared one by one as ``options.path``."""
    old, new = _flat(before), _flat(after)
    return {name: [old.get(name), new.get(name)] for name in sorted(old | new) if old.get(name) != new.get(name)}


def record(
    *,
    action: AuditEntry.Action,
    instance: models.Model,
    user: Actor,
    how: str = How.WEB,
    changes: Mapping[str, object] | None = None,
    sentence: str = "",
) -> AuditEntry:
    """Add an entry. Call it in the transaction of the change itself. ``user`` None = the system."""
    person = user if isinstance(user, User) else None
    if person is None and how == How.WEB:
        how = How.SYSTEM
    return AuditEntry.objects.create(
        action=action,
        user=person,
        user_label=str(person) if person else "",
        how=how,
        object_kind=str(instance._meta.verbose_name),
        object_id=str(instance.pk),
        object_label=str(instance)[:200],
        sentence=sentence[:300],
        changes=dict(changes or {}),
    )


def _flat(values: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat
