"""The audit trail page by page: filtered, newest first, paged by key so that new entries do not shift a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db.models import Q, QuerySet

from policies.models import AuditEntry
from policies.selectors.visible import Person
from policies.selectors.visible_entries import visible_entries, without_hidden_names

PAGE_ROWS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityFilter:
    """Empty values do not filter. ``since`` and ``until`` are days in the current time zone, both included."""

    person: str = ""
    kind: str = ""
    action: str = ""
    words: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityPage:
    """``older_than`` and ``newer_than`` are the keys of the neighbouring pages; None = there is none."""

    entries: tuple[AuditEntry, ...]
    older_than: int | None
    newer_than: int | None


def activity(
    wanted: ActivityFilter,
    *,
    user: Person,
    older_than: int | None = None,
    newer_than: int | None = None,
    rows: int = PAGE_ROWS,
) -> ActivityPage:
    """One page of what the user may see: the newest, or the one beside the given key."""
    matching = _matching(wanted, user)
    if newer_than is not None:
        found = list(matching.filter(pk__gt=newer_than).order_by("pk")[: rows + 1])
        has_newer, has_older = len(found) > rows, True
        shown = found[:rows][::-1]
    else:
        older = matching.filter(pk__lt=older_than) if older_than is not None else matching
        found = list(older.order_by("-pk")[: rows + 1])
        has_newer, has_older = older_than is not None, len(found) > rows
        shown = found[:rows]
    return ActivityPage(
        entries=tuple(without_hidden_names(shown, user)),
        older_than=shown[-1].pk if shown and has_older else None,
        newer_than=shown[0].pk if shown and has_newer else None,
    )


def people_in_activity(user: Person) -> list[str]:
    """Everybody who did something that the user may see, for the filter."""
    labels = visible_entries(user).exclude(user_label="").order_by("user_label").values_list("user_label", flat=True)
    return list(labels.distinct())


def kinds_in_activity(user: Person) -> list[str]:
    """Every kind of object something was done to, for the filter."""
    return list(visible_entries(user).order_by("object_kind").values_list("object_kind", flat=True).distinct())


def history_of(kind: str, pk: int, *, rows: int = 10) -> list[AuditEntry]:
    """The newest entries about one object, for who may see it; pages show only which fields changed."""
    return list(AuditEntry.objects.filter(object_kind=kind, object_id=str(pk))[:rows])


def _matching(wanted: ActivityFilter, user: Person) -> QuerySet[AuditEntry]:
    entries = visible_entries(user)
    if wanted.person:
        entries = entries.filter(user_label=wanted.person)
    if wanted.kind:
        entries = entries.filter(object_kind=wanted.kind)
    if wanted.action:
        entries = entries.filter(action=wanted.action)
    if wanted.words:
        entries = entries.filter(Q(object_label__icontains=wanted.words) | Q(sentence__icontains=wanted.words))
    if wanted.since:
        entries = entries.filter(at__date__gte=wanted.since)
    if wanted.until:
        entries = entries.filter(at__date__lte=wanted.until)
    return entries
