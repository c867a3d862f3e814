"""What a deletion would take along, and what stands in its way: for the confirmation page and the refusal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast, runtime_checkable

from django.contrib.admin.utils import NestedObjects
from django.db import models, router
from django.db.models import Model, QuerySet

from policies.models import Copy, Secret

_NAMED: Final = 5
"""So many objects of a kind are named; the rest is a number."""


@runtime_checkable
class MayHoldNothing(Protocol):
    """A row of another app that stands for data, unless it only waits for it or the data is gone."""

    @property
    def holds_nothing(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionEffects:
    """Parts of sentences, such as “copy nightly/disk” or “212 snapshots”. ``needed_by`` not empty: no deletion."""

    goes_with: tuple[str, ...]
    needed_by: tuple[str, ...]
    forgets: tuple[str, ...]
    """Rows that stay and lose their reference, such as jobs in the history."""


def effects_of_deleting(instance: Model) -> DeletionEffects:
    """Follows the database's own rules of deletion, whichever app a table is in. Deletes nothing."""
    collector = NestedObjects(using=router.db_for_write(type(instance), instance=instance), origin=instance)
    collector.collect([instance])
    taken = [
        other
        for model, others in collector.data.items()
        if not model._meta.auto_created and model is not Secret
        for other in others
        if other != instance
    ]
    updated = [
        other
        for (field, value), groups in collector.field_updates.items()
        if value is None and not field.model._meta.auto_created
        for group in cast("list[Iterable[Model]]", groups)
        for other in group
    ]
    protecting = [other for other in collector.protected if not isinstance(other, Secret)]
    if isinstance(instance, Copy):
        taken += [other for other in protecting if _holds_nothing(other)]
        protecting = [other for other in protecting if not _holds_nothing(other)]
    return DeletionEffects(goes_with=_described(taken), needed_by=_described(protecting), forgets=_described(updated))


def rows_that_hold_nothing(copy: Copy) -> list[QuerySet[Any]]:
    """Rows of other apps that only wait for a copy, or whose data is gone; a query set for each table."""
    collector = NestedObjects(using=router.db_for_write(Copy, instance=copy), origin=copy)
    collector.collect([copy])
    waiting: dict[type[Model], list[int]] = defaultdict(list)
    for row in collector.protected:
        if _holds_nothing(row):
            waiting[type(row)].append(row.pk)
    return [kind._base_manager.filter(pk__in=keys) for kind, keys in waiting.items()]


def has_data(instance: Model) -> bool:
    """Rows of other apps stand for data of it that is still there, such as snapshots."""
    collector = NestedObjects(using=router.db_for_write(type(instance), instance=instance), origin=instance)
    collector.collect([instance])
    return any(isinstance(row, MayHoldNothing) and not row.holds_nothing for row in collector.protected)


def _holds_nothing(row: object) -> bool:
    return isinstance(row, MayHoldNothing) and row.holds_nothing


def is_needed(instance: Model) -> bool:
    """Something protects it from deletion: it is in use."""
    return bool(effects_of_deleting(instance).needed_by)


def _described(objects: Iterable[models.Model]) -> tuple[str, ...]:
    by_kind: dict[type[models.Model], list[models.Model]] = defaultdict(list)
    for thing in objects:
        by_kind[type(thing)].append(thing)
    parts: list[str] = []
    for kind, things in sorted(by_kind.items(), key=lambda item: str(item[0]._meta.verbose_name)):
        singular, plural = str(kind._meta.verbose_name), str(kind._meta.verbose_name_plural)
        if len(things) > _NAMED:
            parts.append(f"{len(things)} {plural}")
        else:
            parts.extend(f"{singular} {name}" for name in sorted(str(thing) for thing in things))
    return tuple(parts)
