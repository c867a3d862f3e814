"""Engine events to rows, at most twice a second. Which process may write is decided in :mod:`jobs.runner`."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import transaction
from django.utils import timezone

from jobs.engine.clock import Clock, SystemClock
from jobs.engine.events import Checkpoint, Event, FileFailed, Notice, PhaseName, PhaseStarted, Progress
from jobs.models import EventLevel, Job, JobEvent, JobException, JobPhase, JobState, PhaseState

FLUSH_SECONDS: Final = 0.5
SAMPLES: Final = 120
MOST_EXCEPTIONS: Final = 10_000
"""Rows of failed files kept per attempt; the counter still counts all of them."""

_COUNTERS: Final = (
    *("files_total", "files_done", "files_new", "files_changed", "files_unmodified", "directories_done"),
    *("bytes_total", "bytes_done", "bytes_read", "bytes_new", "bytes_stored"),
)
COUNTER_ZERO: Final[dict[str, int | None]] = {
    **{name: (None if name.endswith("_total") else 0) for name in _COUNTERS},
    "exceptions_count": 0,
}
"""Column values of an attempt that begins."""


@dataclass(slots=True)
class _Pending:
    """What was told and not written yet."""

    progress: Progress | None = None
    checkpoint: dict[str, object] | None = None
    phases: list[tuple[datetime, PhaseName]] = field(default_factory=list)
    notices: list[tuple[datetime, Notice]] = field(default_factory=list)
    failed: list[FileFailed] = field(default_factory=list)


class Recorder:
    """The sink of one attempt. ``emit`` only remembers and never touches the database; ``flush`` writes.

    Both may be called from any thread; ``flush`` uses the database connection of the thread that calls it.
    """

    def __init__(self, *, job_id: int, attempt: int, clock: Clock | None = None) -> None:
        self._job_id = job_id
        self._attempt = attempt
        self._clock = clock or SystemClock()
        self._started = self._clock.monotonic()
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._pending = _Pending()
        self._samples: list[list[float]] = []
        self._phases = 0
        self._phase: PhaseName | None = None
        self._exceptions = 0

    @property
    def exceptions(self) -> int:
        """Files that failed so far."""
        return self._exceptions

    def emit(self, event: Event) -> None:
        with self._guard:
            match event:
                case Progress():
                    self._pending.progress = event
                case PhaseStarted():
                    if event.phase != self._phase:
                        self._phase = event.phase
                        self._pending.phases.append((timezone.now(), event.phase))
                case Notice():
                    self._pending.notices.append((timezone.now(), event))
                case FileFailed():
                    self._exceptions += 1
                    if self._exceptions <= MOST_EXCEPTIONS:
                        self._pending.failed.append(event)
                case Checkpoint():
                    self._pending.checkpoint = event.data

    def flush(self) -> str | None:
        """Write what was told, renew the heartbeat, and return what people want of the job.

        None = this attempt no longer has the job, and nothing was written. Raises DatabaseError.
        """
        with self._writing:
            with self._guard:
                pending, self._pending = self._pending, _Pending()
            with transaction.atomic():
                return self._write(pending)

    def _write(self, pending: _Pending) -> str | None:
        mine = Job.objects.filter(pk=self._job_id, attempt=self._attempt, state=JobState.RUNNING)
        if not mine.update(**self._columns(pending)):
            return None
        for started_at, phase in pending.phases:
            self._begin(started_at, phase)
        JobEvent.objects.bulk_create(
            JobEvent(job_id=self._job_id, at=at, level=notice.level.value, code=notice.code, sentence=notice.sentence)
            for at, notice in pending.notices
        )
        JobException.objects.bulk_create(
            (
                JobException(
                    job_id=self._job_id,
                    attempt=self._attempt,
                    path=failed.path,
                    display_path=display(failed.path),
                    error=failed.error.replace("\0", "\ufffd"),
                    code=failed.code,
                )
                for failed in pending.failed
            ),
            batch_size=500,
        )
        return mine.values_list("want", flat=True).first()

    def _columns(self, pending: _Pending) -> dict[str, object]:
        columns: dict[str, object] = {"heartbeat_at": timezone.now(), "exceptions_count": self._exceptions}
        if pending.checkpoint is not None:
            columns["checkpoint"] = pending.checkpoint
        if pending.phases:
            columns["current_phase"] = pending.phases[-1][1].value
        if progress := pending.progress:
            counters = progress.counters
            columns |= {name: getattr(counters, name) for name in _COUNTERS}
            columns["exceptions_count"] = max(self._exceptions, counters.exceptions)
            columns["in_flight"] = [clean(path) for path in progress.in_flight[:8]]
            columns["percent"] = percent(counters.bytes_done, counters.bytes_total)
            columns["rate_samples"] = self._sample(counters.bytes_done, counters.bytes_read, counters.bytes_stored)
        return columns

    def _sample(self, *figures: int) -> list[list[float]]:
        """Append a sample; when there are too many, every second one goes, so the line always spans the whole job."""
        self._samples.append([round(self._clock.monotonic() - self._started, 2), *figures])
        if len(self._samples) > SAMPLES:
            self._samples = self._samples[::2] + self._samples[-1:]
        return self._samples

    def _begin(self, started_at: datetime, phase: PhaseName) -> None:
        end_phases(self._job_id, attempt=self._attempt, state=PhaseState.COMPLETED, at=started_at)
        self._phases += 1
        JobPhase.objects.create(
            job_id=self._job_id, attempt=self._attempt, name=phase.value, order=self._phases, started_at=started_at
        )


def end_phases(job_id: int, *, attempt: int, state: str, at: datetime) -> None:
    """Close the phase that runs, if one does."""
    running = JobPhase.objects.filter(job_id=job_id, attempt=attempt, state=PhaseState.RUNNING)
    running.update(state=state, finished_at=at)


def note(job_id: int, code: str, sentence: str, *, level: str = EventLevel.INFO) -> None:
    """One sentence for the job's story, written now."""
    JobEvent.objects.create(job_id=job_id, at=timezone.now(), level=level, code=code, sentence=sentence)


def percent(done: int, total: int | None) -> float | None:
    """0 to 99.9: only the end of a job makes it 100. None while the total is unknown."""
    if not total:
        return None
    return min(99.9, round(100 * done / total, 1))


def display(path: bytes) -> str:
    """A path for people: bytes that are no UTF-8 as ``\\xNN``."""
    return clean(os.fsdecode(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def clean(text: str) -> str:
    """What PostgreSQL can store: no NUL and no lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode("utf-8")
