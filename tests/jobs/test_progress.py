"""Engine events become rows: counters, phases, samples, exceptions; a fenced attempt writes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.events import (
    Checkpoint,
    Counters,
    FileFailed,
    Level,
    Notice,
    PhaseName,
    PhaseStarted,
    Progress,
)
from jobs.models import Job, JobException, JobState
from jobs.progress import SAMPLES, Recorder, clean, display, percent
from tests.job_factories import make_job, make_node

pytestmark = pytest.mark.django_db


@pytest.fixture
def job() -> Job:
    return make_job(state=JobState.RUNNING, node=make_node())


@pytest.fixture
def recorder(job: Job) -> Recorder:
    return Recorder(job_id=job.pk, attempt=1)


def test_every_counter_has_its_column(job: Job, recorder: Recorder) -> None:
    names = [name for name in Counters.__dataclass_fields__ if name != "exceptions"]
    counters = Counters(**{name: number for number, name in enumerate(names, start=1)}, exceptions=3)
    recorder.emit(Progress(counters=counters, in_flight=("/a\udcff", "/b")))
    assert recorder.flush() == "run"
    job.refresh_from_db()
    assert [getattr(job, name) for name in names] == list(range(1, len(names) + 1))
    assert job.exceptions_count == 3
    assert job.in_flight == ["/a\\udcff", "/b"]


def test_phases_follow_each_other_and_a_repeated_one_is_told_once(job: Job, recorder: Recorder) -> None:
    for phase in (PhaseName.PREPARE, PhaseName.PREPARE, PhaseName.COPY):
        recorder.emit(PhaseStarted(phase=phase))
        recorder.flush()
    job.refresh_from_db()
    assert job.current_phase == "copy"
    assert [(phase.name, phase.order, phase.state) for phase in job.phases.all()] == [
        ("prepare", 1, "completed"),
        ("copy", 2, "running"),
    ]


def test_exceptions_notices_and_checkpoints_are_kept(job: Job, recorder: Recorder) -> None:
    recorder.emit(FileFailed(path=b"/a\xff\x00b", error="denied\x00"))
    recorder.emit(Notice(level=Level.WARNING, code="odd", sentence="Something is odd."))
    recorder.emit(Checkpoint(data={"packs": 2}))
    recorder.flush()
    job.refresh_from_db()
    (failed,) = job.exceptions.all()
    assert bytes(failed.path) == b"/a\xff\x00b"
    assert failed.display_path == "/a\\xff\ufffdb"
    assert (job.exceptions_count, job.checkpoint) == (1, {"packs": 2})
    assert [(event.level, event.code) for event in job.events.all()] == [("warning", "odd")]


def test_samples_span_the_whole_job_and_stay_few(job: Job, recorder: Recorder) -> None:
    for number in range(1_000):
        recorder.emit(Progress(counters=Counters(bytes_done=number)))
        recorder._columns(recorder._pending)
    recorder.flush()
    job.refresh_from_db()
    assert len(job.rate_samples) <= SAMPLES
    assert (job.rate_samples[0][1], job.rate_samples[-1][1]) == (0, 999)


@pytest.mark.parametrize("change", [{"attempt": 2}, {"state": JobState.PENDING}])
def test_an_attempt_that_no_longer_has_the_job_writes_nothing(
    job: Job, recorder: Recorder, change: dict[str, object]
) -> None:
    Job.objects.filter(pk=job.pk).update(**change)
    recorder.emit(FileFailed(path=b"/a", error="denied"))
    recorder.emit(Progress(counters=Counters(files_done=9)))
    assert recorder.flush() is None
    job.refresh_from_db()
    assert job.files_done == 0
    assert not JobException.objects.exists()


def test_a_flush_tells_what_people_want(job: Job, recorder: Recorder) -> None:
    Job.objects.filter(pk=job.pk).update(want="kill")
    assert recorder.flush() == "kill"


@given(done=st.integers(0, 2**50), total=st.none() | st.integers(0, 2**50))
def test_only_the_end_of_a_job_makes_it_a_hundred(done: int, total: int | None) -> None:
    found = percent(done, total)
    assert (found is None) == (not total)
    assert found is None or 0 <= found <= 99.9


@given(path=st.binary())
def test_any_path_can_be_shown_and_stored(path: bytes) -> None:
    shown = display(path)
    assert "\0" not in shown
    shown.encode("utf-8")
    assert clean(shown) == shown
