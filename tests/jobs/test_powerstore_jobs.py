"""Jobs over the PowerStore engine: real jobs, Dell's own client, an emulated array that serves files of a real btrfs.

RULES P2 to P6 initiator by initiator, with the reason on the pages; R8; S6.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from jobs.engine.plan import Secret
from jobs.engine.snapshots.registry import ENGINES
from jobs.models import BackupCopy, CatalogState, Initiator, Job, JobState, Snapshot, SnapshotState
from jobs.services import apply_spool, launch_backup_copy, launch_snapshot
from jobs.services.revert import launch_revert
from policies import services as configuration
from policies.models import CatalogMode, Copy, Retention, Subclient
from snapcopy_site.lib.roles import Role
from tests.arrays.https_server import Fault, Request
from tests.arrays.powerstore_emulator import MOST_SNAPSHOTS, PASSWORD, PowerStore, emulated, refusal
from tests.factories import make_user
from tests.job_factories import make_node
from tests.jobs.farm import configure, picture
from tests.jobs.here import run

pytestmark = pytest.mark.system

FILES: Final = 12


@pytest.fixture(scope="module")
def shared_array(module_btrfs: Path) -> Iterator[PowerStore]:
    with emulated(module_btrfs, "fs1") as made:
        yield made


@pytest.fixture
def array(shared_array: PowerStore) -> Iterator[PowerStore]:
    shared_array.reset()
    for number in range(FILES):
        (shared_array.mount / "fs1" / f"file-{number}").write_bytes(os.urandom(3000))
    yield shared_array
    assert shared_array.wrong == []


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path, array: PowerStore) -> Subclient:
    """A whole file system, under a spool policy."""
    make_node()
    policy = configure(tmp_path).policy
    Subclient.objects.all().delete()
    Copy.objects.filter(policy=policy, kind="primary_snap").update(retention=Retention.SPOOL)
    server = configuration.create_file_server(
        name="nas1", engine="powerstore", options=array.options(), secrets={"password": Secret(PASSWORD)}, user=None
    )
    return configuration.create_subclient(
        file_server=server, name="fs1", content_paths=[str(array.mount / "fs1")], policy=policy, user=None
    )


def live(subclient: Subclient) -> Path:
    return Path(subclient.content_paths[0])


def snap(subclient: Subclient, *, initiator: str = Initiator.SCHEDULE) -> Snapshot:
    job = run(launch_snapshot(subclient, initiator=initiator))
    assert job.state == JobState.COMPLETED, picture()
    return Snapshot.objects.get(job=job)


def snap_and_copy(subclient: Subclient, *, initiator: str = Initiator.SCHEDULE) -> Job:
    """One snapshot and its backup copy, and whatever follows."""
    (live(subclient) / "file-0").write_bytes(os.urandom(100))
    snap(subclient, initiator=initiator)
    Snapshot.objects.filter(catalog_state=CatalogState.PENDING).update(catalog_state=CatalogState.DONE)
    copied = run(launch_backup_copy(subclient, initiator=initiator))
    assert copied.state == JobState.COMPLETED, picture()
    return copied


def shown(name: str, *args: object) -> str:
    client = Client()
    client.force_login(User.objects.first() or make_user(Role.VIEWER))
    return client.get(reverse(name, args=args)).content.decode()


@pytest.mark.parametrize(
    ("initiator", "catalog", "reason"),
    [
        (Initiator.SCHEDULE, CatalogMode.INLINE, "the policy has a catalog, so exactly one is retained"),
        (Initiator.SCHEDULE, CatalogMode.DEFERRED, "the policy has a deferred catalog, so exactly one is retained"),
        (Initiator.SCHEDULE, CatalogMode.SKIP, "Cataloging is off, so none is retained"),
        (Initiator.PERSON, CatalogMode.INLINE, "was started by a person, so none is retained"),
        (Initiator.PERSON, CatalogMode.DEFERRED, "by a person, although the catalog is deferred, so none is retained"),
        (Initiator.SCRIPT, CatalogMode.INLINE, "was started by a script, so none is retained"),
        (Initiator.SCRIPT, CatalogMode.DEFERRED, "by a script, although the catalog is deferred, so none is retained"),
    ],
)
def test_P2_P3_P6_the_spool_leaves_what_the_initiator_and_the_catalog_say_and_the_pages_say_why(
    subclient: Subclient, array: PowerStore, initiator: str, catalog: str, reason: str
) -> None:
    configuration.update_policy(subclient.policy, user=None, catalog=catalog)
    subclient.refresh_from_db()
    job = snap_and_copy(subclient, initiator=initiator)
    is_kept = "exactly one" in reason
    assert array.snapshots() == ([job.snapshot.name] if is_kept and job.snapshot else [])
    assert reason in shown("job", job.pk)
    assert reason in shown("subclient", "nas1", "fs1")


def test_P5_the_older_base_goes_when_the_next_copy_succeeds_and_that_one_is_incremental(
    subclient: Subclient, array: PowerStore
) -> None:
    configuration.update_policy(subclient.policy, user=None, catalog=CatalogMode.INLINE)
    subclient.refresh_from_db()
    first = snap_and_copy(subclient)
    second = snap_and_copy(subclient)
    assert second.snapshot is not None
    assert array.snapshots() == [second.snapshot.name]
    assert (first.ran_level, second.ran_level) == ("full", "incremental")
    assert (second.files_changed, second.files_unmodified) == (1, FILES - 1), "and no file of a snapshot among them"
    assert "Spool copy: a newer snapshot is copied." in shown("job", second.pk)


def test_P4_without_spool_a_person_keeps_what_he_takes(subclient: Subclient, array: PowerStore) -> None:
    Copy.objects.filter(kind="primary_snap").update(retention=Retention.INFINITE)
    snap_and_copy(subclient, initiator=Initiator.PERSON)
    assert len(array.snapshots()) == 1


def test_P7_a_snapshot_that_the_array_keeps_never_fails_the_copy_and_is_deleted_later(
    subclient: Subclient, array: PowerStore
) -> None:
    snap(subclient, initiator=Initiator.PERSON)
    locked = refusal(422, "The snapshot is secure and cannot be deleted before its expiration.")
    array.server.fail(Fault(matches=_is_deletion, times=None, answer=locked))
    assert run(launch_backup_copy(subclient)).state == JobState.COMPLETED
    deletion = Job.objects.get(operation="delete_snapshot")
    assert deletion.state in (JobState.FAILED, JobState.PENDING), picture()
    assert "cannot be deleted before its expiration" in shown("job", deletion.pk)
    array.server.faults.clear()
    Job.objects.filter(pk=deletion.pk).update(state=JobState.FAILED, retry_at=None, finished_at=deletion.created_at)
    (again,) = apply_spool(subclient)
    assert run(again).state == JobState.COMPLETED, picture()
    assert array.snapshots() == []


def test_R8_near_the_limit_the_pages_warn_and_at_the_limit_the_job_says_so(
    subclient: Subclient, array: PowerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ENGINES["powerstore"].snapshot_limit == MOST_SNAPSHOTS
    monkeypatch.setitem(ENGINES, "powerstore", replace(ENGINES["powerstore"], snapshot_limit=5))
    Copy.objects.filter(kind="primary_snap").update(retention=Retention.INFINITE)
    for _ in range(4):
        snap(subclient)
    for page in (shown("overview"), shown("subclient", "nas1", "fs1")):
        assert "4 of the 5 snapshots that the storage allows are taken." in page
    for number in range(MOST_SNAPSHOTS - 4):
        array.take_as_somebody_else("fs1", f"daily-{number}")
    job = run(launch_snapshot(subclient))
    assert job.state in (JobState.FAILED, JobState.PENDING), picture()
    assert "The limit of 256 snapshots for the file system has been reached." in shown("job", job.pk)
    assert len(array.snapshots()) == MOST_SNAPSHOTS


def test_S6_a_revert_of_a_file_system_costs_no_snapshot_and_the_safety_snapshot_leads_back(
    subclient: Subclient, array: PowerStore
) -> None:
    target = snap(subclient)
    (live(subclient) / "file-1").unlink()
    newer = snap(subclient)
    job = run(launch_revert(target, confirmation="fs1"))
    assert job.state == JobState.COMPLETED, picture()
    assert (live(subclient) / "file-1").exists()
    safety = Snapshot.objects.get(name=job.result["safety_snapshot"])
    assert set(array.snapshots()) == {target.name, newer.name, safety.name}
    assert set(Snapshot.objects.values_list("state", flat=True)) == {SnapshotState.PRESENT}
    back = run(launch_revert(safety, confirmation="fs1"))
    assert back.state == JobState.COMPLETED, picture()
    assert not (live(subclient) / "file-1").exists()


def test_a_copy_reads_through_an_export_and_leaves_none(subclient: Subclient, array: PowerStore) -> None:
    configuration.update_file_server(subclient.file_server, user=None, options=array.options(reading="export"))
    subclient.refresh_from_db()
    snap_and_copy(subclient)
    assert (array.exports, array.snapshots()) == ({}, [])
    assert any(asked == "POST /api/rest/nfs_export" for asked in array.server.asked())
    assert BackupCopy.objects.get().job is not None


def _is_deletion(request: Request) -> bool:
    return request.method == "DELETE" and "/file_system/" in request.path
