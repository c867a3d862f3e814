"""Restart policies as they are in force: an admin's row, else the default of the rules (RULES J4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from jobs.rules.retry import POLICIES, RetryPolicy
from policies.models import RestartPolicy

LABELS: Final = {
    "snapshot": "Snapshot",
    "backup_copy": "Backup copy",
    "secondary_copy": "Secondary snap copy",
    "restore": "Restore",
    "delete_snapshot": "Snapshot deletion",
    "aging": "Aging",
    "prune": "Pruning",
    "verify": "Verification",
    "revert": "Revert",
    "unmount": "Unmounting",
    "reconcile": "Reconciliation",
}
"""The operations that have one, in reading order. A Test and the sample data are tried once."""

_HOUR_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRow:
    """One operation's rule. ``is_default``: nobody changed it. ``total_hours`` None = no limit."""

    operation: str
    label: str
    rule: RetryPolicy
    is_default: bool

    @property
    def total_hours(self) -> int | None:
        return None if self.rule.total_seconds is None else round(self.rule.total_seconds / _HOUR_SECONDS)


def restart_rule(operation: str) -> RetryPolicy:
    """What is in force for an operation; one query."""
    row = RestartPolicy.objects.filter(operation=operation).first()
    return _rule(row) if row else POLICIES[operation]


def restart_rows() -> list[RestartRow]:
    """Of every operation; one query."""
    rows = {row.operation: row for row in RestartPolicy.objects.all()}
    return [
        RestartRow(
            operation=operation,
            label=label,
            rule=_rule(rows[operation]) if operation in rows else POLICIES[operation],
            is_default=operation not in rows,
        )
        for operation, label in LABELS.items()
    ]


def _rule(row: RestartPolicy) -> RetryPolicy:
    return RetryPolicy(
        times=row.times,
        first_seconds=row.first_seconds,
        most_seconds=row.most_seconds,
        total_seconds=None if row.total_hours is None else row.total_hours * _HOUR_SECONDS,
    )
