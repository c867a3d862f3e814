"""Sources that are gone or not there now, through real jobs: RULES B7 and B5."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.engine import errors
from jobs.engine.repository.lock import locked
from jobs.engine.repository.repository import Repository
from jobs.engine.snapshots.directory import DirectoryEngine
from jobs.models import BackupCopy, CopyState, Job, JobEvent, JobState, Snapshot, SnapshotState
from jobs.runner import former_files
from jobs.services import launch_backup_copy, launch_snapshot
from policies.models import Subclient
from policies.resolve import media_password, resolve_media
from tests.interop.restic import Restic
from tests.job_factories import make_node
from tests.jobs.farm import PASSWORD, configure, picture
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


@pytest.fixture
def restic(tmp_path: Path) -> Restic:
    return Restic(repository=tmp_path / "media", password=PASSWORD)


def recopied(row: BackupCopy) -> BackupCopy:
    """Copied once more; the row as it is then."""
    run(launch_backup_copy(row.snapshot.subclient, snapshot=row.snapshot, recopy=True))
    row.refresh_from_db()
    assert row.state == CopyState.COPIED, picture()
    return row


def copied(subclient: Subclient) -> BackupCopy:
    run(launch_backup_copy(subclient))
    return BackupCopy.objects.order_by("pk")[0]


def snapshots(restic: Restic) -> list[str]:
    return [one["id"] for one in restic.json("snapshots")]


def test_B4_a_recopy_leaves_one_snapshot_file_the_new_one(subclient: Subclient, restic: Restic) -> None:
    row = copied(subclient)
    before = row.snapshot_file_id
    assert before in snapshots(restic)
    count = len(snapshots(restic))
    row = recopied(row)
    assert row.snapshot_file_id != before
    assert len(snapshots(restic)) == count
    assert row.snapshot_file_id in snapshots(restic)
    assert before not in snapshots(restic)
    assert "former_files" not in row.tokens
    restic.judge()


def test_B4_a_recopy_that_fails_leaves_the_former_file(
    subclient: Subclient, restic: Restic, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = copied(subclient)
    files = snapshots(restic)
    with offline(monkeypatch, row.snapshot.name):
        run(launch_backup_copy(subclient, snapshot=row.snapshot, recopy=True))
    row.refresh_from_db()
    assert row.state == CopyState.COPIED, picture()
    assert (snapshots(restic), row.snapshot_file_id in files) == (files, True)


def test_B4_in_a_repository_that_is_in_use_the_former_file_waits_for_the_next_recopy_or_pruning(
    subclient: Subclient, restic: Restic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(former_files, "WAIT_SECONDS", 0.0)
    row = copied(subclient)
    before, count = row.snapshot_file_id, len(snapshots(restic))
    media = row.media
    driver = resolve_media(media)
    with locked(Repository.open(driver, media_password(media)), exclusive=False):
        row = recopied(row)
    driver.close()
    assert row.tokens["former_files"] == [before]
    assert len(snapshots(restic)) == count + 1
    told = JobEvent.objects.get(code="former-left")
    assert "until the medium is pruned" in told.sentence
    row = recopied(row)
    assert "former_files" not in row.tokens
    assert len(snapshots(restic)) == count


def test_B11_what_was_asked_for_while_a_copy_ran_follows_it(subclient: Subclient) -> None:
    first, second = Snapshot.objects.order_by("taken_at")
    job = launch_backup_copy(subclient, snapshot=first)
    assert launch_backup_copy(subclient, snapshot=second) == job
    ran = work_off()
    assert [one.snapshot for one in ran] == [first, second], picture()
    assert [one.state for one in ran] == [JobState.COMPLETED] * 2
