"""Storage policies and their copies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max

from policies import audit
from policies.errors import CannotDelete
from policies.models import AccessNode, Copy, CopyKind, Media, StoragePolicy
from policies.selectors.deletion import is_needed
from policies.services import writing

PRIMARY_SNAP_NAME = "snapshot"


class PolicyValues(TypedDict, total=False):
    name: str
    description: str
    is_inline: bool
    is_active: bool


class CopyValues(TypedDict, total=False):
    """Of a backup copy. The primary snap copy has only ``name``, ``media_agents`` and ``is_active``."""

    name: str
    media: Media | None
    media_agents: Iterable[AccessNode]
    is_active: bool


@transaction.atomic
def create_policy(*, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[PolicyValues]) -> StoragePolicy:
    """A policy with its primary snap copy (RULES O1). Add backup copies with :func:`create_copy`."""
    policy = writing.create(StoragePolicy(), values=values, user=user, how=how)
    snap = {"policy": policy, "name": PRIMARY_SNAP_NAME, "kind": CopyKind.PRIMARY_SNAP, "precedence": 1}
    writing.create(Copy(), values=snap, user=user, how=how)
    return policy


def update_policy(
    policy: StoragePolicy, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[PolicyValues]
) -> StoragePolicy:
    return writing.update(policy, values=values, user=user, how=how)


def delete_policy(policy: StoragePolicy, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """With its copies. Raises CannotDelete while subclients or backup copies need it."""
    writing.delete(policy, user=user, how=how)


@transaction.atomic
def create_copy(
    policy: StoragePolicy, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[CopyValues]
) -> Copy:
    """Another backup copy, last in precedence: the first is the primary one, further ones are fed as it is."""
    StoragePolicy.objects.select_for_update().get(pk=policy.pk)
    has_primary = policy.copies.filter(kind=CopyKind.PRIMARY_BACKUP).exists()
    last = policy.copies.aggregate(last=Max("precedence"))["last"] or 0
    given = {
        "policy": policy,
        "kind": CopyKind.SECONDARY_BACKUP if has_primary else CopyKind.PRIMARY_BACKUP,
        "precedence": last + 1,
    }
    _require_medium(values.get("media"))
    _refuse_same_medium(policy, values.get("media"), but_not=None)
    return writing.create(Copy(), values=given | values, user=user, how=how)


@transaction.atomic
def update_copy(copy: Copy, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[CopyValues]) -> Copy:
    """The medium can change only while nothing was copied."""
    StoragePolicy.objects.select_for_update().get(pk=copy.policy_id)
    medium = values.get("media")
    if copy.is_backup and "media" in values:
        _require_medium(medium)
        if medium is not None and medium.pk != copy.media_id:
            _refuse_same_medium(copy.policy, medium, but_not=copy)
            if is_needed(copy):
                raise ValidationError(
                    {"media": f"Backup copies lie on {copy.media} already. Add another copy for the other medium."}
                )
    return writing.update(copy, values=values, user=user, how=how)


@transaction.atomic
def move_copy(copy: Copy, *, earlier: bool, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Swap precedence with the neighbour; nothing happens at the end of the list, or past the primary snap copy."""
    copies = list(Copy.objects.select_for_update().filter(policy=copy.policy_id).order_by("precedence"))
    here = next(place for place, other in enumerate(copies) if other.pk == copy.pk)
    there = here - 1 if earlier else here + 1
    if not 0 <= there < len(copies) or not (copies[here].is_backup and copies[there].is_backup):
        return
    mine, other = copies[here], copies[there]
    before, after = mine.precedence, other.precedence
    # the unique constraint is checked at commit, so that two rows can swap
    Copy.objects.filter(pk=mine.pk).update(precedence=after)
    Copy.objects.filter(pk=other.pk).update(precedence=before)
    for changed, change in ((mine, [before, after]), (other, [after, before])):
        audit.record(action=audit.Action.CHANGED, instance=changed, user=user, how=how, changes={"precedence": change})


def delete_copy(copy: Copy, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Raises CannotDelete for the primary snap copy, for a primary others follow, and while backup copies need it."""
    if copy.kind == CopyKind.PRIMARY_SNAP:
        raise CannotDelete(
            "Every policy has its primary snap copy (RULES O1).", hint="Delete the policy, or make it inactive."
        )
    followers = copy.policy.copies.filter(kind=CopyKind.SECONDARY_BACKUP)
    if copy.kind == CopyKind.PRIMARY_BACKUP and followers.exists():
        raise CannotDelete(
            "The primary backup copy comes first while there are others.",
            needed_by=[f"copy {other}" for other in followers],
            hint="Delete the secondary backup copies first, or make this copy inactive.",
        )
    writing.delete(copy, user=user, how=how)


def _require_medium(medium: Media | None) -> None:
    if medium is None:
        raise ValidationError({"media": "Choose where the backup copies go."})


def _refuse_same_medium(policy: StoragePolicy, medium: Media | None, *, but_not: Copy | None) -> None:
    """Two copies on one medium would share each byte: one fault takes both."""
    if medium is None:
        return
    others = [copy for copy in policy.copies.filter(media=medium) if copy != but_not]
    if others:
        raise ValidationError({"media": f"The copy “{others[0].name}” of this policy is on {medium} already."})
