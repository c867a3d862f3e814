"""RULES J4 and B7: how often and when a job that met a passing failure is tried again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MOST_COPY_FAILURES: Final = 10
"""RULES B7: a snapshot whose copy failed this often is skipped, so that newer ones go on."""

MOST_LOST_ATTEMPTS: Final = 10
"""A job whose process was lost this often probably takes its node down; it then fails instead of going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """``times`` retries; the first after ``first_seconds``, each next one twice as long, at most ``most_seconds``.

    No retry begins later than ``total_seconds`` after the launch; None = however long it took.
    """

    times: int
    first_seconds: float = 30
    most_seconds: float = 3600
    total_seconds: float | None = None

    def wait_seconds(self, retries: int, *, elapsed_seconds: float = 0.0) -> float | None:
        """Seconds until the next try after so many retries, so long after the launch; None = no more."""
        if retries >= self.times:
            return None
        wait = min(self.first_seconds * float(1 << min(retries, 30)), self.most_seconds)
        if self.total_seconds is not None and elapsed_seconds + wait > self.total_seconds:
            return None
        return wait


POLICIES: Final[Mapping[str, RetryPolicy]] = {
    "snapshot": RetryPolicy(times=3),
    "backup_copy": RetryPolicy(times=8),
    "restore": RetryPolicy(times=3),
    "test": RetryPolicy(times=0),
    "delete_snapshot": RetryPolicy(times=3),
    "demo": RetryPolicy(times=0),
    "secondary_copy": RetryPolicy(times=8),
    "aging": RetryPolicy(times=3),
    "prune": RetryPolicy(times=5),
    "verify": RetryPolicy(times=3),
    "revert": RetryPolicy(times=3),
    "mount": RetryPolicy(times=1, first_seconds=5),
    "unmount": RetryPolicy(times=5, first_seconds=10, most_seconds=300),
    "reconcile": RetryPolicy(times=2),
    "catalog": RetryPolicy(times=5),
    "repair": RetryPolicy(times=3),
    "attach": RetryPolicy(times=2),
    "drill": RetryPolicy(times=2),
}
"""Per operation, unless an admin set another. A Test says what it found at once; nobody wants it later."""
