"""Sources that are gone or not there now, through real jobs: RULES B7 and B5."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.engine import errors
from jobs.engine.snapshots.directory import DirectoryEngine
from jobs.models import BackupCopy, CopyState, Job, JobState, Snapshot, SnapshotState
from jobs.services import launch_backup_copy, launch_snapshot
from policies.models import Subclient
from tests.job_factories import make_node
from tests.jobs.farm import configure, picture
from tests.jobs.here import run, work_off


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    """With two snapshots that wait."""
    make_node()
    made = configure(tmp_path, offline_attempts=3)
    for text in ("one", "two"):
        (tmp_path / "source" / "file").write_text(text)
        run(launch_snapshot(made))
    return made


@contextmanager
def offline(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[None]:
    """These snapshots' volume does not answer within the block."""
    opened = DirectoryEngine.open

    def refuse(self: DirectoryEngine, ref: object) -> object:
        if getattr(ref, "name", "") in names:
            raise errors.SourceUnavailable("The volume is not mounted.")
        return opened(self, ref)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(DirectoryEngine, "open", refuse)
        yield


def states() -> list[str]:
    return list(BackupCopy.objects.order_by("snapshot__taken_at").values_list("state", flat=True))


def test_B7_an_offline_source_waits_for_later_runs_and_is_not_overtaken(
    subclient: Subclient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Snapshot.objects.order_by("taken_at")[0]
    with offline(monkeypatch, first.name):
        failed = run(launch_backup_copy(subclient))
        assert (failed.state, failed.error_code) == (JobState.FAILED, "source-unavailable"), picture()
        assert states() == [CopyState.FAILED, CopyState.TO_BE_COPIED]
        row = BackupCopy.objects.get(snapshot=first)
        assert (row.offline_attempts, row.failures) == (1, 0)
        assert "attempt 1 of 3" in row.state_reason
    assert run(launch_backup_copy(subclient)).state == JobState.COMPLETED, picture()
    assert states() == [CopyState.COPIED, CopyState.COPIED]
    assert BackupCopy.objects.get(snapshot=first).offline_since is None


def test_B7_after_the_attempts_of_the_policy_it_is_skipped_and_the_next_goes_on(
    subclient: Subclient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Snapshot.objects.order_by("taken_at")
    with offline(monkeypatch, first.name):
        for _ in range(3):
            run(launch_backup_copy(subclient))
    assert states() == [CopyState.SKIPPED, CopyState.COPIED], picture()
    assert BackupCopy.objects.get(snapshot=first).state_reason.startswith("Source offline.")
    assert Job.objects.filter(operation="backup_copy", snapshot=second).get().ran_level == "full"


def test_B7_a_snapshot_that_is_gone_is_skipped_and_the_next_goes_on(subclient: Subclient, tmp_path: Path) -> None:
    first = Snapshot.objects.order_by("taken_at")[0]
    for found in (tmp_path / "snapshots").rglob(first.name):
        shutil.rmtree(found)
    run(launch_backup_copy(subclient))
    work_off()
    assert states() == [CopyState.SKIPPED, CopyState.COPIED], picture()
    row = BackupCopy.objects.get(snapshot=first)
    assert (row.state_reason, row.snapshot.state) == ("The snapshot is gone.", SnapshotState.MISSING)


def test_B7_a_recopy_from_an_offline_source_keeps_what_is_on_media(
    subclient: Subclient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(launch_backup_copy(subclient))
    row = BackupCopy.objects.order_by("pk")[0]
    with offline(monkeypatch, row.snapshot.name):
        run(launch_backup_copy(subclient, snapshot=row.snapshot, recopy=True))
    row.refresh_from_db()
    assert (row.state, bool(row.snapshot_file_id)) == (CopyState.COPIED, True), picture()


def test_B4_a_recopy_remembers_the_file_it_replaced(subclient: Subclient) -> None:
    run(launch_backup_copy(subclient))
    row = BackupCopy.objects.order_by("pk")[0]
    before = row.snapshot_file_id
    run(launch_backup_copy(subclient, snapshot=row.snapshot, recopy=True))
    row.refresh_from_db()
    assert row.state == CopyState.COPIED, picture()
    assert row.snapshot_file_id != before
    assert row.tokens["former_files"] == [before]


def test_B11_what_was_asked_for_while_a_copy_ran_follows_it(subclient: Subclient) -> None:
    first, second = Snapshot.objects.order_by("taken_at")
    job = launch_backup_copy(subclient, snapshot=first)
    assert launch_backup_copy(subclient, snapshot=second) == job
    ran = work_off()
    assert [one.snapshot for one in ran] == [first, second], picture()
    assert [one.state for one in ran] == [JobState.COMPLETED] * 2
