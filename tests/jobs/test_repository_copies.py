"""Secondary backup copies fed from a backup copy, with real jobs: what they wait for, and that no snapshot is read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from django.db.models import QuerySet

from jobs.engine.plan import Secret
from jobs.models import BackupCopy, CopyState, Job, JobState, SnapshotState
from jobs.selectors import active_jobs
from jobs.services import (
    CannotLaunch,
    NothingNew,
    feeding,
    launch_backup_copies,
    launch_backup_copy,
    launch_restore,
    launch_snapshot,
    mark_copies,
    refresh_selection,
)
from jobs.services.feeding import Supply, feed_of
from jobs.services.selection import next_to_copy
from policies import services as configuration
from policies.models import Copy, Subclient
from policies.secrets import REPOSITORY_PASSWORD
from tests.interop.restic import Restic
from tests.job_factories import make_backup_copy, make_job, make_snapshot
from tests.jobs.farm import PASSWORD, Farm, backup_copy_of, configure, picture, wait

OTHER = "another password"


def add_fed_copy(folder: Path, subclient: Subclient, *, name: str = "offsite", source: Copy | None = None) -> Copy:
    """A second backup copy on a medium of its own, fed from the first."""
    medium = configuration.create_media(
        name=f"disk-{name}",
        kind="disk",
        options={"path": str(folder / name), "create_directory": True, "fsync": False},
        secrets={REPOSITORY_PASSWORD: Secret(OTHER)},
        user=None,
    )
    source = source or backup_copy_of(subclient)
    made = configuration.create_copy(subclient.policy, name=name, kind="secondary_backup", media=medium, user=None)
    Copy.objects.filter(pk=made.pk).update(source=source)
    return Copy.objects.select_related("media", "policy", "source").get(pk=made.pk)


@pytest.fixture
def fed(subclient: Subclient, tmp_path: Path) -> Copy:
    return add_fed_copy(tmp_path, subclient)


def state_of(copy: Copy) -> list[str]:
    return list(BackupCopy.objects.filter(copy=copy).order_by("snapshot__taken_at").values_list("state", flat=True))


def test_B6_a_snapshot_that_the_source_has_not_got_waits_and_says_so(subclient: Subclient, fed: Copy) -> None:
    snapshot = make_snapshot(subclient)
    refresh_selection(subclient)
    assert next_to_copy(subclient, fed) is None
    with pytest.raises(NothingNew, match="not on backup yet"):
        launch_backup_copy(subclient, fed)
    assert state_of(fed) == [CopyState.TO_BE_COPIED]
    assert feed_of(snapshot, fed).supply is Supply.LATER


def test_B6_a_job_waits_for_the_job_that_brings_its_source(subclient: Subclient, fed: Copy) -> None:
    snapshot = make_snapshot(subclient)
    refresh_selection(subclient)
    source = backup_copy_of(subclient)
    bringing = make_job(operation="backup_copy", state=JobState.RUNNING, subclient=subclient, copy=source)
    job = launch_backup_copy(subclient, fed)
    assert job.state == JobState.WAITING
    assert job.state_reason == f"{snapshot.name} is not on backup yet: job {bringing.pk} is at it."


def test_B6_what_is_brought_between_the_look_at_it_and_the_look_at_the_jobs_is_there(
    subclient: Subclient, fed: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = make_snapshot(subclient)
    refresh_selection(subclient)
    source = backup_copy_of(subclient)
    bringing = make_job(operation="backup_copy", state=JobState.RUNNING, subclient=subclient, copy=source)

    def once_it_is_over() -> QuerySet[Job]:
        if Job.objects.filter(pk=bringing.pk).delete()[0]:
            BackupCopy.objects.filter(copy=source).delete()
            make_backup_copy(snapshot, source)
        return active_jobs()

    monkeypatch.setattr(feeding, "active_jobs", once_it_is_over)
    assert feed_of(snapshot, fed).supply is Supply.READY


def test_B5_a_newer_snapshot_does_not_overtake_one_whose_source_is_still_to_come(
    subclient: Subclient, fed: Copy
) -> None:
    source = backup_copy_of(subclient)
    older, newer = make_snapshot(subclient, n=1), make_snapshot(subclient, n=2)
    make_backup_copy(older, source, state=CopyState.FAILED)
    make_backup_copy(newer, source)
    refresh_selection(subclient)
    assert next_to_copy(subclient, fed) is None
    BackupCopy.objects.filter(snapshot=older, copy=source).update(state=CopyState.SKIPPED)
    found = next_to_copy(subclient, fed)
    assert found is not None
    assert found.snapshot == newer


def test_B6_what_never_comes_is_refused_with_the_reason(subclient: Subclient, fed: Copy) -> None:
    source = backup_copy_of(subclient)
    snapshot = make_snapshot(subclient)
    refresh_selection(subclient)
    mark_copies([BackupCopy.objects.get(copy=source)], mark="prevent", user=None, how="cli")
    assert feed_of(snapshot, fed).supply is Supply.NEVER
    with pytest.raises(CannotLaunch, match="which feeds this copy: prevented"):
        launch_backup_copy(subclient, fed, snapshot=snapshot)


@pytest.mark.interop
def test_B6_a_fed_copy_comes_from_the_medium_when_source_and_snapshot_are_gone(
    farm: Farm, transactional_db: None, tmp_path: Path
) -> None:
    subclient = configure(tmp_path)
    fed = add_fed_copy(tmp_path, subclient)
    contents = {f"file-{number}": os.urandom(5_000) for number in range(20)}
    for name, content in contents.items():
        (tmp_path / "source" / name).write_bytes(content)
    snapshot = wait(launch_snapshot(subclient)).snapshot
    assert snapshot is not None
    wait(launch_backup_copy(subclient, backup_copy_of(subclient)))
    shutil.rmtree(tmp_path / "source")
    shutil.rmtree(tmp_path / "snapshots")
    type(snapshot).objects.update(state=SnapshotState.DELETED)

    job = wait(launch_backup_copy(subclient, fed))

    assert job.state == JobState.COMPLETED, picture()
    assert (job.ran_level, job.files_done) == ("full", 20)
    assert job.bytes_read > 0
    first, second = BackupCopy.objects.order_by("copy__precedence")
    assert second.state == CopyState.COPIED
    assert (second.tree_id, second.files, second.logical_bytes) == (first.tree_id, first.files, first.logical_bytes)
    restic = Restic(repository=tmp_path / "offsite", password=OTHER)
    restic.judge()
    assert restic.run("list", "locks") == ""
    assert Restic(repository=tmp_path / "media", password=PASSWORD).run("list", "locks") == ""
    restored = wait(launch_restore(second.snapshot, second.copy, target=str(tmp_path / "back")))
    assert restored.state == JobState.COMPLETED, picture()
    back = tmp_path / "back" / str(tmp_path / "source")[1:]
    assert {path.name: path.read_bytes() for path in back.iterdir()} == contents


@pytest.mark.interop
def test_B6_one_request_for_all_copies_feeds_the_second_from_the_first(
    farm: Farm, transactional_db: None, tmp_path: Path
) -> None:
    """Three snapshots, two copies in a row behind the first: each follows the other, oldest first."""
    subclient = configure(tmp_path)
    fed = add_fed_copy(tmp_path, subclient)
    third = add_fed_copy(tmp_path, subclient, name="vault", source=fed)
    for number in range(3):
        (tmp_path / "source" / f"new-{number}").write_bytes(os.urandom(2_000))
        wait(launch_snapshot(subclient))
    launched = launch_backup_copies(scope=subclient, initiator="person", how="cli")
    assert [job.copy for job in launched.jobs] == [backup_copy_of(subclient), fed, third]
    assert launched.refused == []
    for job in launched.jobs:
        last = wait(job)
        while following := last.result.get("next_job"):
            last = wait(type(job).objects.get(pk=following))
        assert last.state == JobState.COMPLETED, picture()
    for copy in (fed, third):
        rows = list(BackupCopy.objects.filter(copy=copy).order_by("snapshot__taken_at"))
        assert [(row.state, row.ran_level) for row in rows] == [
            (CopyState.COPIED, "full"),
            (CopyState.COPIED, "incremental"),
            (CopyState.COPIED, "incremental"),
        ], picture()
        assert [row.parent for row in rows] == [None, *rows[:2]]
    assert BackupCopy.objects.filter(copy=fed).latest("copied_at").new_bytes < 10_000
    Restic(repository=tmp_path / "vault", password=OTHER).judge()


def test_B1_an_inline_policy_feeds_its_second_copy_within_the_snapshot_job(
    farm: Farm, transactional_db: None, tmp_path: Path
) -> None:
    subclient = configure(tmp_path, is_inline=True)
    fed = add_fed_copy(tmp_path, subclient)
    (tmp_path / "source" / "file").write_text("text")
    snapped = wait(launch_snapshot(subclient))
    assert snapped.state == JobState.COMPLETED, picture()
    assert snapped.children.count() == 2
    assert state_of(fed) == [CopyState.COPIED]
