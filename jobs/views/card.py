"""The job card: every figure of a job as people read it, the same for every operation and when the job is over.

Figures come from the job row only (one counter source); templates do the wording of units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from jobs.engine.events import PhaseName
from jobs.models import Job, JobPhase, JobState, Operation
from jobs.rules import states

from . import charts, estimates

EXPECTED: Final[dict[str, tuple[PhaseName, ...]]] = {
    Operation.SNAPSHOT: (PhaseName.PREPARE, PhaseName.SNAPSHOT, PhaseName.FINISH),
    Operation.BACKUP_COPY: (PhaseName.PREPARE, PhaseName.COPY, PhaseName.COMMIT),
    Operation.RESTORE: (PhaseName.PREPARE, PhaseName.RESTORE, PhaseName.FINISH),
    Operation.DELETE_SNAPSHOT: (PhaseName.PREPARE, PhaseName.PRUNE),
    Operation.AGING: (PhaseName.CHECK,),
    Operation.PRUNE: (PhaseName.PREPARE, PhaseName.SCAN, PhaseName.PRUNE, PhaseName.COMMIT),
    Operation.VERIFY: (PhaseName.PREPARE, PhaseName.CHECK),
    Operation.REPAIR: (PhaseName.PREPARE, PhaseName.CHECK, PhaseName.COPY, PhaseName.COMMIT),
    Operation.ATTACH: (PhaseName.PREPARE, PhaseName.CHECK),
    Operation.DRILL: (PhaseName.PREPARE, PhaseName.RESTORE, PhaseName.CHECK),
    Operation.CATALOG: (PhaseName.PREPARE, PhaseName.CATALOG, PhaseName.FINISH),
    Operation.REVERT: (PhaseName.PREPARE, PhaseName.SNAPSHOT, PhaseName.REVERT),
    Operation.MOUNT: (PhaseName.PREPARE, PhaseName.MOUNT),
    Operation.UNMOUNT: (PhaseName.UNMOUNT,),
    Operation.RECONCILE: (PhaseName.PREPARE, PhaseName.CHECK, PhaseName.FINISH),
    Operation.TEST: (PhaseName.CHECK,),
    Operation.DEMO: (PhaseName.PREPARE, PhaseName.SNAPSHOT, PhaseName.RESTORE, PhaseName.FINISH),
}
"""Phases a job will go through, for the steps that have not begun."""

DRY_RUN: Final = (PhaseName.PREPARE, PhaseName.SCAN)
"""Those of a restore that writes nothing."""

PHASE_WORDS: Final[dict[str, str]] = {
    PhaseName.PREPARE: "Prepare",
    PhaseName.QUIESCE: "Quiesce",
    PhaseName.SNAPSHOT: "Snapshot",
    PhaseName.CATALOG: "Catalog",
    PhaseName.SCAN: "Scan",
    PhaseName.COPY: "Copy",
    PhaseName.COMMIT: "Commit",
    PhaseName.RESTORE: "Restore data",
    PhaseName.METADATA: "Restore metadata",
    PhaseName.CHECK: "Check",
    PhaseName.PRUNE: "Delete",
    PhaseName.MOUNT: "Mount",
    PhaseName.UNMOUNT: "Unmount",
    PhaseName.REVERT: "Revert",
    PhaseName.FINISH: "Finish",
}

WORKING: Final = (PhaseName.COPY, PhaseName.RESTORE)
"""The phases that move bytes."""

SILENT_AFTER: Final = timedelta(seconds=10)
"""A running job whose heartbeat is older is said to be silent; the sweep acts on it by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One phase of the stepper. ``state`` is a phase state, or ``ahead``."""

    word: str
    state: str
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with its label. ``kind`` chooses the unit: bytes, count, factor, share, duration."""

    label: str
    value: float | None
    kind: str
    note: str = ""
    title: str = ""


class JobCard:
    """What ``jobs/_job_card.html`` shows of one job. Built from rows already read; makes no query."""

    def __init__(self, job: Job, phases: Sequence[JobPhase]) -> None:
        self.job = job
        self.samples: list[list[float]] = job.rate_samples or []
        self.steps = _steps(job, [phase for phase in phases if phase.attempt == job.attempt])

    @property
    def moves_bytes(self) -> bool:
        return self.job.operation in (Operation.BACKUP_COPY, Operation.RESTORE)

    @property
    def is_running(self) -> bool:
        return self.job.state == JobState.RUNNING

    @property
    def tone(self) -> str:
        """Of the bar."""
        match self.job.state:
            case JobState.COMPLETED:
                return "ok"
            case JobState.COMPLETED_WITH_ERRORS | JobState.SUSPENDED:
                return "warn"
            case JobState.FAILED:
                return "bad"
            case JobState.RUNNING:
                return "live"
        return "idle"

    @property
    def percent(self) -> float | None:
        """Of logical bytes; 100 only when the job completed; None while the total is unknown."""
        if self.job.state in (JobState.COMPLETED, JobState.COMPLETED_WITH_ERRORS):
            return 100.0
        return 0.0 if self.job.percent is None and not self.is_running else self.job.percent

    @property
    def remaining(self) -> estimates.Remaining | None:
        job = self.job
        if not self.is_running or job.current_phase not in WORKING:
            return None
        return estimates.remaining(self.samples, done=job.bytes_done, total=job.bytes_total)

    @property
    def is_silent(self) -> bool:
        beat = self.job.heartbeat_at
        return self.is_running and beat is not None and timezone.now() - beat > SILENT_AFTER

    @property
    def read_rate(self) -> float | None:
        """Now, while it runs; over the whole attempt afterwards."""
        return self._rate(estimates.READ, self.job.bytes_read)

    @property
    def work_rate(self) -> float | None:
        """Logical bytes handled per second, read or taken over unchanged."""
        return self._rate(estimates.DONE, self.job.bytes_done)

    @property
    def write_rate(self) -> float | None:
        return self._rate(estimates.STORED, self.job.bytes_stored)

    def _rate(self, column: int, total: int) -> float | None:
        if self.is_running:
            return estimates.rate(self.samples, column)
        seconds = self._work_seconds
        return total / seconds if seconds else None

    @property
    def _work_seconds(self) -> float:
        """How long the phase that moves bytes took in the last attempt; 0 = it did not come so far."""
        works = (step for step in self.steps if step.word in (PHASE_WORDS[name] for name in WORKING))
        return sum(
            (step.finished_at - step.started_at).total_seconds()
            for step in works
            if step.started_at and step.finished_at
        )

    @property
    def verdict(self) -> str:
        """Have all files been handled? One sentence when the job is over, '' before (and when it did not end well)."""
        job = self.job
        done = f"{job.files_done:,}".replace(",", "\u202f")
        where = "in the copy" if job.operation == Operation.BACKUP_COPY else "restored"
        if job.state == JobState.COMPLETED and not job.files_done and job.bytes_done:
            return f"All of it is {where}."  # a file server that gives volumes back does not name their files
        if job.state == JobState.COMPLETED:
            return f"The one file is {where}." if job.files_done == 1 else f"All {done} files are {where}."
        if job.state == JobState.COMPLETED_WITH_ERRORS and job.exceptions_count:
            left = f"{job.exceptions_count:,}".replace(",", "\u202f")
            handled = f"{done} file{' is' if job.files_done == 1 else 's are'} {where}"
            return f"{handled}, {left} could not be handled."
        return ""

    @property
    def spark(self) -> charts.Sparkline | None:
        column = estimates.READ if self.job.operation == Operation.BACKUP_COPY else estimates.DONE
        return charts.sparkline(
            estimates.rates_over_time(self.samples, column), estimates.rates_over_time(self.samples, estimates.STORED)
        )

    @property
    def figures(self) -> list[Figure]:
        """The numbers below the bar, in reading order."""
        return _copy_figures(self.job) if self.job.operation == Operation.BACKUP_COPY else _restore_figures(self.job)

    @property
    def waits_for(self) -> str:
        """Why it does not run now; '' when it does, or is over."""
        if self.job.state in states.UNSTARTED or self.job.state == JobState.SUSPENDED:
            return self.job.state_reason
        return ""

    @property
    def order(self) -> str:
        """An order that was given and is not carried out yet."""
        if self.job.is_over or self.job.state == JobState.SUSPENDED:
            return ""
        return {Job.Want.KILL: "Ending, as asked", Job.Want.SUSPEND: "Suspending, as asked"}.get(
            Job.Want(self.job.want), ""
        )


def _steps(job: Job, phases: Sequence[JobPhase]) -> list[Step]:
    steps = [
        Step(
            word=PHASE_WORDS.get(phase.name, phase.name.capitalize()),
            state=phase.state,
            started_at=phase.started_at,
            finished_at=phase.finished_at,
        )
        for phase in phases
    ]
    if job.is_over:
        return steps
    begun = {phase.name for phase in phases}
    expected = _expected(job)
    last = max((expected.index(PhaseName(name)) for name in begun if name in expected), default=-1)
    return steps + [Step(word=PHASE_WORDS[name], state="ahead") for name in expected[last + 1 :]]


def _expected(job: Job) -> Sequence[PhaseName]:
    """RULES S1: quiesce and the inline copy are phases of the jobs that have them."""
    subclient = job.subclient
    if job.operation != Operation.SNAPSHOT or subclient is None:
        if job.operation == Operation.RESTORE and job.parameters.get("dry_run"):
            return DRY_RUN
        if job.operation == Operation.ATTACH and job.parameters.get("import"):
            return (*EXPECTED[Operation.ATTACH], PhaseName.COMMIT, PhaseName.CATALOG)
        return EXPECTED.get(job.operation, ())
    quiesces = [PhaseName.QUIESCE] if subclient.pre_command or subclient.post_command else []
    copies = [PhaseName.COPY] if subclient.policy.is_inline else []
    return [PhaseName.PREPARE, *quiesces, PhaseName.SNAPSHOT, *copies, PhaseName.FINISH]


def _files(job: Job) -> Figure:
    note = "" if not job.files_total or job.is_over else f"of {job.files_total:,}".replace(",", "\u202f")
    return Figure(label="Files", value=job.files_done, kind="count", note=note)


def _copy_figures(job: Job) -> list[Figure]:
    known = job.bytes_done > 0
    return [
        _files(job),
        Figure(label="Logical", value=job.bytes_done, kind="bytes", title="What the files hold"),
        Figure(label="Read", value=job.bytes_read, kind="bytes", title="Read from the snapshot"),
        Figure(
            label="New data",
            value=job.bytes_new,
            kind="bytes",
            title="Contents of files, and the directories that list them, that the repository did not hold before; "
            "counted before compression",
        ),
        Figure(label="Stored", value=job.bytes_stored, kind="bytes", title="Written to the medium"),
        Figure(
            label="Already there",
            value=1 - min(1.0, job.bytes_new / job.bytes_done) if known else None,
            kind="share",
            title="Share of the logical bytes that the repository already held, by dedup and unchanged files",
        ),
        Figure(
            label="Compression",
            value=job.bytes_new / job.bytes_stored if job.bytes_new and job.bytes_stored else None,
            kind="factor",
            title="New bytes to stored bytes",
        ),
        Figure(label="Unchanged files", value=job.files_unmodified, kind="count", title="Taken from the parent"),
    ]


def _restore_figures(job: Job) -> list[Figure]:
    return [
        _files(job),
        Figure(label="Directories", value=job.directories_done, kind="count"),
        Figure(label="Restored", value=job.bytes_done, kind="bytes", title="Bytes in place at the target"),
        Figure(label="Read", value=job.bytes_read, kind="bytes", title="Read from the medium"),
    ]


def stock_commands(repository: str, *, snapshot_file_id: str, target: str = "/tmp/restored") -> str:  # noqa: S108 - shown
    """The stock restic commands that show, verify and restore a backup copy without this product."""
    short = snapshot_file_id[:8]
    return "\n".join(
        (
            f"export RESTIC_REPOSITORY='{repository}'",
            f"restic ls {short}",
            "restic check --read-data",
            f"restic restore {short} --target '{target}'",
        )
    )
