"""Copies of storage policies: adding, changing, ordering and removing them. What they may be is in ``copy_checks``."""

from __future__ import annotations

import copy as shallow
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F

from policies import audit
from policies.errors import CannotDelete
from policies.models import AccessNode, Copy, CopyKind, ExtendedRetention, FileServer, Media, Retention, StoragePolicy
from policies.models.policy_choices import SNAP_KINDS
from policies.selectors.deletion import is_needed, rows_that_hold_nothing
from policies.services import writing
from policies.services.copy_checks import FIGURES, ExtendedValues, check_copy


class CopyValues(TypedDict, total=False):
    """``kind`` only when it is created; without one it is the primary backup copy, or another if there is one.

    ``retention_*`` figures that do not belong to ``retention`` are dropped. ``extended``: all rules, at most three.
    ``precedence``: its place in the policy from 1; snap copies stay before backup copies (RULES V1).
    """

    name: str
    kind: str
    media: Media | None
    media_agents: Iterable[AccessNode]
    is_active: bool
    source: Copy | None
    target_server: FileServer | None
    retention: str
    retention_days: int | None
    retention_cycles: int | None
    retention_count: int | None
    ages: bool
    extended: Sequence[ExtendedValues]
    precedence: int


@transaction.atomic
def create_copy(
    policy: StoragePolicy, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[CopyValues]
) -> Copy:
    """Another copy, last of its family: snap copies before backup copies. Raises ValidationError."""
    StoragePolicy.objects.select_for_update().get(pk=policy.pk)
    kind = CopyKind(values.get("kind") or _next_backup_kind(policy))
    plain, extended, place = _split(values)
    _refuse_second_primary(policy, kind)
    plain |= {"policy": policy, "kind": kind, "precedence": _make_room(policy, kind)}
    draft = _draft(Copy(), plain)
    check_copy(draft, extended or ())
    made = writing.create(Copy(), values=plain | _figures(draft), user=user, how=how)
    if extended:
        _write_extended(made, extended, user=user, how=how)
    if place is not None:
        place_copy(made, precedence=place, user=user, how=how)
    return made


@transaction.atomic
def update_copy(copy: Copy, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[CopyValues]) -> Copy:
    """Its kind never changes, its medium or target only while nothing was copied. Raises ValidationError.

    What an edit of the retention deletes, the next aging deletes; :mod:`policies.previews` tells before (RULES R9).
    """
    StoragePolicy.objects.select_for_update().get(pk=copy.policy_id)
    current = Copy.objects.select_related("policy").get(pk=copy.pk)
    if values.get("kind", current.kind) != current.kind:
        raise ValidationError({"kind": "A copy stays what it is. Add another one."})
    plain, extended, place = _split(values)
    draft = _draft(current, plain)
    check_copy(draft, extended_values(current) if extended is None else extended)
    _refuse_to_move_data(current, draft)
    _refuse_to_stop_the_source(current, draft)
    writing.update(copy, values=plain | _figures(draft), user=user, how=how)
    if draft.media_id != current.media_id:
        for rows in rows_that_hold_nothing(current):
            rows.update(media=draft.media)
    if extended is not None:
        _write_extended(copy, extended, user=user, how=how)
    if place is not None:
        place_copy(copy, precedence=place, user=user, how=how)
    return copy


@transaction.atomic
def place_copy(copy: Copy, *, precedence: int, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Put it at a place from 1; its neighbours move up. The primary snap copy stays first, snap copies before backup.

    Raises ValidationError for a place that is not its family's.
    """
    copies = list(Copy.objects.select_for_update().filter(policy=copy.policy_id).order_by("precedence"))
    mine = next(other for other in copies if other.pk == copy.pk)
    order = [other for other in copies if other.pk != copy.pk]
    order.insert(min(max(precedence, 1), len(copies)) - 1, mine)
    if order[0].kind != CopyKind.PRIMARY_SNAP or [other.is_backup for other in order] != sorted(
        other.is_backup for other in order
    ):
        raise ValidationError(
            {"precedence": "The primary snap copy comes first, then the other snap copies, then the backup copies."}
        )
    # the unique constraint is checked at commit, so that rows can change places
    for place, other in enumerate(order, 1):
        before = other.precedence
        if before == place:
            continue
        Copy.objects.filter(pk=other.pk).update(precedence=place)
        changes = {"precedence": [before, place]}
        audit.record(action=audit.Action.CHANGED, instance=other, user=user, how=how, changes=changes)
    copy.refresh_from_db(fields=["precedence"])


def move_copy(copy: Copy, *, earlier: bool, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Swap precedence with the neighbour; nothing happens at the end of its family."""
    copies = list(Copy.objects.filter(policy=copy.policy_id).order_by("precedence"))
    here = next(place for place, other in enumerate(copies) if other.pk == copy.pk)
    there = here - 1 if earlier else here + 1
    if not 0 <= there < len(copies) or copies[there].is_backup != copies[here].is_backup:
        return
    if CopyKind.PRIMARY_SNAP in {copies[here].kind, copies[there].kind}:
        return
    place_copy(copy, precedence=there + 1, user=user, how=how)


def delete_copy(copy: Copy, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Raises CannotDelete for the primary snap copy, for a copy that feeds others, and while data lies on it."""
    if copy.kind == CopyKind.PRIMARY_SNAP:
        raise CannotDelete(
            "Every policy has its primary snap copy (RULES O1).", hint="Delete the policy, or make it inactive."
        )
    followers = list(copy.fed_copies.all())
    if copy.kind == CopyKind.PRIMARY_BACKUP:
        followers += copy.policy.copies.filter(kind=CopyKind.SECONDARY_BACKUP).exclude(source=copy)
    if followers:
        raise CannotDelete(
            "Other copies of the policy follow this one.",
            needed_by=[f"copy {other}" for other in followers],
            hint="Delete them first, or make this copy inactive.",
        )
    if copy.source_of_policies.exists():
        raise CannotDelete(
            "The policy's backup copies read from this copy.", hint="Choose another source on the policy first."
        )
    if is_needed(copy):
        raise CannotDelete(
            f"Data lies on the copy “{copy}”.",
            hint="Make it inactive: it then receives nothing, nothing waits for it, and what lies there ages by its "
            "retention. It can be deleted when nothing is left.",
        )
    writing.delete(copy, user=user, how=how)


def extended_values(copy: Copy) -> list[ExtendedValues]:
    """The extended rules of a saved copy, in order."""
    return [{"period": rule.period, "pick": rule.pick, "days": rule.days} for rule in copy.extended.all()]


def _next_backup_kind(policy: StoragePolicy) -> CopyKind:
    has_primary = policy.copies.filter(kind=CopyKind.PRIMARY_BACKUP).exists()
    return CopyKind.SECONDARY_BACKUP if has_primary else CopyKind.PRIMARY_BACKUP


def _refuse_second_primary(policy: StoragePolicy, kind: CopyKind) -> None:
    """RULES O1."""
    if kind in {CopyKind.PRIMARY_SNAP, CopyKind.PRIMARY_BACKUP} and policy.copies.filter(kind=kind).exists():
        raise ValidationError({"kind": f"The policy has its {kind.label.lower()} already. Add a secondary one."})


def _make_room(policy: StoragePolicy, kind: str) -> int:
    """The place of a new copy: the last of its family; later ones move up by one."""
    precedences = list(policy.copies.order_by("precedence").values_list("precedence", "kind"))
    before = [place for place, other in precedences if kind not in SNAP_KINDS or other in SNAP_KINDS]
    free = max(before, default=0) + 1
    policy.copies.filter(precedence__gte=free).update(precedence=F("precedence") + 1)
    return free


def _split(values: CopyValues) -> tuple[dict[str, Any], Sequence[ExtendedValues] | None, int | None]:
    plain = {name: value for name, value in values.items() if name not in {"extended", "precedence"}}
    return plain, values.get("extended"), values.get("precedence")


def _draft(copy: Copy, plain: dict[str, Any]) -> Copy:
    """As it would be saved; the row itself is not touched."""
    draft = shallow.copy(copy)
    draft._state = shallow.copy(copy._state)
    draft._state.fields_cache = dict(copy._state.fields_cache)
    for name, value in plain.items():
        if name != "media_agents":
            setattr(draft, name, value)
    for name, value in _figures(draft).items():
        setattr(draft, name, value)
    return draft


def _figures(draft: Copy) -> dict[str, int | None]:
    wanted = FIGURES[Retention(draft.retention)] if draft.retention in Retention.values else ()
    names = ("retention_days", "retention_cycles", "retention_count")
    return {name: getattr(draft, name) if name in wanted else None for name in names}


def _refuse_to_move_data(current: Copy, draft: Copy) -> None:
    if draft.media_id != current.media_id and is_needed(current):
        raise ValidationError(
            {"media": f"Backup copies lie on {current.media} already. Add another copy for the other medium."}
        )
    if draft.target_server_id != current.target_server_id and is_needed(current):
        raise ValidationError(
            {"target_server": f"Snapshots lie on {current.target_server} already. Add another copy for the other one."}
        )


def _refuse_to_stop_the_source(current: Copy, draft: Copy) -> None:
    """An inactive copy receives nothing (RULES O3), so that what reads from it would wait for ever (B6)."""
    if current.is_active and not draft.is_active and current.source_of_policies.exists():
        raise ValidationError(
            {"is_active": "The policy's backup copies read from this copy. Choose another source on the policy first."}
        )


def _write_extended(copy: Copy, rules: Sequence[ExtendedValues], *, user: audit.Actor, how: str) -> None:
    if extended_values(copy) == list(rules):
        return
    before = [str(rule) for rule in copy.extended.all()]
    copy.extended.all().delete()
    for position, rule in enumerate(rules, 1):
        made = ExtendedRetention(copy=copy, position=position, **rule)
        made.full_clean()
        made.save()
    changes = {"extended": [before, [str(rule) for rule in copy.extended.all()]]}
    audit.record(action=audit.Action.CHANGED, instance=copy, user=user, how=how, changes=changes)
