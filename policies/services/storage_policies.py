"""Storage policies: how snapshots are selected, copied and waited for. Their copies are in ``copies``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.db import transaction

from policies import audit
from policies.models import Copy, CopyKind, Period, Selection, StoragePolicy, Subclient
from policies.services import writing

PRIMARY_SNAP_NAME = "snapshot"
BY_PERIOD = (Selection.FIRST, Selection.LAST)


class PolicyValues(TypedDict, total=False):
    """The columns of the same names; ``selection_period`` is dropped where ``selection`` has none."""

    name: str
    description: str
    is_inline: bool
    is_active: bool
    catalog: str
    backup_source: Copy | None
    allow_primary: bool
    selection: str
    selection_period: str
    selection_starts_on: date | None
    defer_days: int
    excluded_subclients: Iterable[Subclient]
    alert_after_hours: int
    overdue_after_days: int
    overdue_action: str
    offline_attempts: int
    offline_days: int


@transaction.atomic
def create_policy(*, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[PolicyValues]) -> StoragePolicy:
    """A policy with its primary snap copy (RULES O1), which keeps its snapshots for ever until it is told otherwise.

    Add other copies with :func:`policies.services.create_copy`.
    """
    policy = writing.create(StoragePolicy(), values=_checked(StoragePolicy(), values), user=user, how=how)
    snap = {"policy": policy, "name": PRIMARY_SNAP_NAME, "kind": CopyKind.PRIMARY_SNAP, "precedence": 1}
    writing.create(Copy(), values=snap, user=user, how=how)
    return policy


def update_policy(
    policy: StoragePolicy, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[PolicyValues]
) -> StoragePolicy:
    return writing.update(policy, values=_checked(policy, values), user=user, how=how)


def delete_policy(policy: StoragePolicy, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """With its copies. Raises CannotDelete while subclients or backup copies need it."""
    writing.delete(policy, user=user, how=how)


def _checked(policy: StoragePolicy, values: PolicyValues) -> PolicyValues:
    problems: dict[str, str] = {}
    source = values.get("backup_source")
    if source is not None:
        problems |= _source_problem(policy, source)
    selection = values.get("selection", policy.selection)
    period = values.get("selection_period", policy.selection_period)
    if selection in BY_PERIOD and period not in Period.values:
        problems["selection_period"] = "Choose the period of which the first or last full is copied."
    for name in ("alert_after_hours", "overdue_after_days", "offline_attempts"):
        if values.get(name, 1) == 0:
            problems[name] = "At least 1."
    if problems:
        raise ValidationError({name: [sentence] for name, sentence in problems.items()})
    if "selection" in values or "selection_period" in values:
        return values | {"selection_period": period if selection in BY_PERIOD else ""}
    return values


def _source_problem(policy: StoragePolicy, source: Copy) -> dict[str, str]:
    """RULES O1 and B6: the primary snap copy (None), or one active secondary snap copy of this policy."""
    if source.policy_id != policy.pk:
        return {"backup_source": "Choose a secondary snap copy of this policy."}
    if source.kind != CopyKind.SECONDARY_SNAP:
        return {"backup_source": "Backup copies read from the primary snap copy or from one secondary snap copy."}
    if not source.is_active:
        return {"backup_source": f"The copy “{source.name}” is inactive: nothing would ever arrive there."}
    return {}
