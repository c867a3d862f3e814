"""Spool copies with real snapshots on a storage: RULES P1 to P7, the table row by row."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import (
    BackupCopy,
    CatalogState,
    CopyState,
    Initiator,
    Job,
    JobState,
    Operation,
    Snapshot,
    SnapshotState,
)
from jobs.services import apply_spool, launch_backup_copy, launch_snapshot, pin_snapshots, retire_snapshot
from jobs.services.copy_states import mark_copying
from policies.models import CatalogMode, Copy, Retention, Subclient
from policies.services import create_copy
from snapcopy_site.lib.roles import Role
from tests.factories import make_media, make_user
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot
from tests.jobs import keeping_engine
from tests.jobs.farm import backup_copy_of, configure, picture
from tests.jobs.here import run, work_off
from tests.jobs.test_repository_copies import add_fed_copy

BY_HAND = (Initiator.PERSON, Initiator.SCRIPT)


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    """A spool policy over the directory engine."""
    make_node()
    made = configure(tmp_path)
    Copy.objects.filter(policy=made.policy, kind="primary_snap").update(retention=Retention.SPOOL)
    (tmp_path / "source" / "file").write_text("text")
    return made


@pytest.fixture
def keeping(subclient: Subclient) -> Iterator[Subclient]:
    """The same over an engine that keeps its base."""
    with keeping_engine.registered():
        keeping_engine.use_it(subclient)
        yield subclient


def cataloged(subclient: Subclient, mode: str) -> None:
    subclient.policy.catalog = mode
    subclient.policy.save()


def snap_and_copy(subclient: Subclient, *, initiator: str = Initiator.SCHEDULE) -> Job:
    """One snapshot and its backup copy, and whatever follows."""
    Path(subclient.content_paths[0], "file").write_bytes(os.urandom(100))
    run(launch_snapshot(subclient, initiator=initiator))
    Snapshot.objects.filter(catalog_state=CatalogState.PENDING).update(catalog_state=CatalogState.DONE)
    copied = run(launch_backup_copy(subclient, initiator=initiator))
    assert copied.state == JobState.COMPLETED, picture()
    return copied


def enter() -> Client:
    client = Client()
    client.force_login(User.objects.first() or make_user(Role.VIEWER))
    return client


def present() -> list[int]:
    return list(Snapshot.objects.filter(state=SnapshotState.PRESENT).order_by("pk").values_list("pk", flat=True))


def told(job: Job, code: str) -> str:
    return str(job.events.get(code=code).sentence)


def test_P1_most_engines_delete_the_snapshot_once_it_is_copied(subclient: Subclient, tmp_path: Path) -> None:
    copied = snap_and_copy(subclient)
    snapshot = Snapshot.objects.get()
    assert snapshot.state == SnapshotState.DELETED, picture()
    assert snapshot.deleted_at
    assert snapshot.aged_reason == "Spool copy: it is copied."
    assert not list((tmp_path / "snapshots").rglob(f"{snapshot.name}*"))
    deletion = Job.objects.get(operation="delete_snapshot")
    assert (deletion.initiator, deletion.how) == ("schedule", "policy")
    assert told(copied, "spool-deleted") == (
        f"Snapshot {snapshot.name} is deleted by job {deletion.pk}. Spool copy: it is copied."
    )
    assert BackupCopy.objects.get().state == CopyState.COPIED
    shown = enter().get(reverse("job", args=(copied.pk,))).content.decode()
    assert "Spool copy: it is copied." in shown
    chain = enter().get(reverse("subclient", args=(subclient.file_server.name, subclient.name))).content.decode()
    assert "Spool copy: it is copied." in chain, "the row says why it went"


def test_P1_a_copy_with_retention_deletes_nothing(subclient: Subclient) -> None:
    Copy.objects.filter(kind="primary_snap").update(retention=Retention.INFINITE)
    snap_and_copy(subclient)
    assert len(present()) == 1
    assert not Job.objects.filter(operation="delete_snapshot").exists()


@pytest.mark.parametrize("mode", [CatalogMode.INLINE, CatalogMode.DEFERRED])
def test_P2_P5_an_engine_that_keeps_its_base_retains_the_newest_copied_one(keeping: Subclient, mode: str) -> None:
    cataloged(keeping, mode)
    first = snap_and_copy(keeping)
    assert present() == [first.snapshot_id]
    assert "exactly one is retained" in told(first, "spool-kept")
    second = snap_and_copy(keeping)
    assert present() == [second.snapshot_id], "the older base went when the next copy succeeded"
    assert "Spool copy: a newer snapshot is copied." in told(second, "spool-deleted")
    assert second.ran_level == "incremental"
    kept = Snapshot.objects.get(state=SnapshotState.PRESENT)
    assert kept.retain_reason.startswith("The newest copied snapshot is kept"), "the row says why it stays"


@pytest.mark.parametrize("initiator", BY_HAND)
@pytest.mark.parametrize("mode", [CatalogMode.INLINE, CatalogMode.DEFERRED])
def test_P3_P6_started_by_hand_it_is_a_true_spool(keeping: Subclient, mode: str, initiator: str) -> None:
    cataloged(keeping, mode)
    copied = snap_and_copy(keeping, initiator=initiator)
    assert present() == []
    assert f"by a {initiator}" in told(copied, "spool-deleted")
    assert ("although the catalog is deferred" in told(copied, "spool-deleted")) == (mode == CatalogMode.DEFERRED)


def test_P3_the_base_of_before_goes_too(keeping: Subclient) -> None:
    cataloged(keeping, CatalogMode.INLINE)
    snap_and_copy(keeping)
    snap_and_copy(keeping, initiator=Initiator.PERSON)
    assert present() == []


def test_P2_without_a_catalog_none_is_retained(keeping: Subclient) -> None:
    copied = snap_and_copy(keeping)
    assert present() == []
    assert "Cataloging is off" in told(copied, "spool-deleted")


def test_P3_an_inline_copy_has_the_initiator_of_its_snapshot_job(keeping: Subclient) -> None:
    cataloged(keeping, CatalogMode.INLINE)
    keeping.policy.is_inline = True
    keeping.policy.save()
    scheduled = run(launch_snapshot(keeping, initiator=Initiator.SCHEDULE))
    assert scheduled.state == JobState.COMPLETED, picture()
    assert len(present()) == 1
    run(launch_snapshot(keeping, initiator=Initiator.PERSON))
    assert present() == []


def test_P7_a_partial_copy_keeps_its_snapshot(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient)
    make_backup_copy(snapshot, backup_copy_of(subclient), state=CopyState.PARTIAL)
    assert apply_spool(subclient) == []
    snapshot.refresh_from_db()
    assert snapshot.retain_reason == "It is not copied to every backup copy yet."


def test_P7_another_active_copy_still_needs_it(subclient: Subclient) -> None:
    second = create_copy(subclient.policy, name="second", media=make_media(name="other"), user=None)
    snapshot = make_snapshot(subclient)
    make_backup_copy(snapshot, backup_copy_of(subclient))
    waiting = make_backup_copy(snapshot, second, state=CopyState.TO_BE_COPIED)
    assert apply_spool(subclient) == []
    for state in (CopyState.FAILED, CopyState.CANDIDATE, CopyState.COPYING):
        BackupCopy.objects.filter(pk=waiting.pk).update(state=state)
        assert apply_spool(subclient) == []
    second.is_active = False
    second.save()
    assert [job.snapshot for job in apply_spool(subclient)] == [snapshot], "an inactive copy needs nothing (O3)"


def test_P7_pinned_cataloging_frozen_and_in_use_keep_it(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient, catalog_state=CatalogState.PENDING)
    make_backup_copy(snapshot, backup_copy_of(subclient))
    assert apply_spool(subclient) == []
    Snapshot.objects.update(catalog_state=CatalogState.DONE)
    pin_snapshots([snapshot], until=None)
    assert apply_spool(subclient) == []
    Snapshot.objects.update(is_pinned=False)
    subclient.aging_frozen_at = timezone.now()
    assert apply_spool(subclient) == []
    subclient.aging_frozen_at = None
    other = make_snapshot(subclient, n=1)
    make_backup_copy(other, backup_copy_of(subclient), state=CopyState.COPYING, parent=BackupCopy.objects.get())
    assert apply_spool(subclient) == [], "a copy that runs compares with it"
    BackupCopy.objects.filter(snapshot=other).update(state=CopyState.TO_BE_COPIED)
    assert [job.snapshot for job in apply_spool(subclient)] == [snapshot]
    assert apply_spool(subclient) == [], "its deletion is under way"


def copied_and_to_go(subclient: Subclient) -> tuple[BackupCopy, Job]:
    """A copy of a snapshot on the storage, and the job that is to delete the snapshot and has not begun."""
    run(launch_snapshot(subclient))
    snapshot = Snapshot.objects.get()
    BackupCopy.objects.filter(snapshot=snapshot).delete()
    copied = make_backup_copy(snapshot, backup_copy_of(subclient))
    (deletion,) = apply_spool(subclient)
    return copied, deletion


def test_P7_the_next_copy_does_not_hold_up_a_deletion_that_was_decided_before_it_began(subclient: Subclient) -> None:
    copied, deletion = copied_and_to_go(subclient)
    newer = make_snapshot(subclient, n=1)
    copying = make_job(operation=Operation.BACKUP_COPY, state=JobState.RUNNING, subclient=subclient, snapshot=newer)
    row = make_backup_copy(newer, backup_copy_of(subclient), state=CopyState.TO_BE_COPIED)
    assert mark_copying(row, job_id=copying.pk, base=copied) is None, "what is to go is not compared with"
    work_off()
    deletion.refresh_from_db()
    assert deletion.state == JobState.COMPLETED, picture()


def test_P7_a_copy_that_another_backup_copy_feeds_holds_no_snapshot(subclient: Subclient, tmp_path: Path) -> None:
    copied, deletion = copied_and_to_go(subclient)
    fed = add_fed_copy(tmp_path, subclient)
    make_job(
        operation=Operation.BACKUP_COPY, state=JobState.RUNNING, subclient=subclient, copy=fed, snapshot=copied.snapshot
    )
    work_off()
    deletion.refresh_from_db()
    assert deletion.state == JobState.COMPLETED, picture()


def test_P7_an_inline_copy_that_is_over_before_its_snapshot_job_awaits_it_lets_the_snapshot_go(
    subclient: Subclient,
) -> None:
    job = make_job(operation=Operation.SNAPSHOT, state=JobState.RUNNING, subclient=subclient)
    snapshot = make_snapshot(subclient, job=job)
    Job.objects.filter(pk=job.pk).update(snapshot=snapshot)
    make_backup_copy(snapshot, backup_copy_of(subclient))
    assert apply_spool(subclient) == [], "it may still be at it"
    make_job(operation=Operation.BACKUP_COPY, state=JobState.COMPLETED, subclient=subclient, parent=job)
    assert len(apply_spool(subclient)) == 1


def test_P7_a_deletion_that_fails_never_fails_the_copy_and_is_tried_again(
    subclient: Subclient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.engine import errors
    from jobs.engine.snapshots.directory import DirectoryEngine

    def refuse(*_args: object) -> None:
        raise errors.MediaRefused("The storage refuses to delete.")

    with monkeypatch.context() as patched:
        patched.setattr(DirectoryEngine, "delete", refuse)
        copied = snap_and_copy(subclient)
    snapshot = Snapshot.objects.get()
    assert copied.state == JobState.COMPLETED
    assert Job.objects.get(operation="delete_snapshot").state == JobState.FAILED
    assert (snapshot.state, snapshot.deletion_failures) == (SnapshotState.PRESENT, 1)
    aged_at = snapshot.aged_at
    assert len(apply_spool(subclient)) == 1
    work_off()
    snapshot.refresh_from_db()
    assert (snapshot.state, snapshot.aged_at) == (SnapshotState.DELETED, aged_at)


def test_R4_a_held_snapshot_is_not_retired(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient, is_pinned=True)
    assert retire_snapshot(snapshot, reason="days") is None
    snapshot.refresh_from_db()
    assert snapshot.aged_at is None


def test_B5_the_next_copy_is_incremental_although_the_snapshot_is_gone(subclient: Subclient, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / "source" / f"other-{number}").write_bytes(os.urandom(3000))
    first = snap_and_copy(subclient)
    second = snap_and_copy(subclient)
    assert (first.ran_level, second.ran_level) == ("full", "incremental")
    assert (second.files_changed, second.files_unmodified) == (1, 20)
    assert second.bytes_read <= 200
