"""Levels of real jobs: asked, runs as, why, and their numbers: RULES S2, S3, B8, L1 to L4."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.models import BackupCopy, CopyState, Job, JobState, Level, Snapshot
from jobs.services import launch_backup_copy, launch_snapshot, mark_copies
from policies.models import Subclient
from policies.resolve import incremental_limit
from tests.job_factories import make_node
from tests.jobs import keeping_engine
from tests.jobs.farm import backup_copy_of, configure, picture
from tests.jobs.here import run, work_off


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    make_node()
    made = configure(tmp_path)
    (tmp_path / "source" / "file").write_text("text")
    return made


def snap(subclient: Subclient, level: str = Level.INCREMENTAL) -> Job:
    job = run(launch_snapshot(subclient, level=level))
    assert job.state == JobState.COMPLETED, picture()
    return job


def numbers(rows: object) -> list[int | None]:
    return [row.level_number for row in rows.order_by("pk")]  # type: ignore[attr-defined]


def test_S2_the_first_job_is_full_whatever_was_asked(subclient: Subclient) -> None:
    job = snap(subclient, Level.DIFFERENTIAL)
    assert (job.asked_level, job.ran_level, job.level_number) == ("differential", "full", 0)
    assert job.level_reason == "The first job of a subclient is full."


def test_S2_full_again_after_content_was_added(subclient: Subclient, tmp_path: Path) -> None:
    snap(subclient)
    (tmp_path / "more").mkdir()
    subclient.content_paths = [*subclient.content_paths, str(tmp_path / "more")]
    subclient.save()
    job = snap(subclient)
    assert (job.ran_level, "Content was added" in job.level_reason) == ("full", True)


def test_L1_numbers_of_F_I_I_D_I_I(subclient: Subclient) -> None:
    for level in ("full", "incremental", "incremental", "differential", "incremental", "incremental"):
        snap(subclient, level)
    assert numbers(Snapshot.objects) == [0, 1, 2, 1, 2, 3]
    assert numbers(Job.objects) == [0, 1, 2, 1, 2, 3]


def test_L3_at_the_limit_the_next_incremental_is_converted_on_any_engine(subclient: Subclient) -> None:
    subclient.file_server.max_incrementals = 2
    subclient.file_server.save()
    jobs = [snap(subclient) for _ in range(6)]
    assert [job.ran_level for job in jobs] == [
        *("full", "incremental", "incremental", "differential", "incremental", "differential")
    ]
    assert [job.level_number for job in jobs] == [0, 1, 2, 1, 2, 1]
    assert jobs[3].level_reason == "Converted: limit of 2 incrementals reached."
    work_off()
    run(launch_backup_copy(subclient))
    copies = list(Job.objects.filter(operation="backup_copy").order_by("pk"))
    assert [job.ran_level for job in copies] == [job.ran_level for job in jobs], picture()
    assert copies[3].level_reason == jobs[3].level_reason, "the copy says it too"
    rows = list(BackupCopy.objects.order_by("snapshot__taken_at"))
    assert [row.level_number for row in rows] == [0, 1, 2, 1, 2, 1]
    assert [row.parent for row in rows] == [None, rows[0], rows[1], rows[0], rows[3], rows[0]], (
        "S3: a differential compares with the last full, an incremental with the last of any kind"
    )


def test_L2_the_limit_is_the_engines_unless_the_file_server_lowers_it(subclient: Subclient) -> None:
    assert incremental_limit(subclient.file_server) is None, "engines that diff snapshots have none"
    with keeping_engine.registered():
        keeping_engine.use_it(subclient)
        assert incremental_limit(subclient.file_server) == keeping_engine.LIMIT
        subclient.file_server.max_incrementals = 4
        assert incremental_limit(subclient.file_server) == 4


def test_L3_the_tenth_incremental_of_an_engine_with_a_limit_of_nine_is_converted(subclient: Subclient) -> None:
    with keeping_engine.registered():
        keeping_engine.use_it(subclient)
        jobs = [snap(subclient) for _ in range(13)]
    assert [job.level_number for job in jobs] == [*range(10), 1, 2, 3]
    assert [job.pk for job in jobs if job.ran_level == "differential"] == [jobs[10].pk]
    assert jobs[10].level_reason == "Converted: limit of 9 incrementals reached."


def test_L4_the_number_changes_only_with_the_state_copied(subclient: Subclient) -> None:
    snap(subclient)
    row = BackupCopy.objects.get()
    assert (row.state, row.level_number) == (CopyState.TO_BE_COPIED, None)
    run(launch_backup_copy(subclient))
    row.refresh_from_db()
    assert (row.state, row.level_number) == (CopyState.COPIED, 0)


def test_B8_snapshots_that_were_never_copied_do_not_count(subclient: Subclient) -> None:
    for _ in range(4):
        snap(subclient)
    middle = BackupCopy.objects.order_by("pk")[1:3]
    mark_copies(middle, mark="prevent")
    run(launch_backup_copy(subclient))
    rows = BackupCopy.objects.filter(state=CopyState.COPIED).order_by("pk")
    assert [row.level_number for row in rows] == [0, 1], "the gap is safe: the next one holds all changes (B5)"


def test_B8_a_base_that_is_gone_makes_a_full_with_the_reason(subclient: Subclient, tmp_path: Path) -> None:
    snap(subclient)
    run(launch_backup_copy(subclient))
    for file in (tmp_path / "media" / "snapshots").iterdir():
        file.unlink()
    snap(subclient)
    job = run(launch_backup_copy(subclient))
    assert (job.ran_level, job.level_number) == ("full", 0), picture()
    assert job.level_reason == "The last backup copy is no longer on the medium to compare with."


def test_S1_the_inline_copy_comes_before_finish(subclient: Subclient) -> None:
    subclient.policy.is_inline = True
    subclient.policy.save()
    job = snap(subclient)
    assert [phase.name for phase in job.phases.all()] == ["prepare", "snapshot", "copy", "finish"]
    assert {phase.state for phase in job.phases.all()} == {"completed"}
    assert backup_copy_of(subclient).backup_copies.get().state == CopyState.COPIED
