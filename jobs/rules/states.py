"""States of jobs (RULES J1) and of a snapshot towards one copy (RULES B4), and which move to which.

Data and pure functions only; who moves a row, and when, is in :mod:`jobs.services`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """RULES J1. Their reason, resource or phase stands beside them in the row."""

    QUEUED = "queued"
    WAITING = "waiting"
    PENDING = "pending"
    RUNNING = "running"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    KILLED = "killed"


ACTIVE: Final = frozenset(
    {JobState.QUEUED, JobState.WAITING, JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED},
)
"""A job in one of these is not over."""

FINAL: Final = frozenset(JobState) - ACTIVE

UNSTARTED: Final = frozenset({JobState.QUEUED, JobState.WAITING, JobState.PENDING})
"""No process works on it now, and it will go on by itself."""

_ENDS: Final = frozenset({JobState.COMPLETED, JobState.COMPLETED_WITH_ERRORS, JobState.FAILED, JobState.KILLED})

JOB_MOVES: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.QUEUED: UNSTARTED | {JobState.RUNNING, JobState.SUSPENDED, JobState.FAILED, JobState.KILLED},
    JobState.WAITING: UNSTARTED | {JobState.SUSPENDED} | _ENDS,
    JobState.PENDING: UNSTARTED | {JobState.SUSPENDED, JobState.FAILED, JobState.KILLED},
    JobState.RUNNING: UNSTARTED | {JobState.SUSPENDED} | _ENDS,
    JobState.SUSPENDED: UNSTARTED | {JobState.FAILED, JobState.KILLED},
    **{state: frozenset[JobState]() for state in _ENDS},
}


class CopyState(StrEnum):
    """State of one snapshot towards one backup copy (RULES B4)."""

    NOT_SELECTED = "not_selected"
    CANDIDATE = "candidate"
    TO_BE_COPIED = "to_be_copied"
    COPYING = "copying"
    COPIED = "copied"
    PARTIAL = "partial"
    SKIPPED = "skipped"
    FAILED = "failed"
    PREVENTED = "prevented"
    AGED = "aged"
    """It was on media; its retention is over. Pruning frees the space later (RULES R4)."""


ON_MEDIA: Final = frozenset({CopyState.COPIED, CopyState.PARTIAL})
"""There is a snapshot file to restore from, and to compare the next copy with."""

WAITS: Final = frozenset({CopyState.TO_BE_COPIED, CopyState.FAILED})
"""Still to be copied, oldest first; a failed one is tried again before a newer one (RULES B5)."""


def may_move(before: str, after: str) -> bool:
    """Whether a job may go from one state to the other; staying is always allowed."""
    return before == after or JobState(after) in JOB_MOVES[JobState(before)]


def end_state(*, exceptions: int) -> JobState:
    """A job that skipped files is *completed with errors*, never *completed* (RULES J6)."""
    return JobState.COMPLETED_WITH_ERRORS if exceptions else JobState.COMPLETED
