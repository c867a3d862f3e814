"""Restart policies: one row per operation that an admin changed (RULES J4)."""

from __future__ import annotations

from typing import TypedDict, Unpack

from django.core.exceptions import ValidationError

from policies import audit
from policies.models import RestartPolicy
from policies.selectors.restarts import LABELS
from policies.services import writing


class RestartValues(TypedDict, total=False):
    times: int
    first_seconds: int
    most_seconds: int
    total_hours: int | None


def set_restart_policy(
    operation: str, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[RestartValues]
) -> RestartPolicy:
    """From now on, also for jobs that wait for a retry. Raises ValidationError."""
    if operation not in LABELS:
        raise ValidationError(f"There is no restart policy of “{operation}”: choose among {', '.join(LABELS)}.")
    if values.get("first_seconds", 1) > values.get("most_seconds", values.get("first_seconds", 1)):
        raise ValidationError({"most_seconds": "The longest wait cannot be shorter than the first."})
    row = RestartPolicy.objects.filter(operation=operation).first()
    if row is None:
        return writing.create(RestartPolicy(operation=operation), values=values, user=user, how=how)
    return writing.update(row, values=values, user=user, how=how)


def reset_restart_policy(operation: str, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Back to the default. Nothing happens when it is the default already."""
    row = RestartPolicy.objects.filter(operation=operation).first()
    if row is not None:
        writing.delete(row, user=user, how=how)
