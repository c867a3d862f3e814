"""Jobs over the ONTAP engine: real jobs, NetApp's own client, an emulated cluster that serves files of a real btrfs.

RULES P2 to P6 initiator by initiator, with the reason on the pages; R8; S6; O1.
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
from jobs.models import (
    BackupCopy,
    CatalogState,
    CopyState,
    Initiator,
    Job,
    JobState,
    Snapshot,
    SnapshotReplica,
    SnapshotState,
)
from jobs.services import apply_spool, launch_backup_copy, launch_secondary_copy, launch_snapshot
from jobs.services.revert import launch_revert
from policies import services as configuration
from policies.models import CatalogMode, Copy, FileServer, Retention, Subclient
from snapcopy_site.lib.roles import Role
from tests.arrays.ontap_clusters import SECRETS, Clusters
from tests.arrays.ontap_emulator import OntapCluster
from tests.factories import make_user
from tests.job_factories import make_node
from tests.jobs.farm import configure, picture
from tests.jobs.here import run

pytestmark = pytest.mark.system

FILES: Final = 12


@pytest.fixture
def clusters(module_btrfs: Path) -> Iterator[Clusters]:
    made = Clusters(module_btrfs)
    yield made
    made.stop()


@pytest.fixture
def cluster(clusters: Clusters) -> OntapCluster:
    made = clusters()
    made.polls = 0
    volume = made.add_volume("vol1")
    for number in range(FILES):
        (volume.directory / f"file-{number}").write_bytes(os.urandom(3000))
    return made


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path, cluster: OntapCluster) -> Subclient:
    """A whole volume, under a spool policy."""
    make_node()
    policy = configure(tmp_path).policy
    Subclient.objects.all().delete()
    Copy.objects.filter(policy=policy, kind="primary_snap").update(retention=Retention.SPOOL)
    return configuration.create_subclient(
        file_server=server_of(cluster, "cluster1"),
        name="vol1",
        content_paths=[str(cluster.volumes[0].directory)],
        policy=policy,
        user=None,
    )


def server_of(cluster: OntapCluster, name: str) -> FileServer:
    secrets = {field: Secret(text) for field, text in SECRETS.items()}
    return configuration.create_file_server(
        name=name, engine="ontap", options=cluster.values(), secrets=secrets, user=None
    )


def on_cluster(cluster: OntapCluster) -> list[str]:
    return [one.name for one in cluster.volumes[0].snapshots]


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


def enter() -> Client:
    client = Client()
    client.force_login(User.objects.first() or make_user(Role.VIEWER))
    return client


def shown(name: str, *args: object) -> str:
    return enter().get(reverse(name, args=args)).content.decode()


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
    subclient: Subclient, cluster: OntapCluster, initiator: str, catalog: str, reason: str
) -> None:
    configuration.update_policy(subclient.policy, user=None, catalog=catalog)
    subclient.refresh_from_db()
    job = snap_and_copy(subclient, initiator=initiator)
    is_kept = "exactly one" in reason
    assert on_cluster(cluster) == ([job.snapshot.name] if is_kept and job.snapshot else [])
    assert reason in shown("job", job.pk)
    assert reason in shown("subclient", "cluster1", "vol1")


def test_P5_the_older_base_goes_when_the_next_copy_succeeds_and_that_one_is_incremental(
    subclient: Subclient, cluster: OntapCluster
) -> None:
    configuration.update_policy(subclient.policy, user=None, catalog=CatalogMode.INLINE)
    subclient.refresh_from_db()
    first = snap_and_copy(subclient)
    second = snap_and_copy(subclient)
    assert second.snapshot is not None
    assert on_cluster(cluster) == [second.snapshot.name]
    assert (first.ran_level, second.ran_level) == ("full", "incremental")
    assert (second.files_changed, second.files_unmodified) == (1, FILES - 1)
    assert "Spool copy: a newer snapshot is copied." in shown("job", second.pk)
    assert not any(".snapshot" in one for one in BackupCopy.objects.values_list("snapshot__content", flat=True)[0])


def test_P4_without_spool_a_person_keeps_what_he_takes(subclient: Subclient, cluster: OntapCluster) -> None:
    Copy.objects.filter(kind="primary_snap").update(retention=Retention.INFINITE)
    snap_and_copy(subclient, initiator=Initiator.PERSON)
    assert len(on_cluster(cluster)) == 1


def test_P7_a_snapshot_that_ontap_keeps_never_fails_the_copy_and_is_deleted_later(
    subclient: Subclient, cluster: OntapCluster
) -> None:
    snap(subclient, initiator=Initiator.PERSON)
    cluster.volumes[0].snapshots[0].is_locked = True
    assert run(launch_backup_copy(subclient)).state == JobState.COMPLETED
    deletion = Job.objects.get(operation="delete_snapshot")
    assert deletion.state in (JobState.FAILED, JobState.PENDING), picture()
    assert "has not expired or is locked" in shown("job", deletion.pk)
    cluster.volumes[0].snapshots[0].is_locked = False
    Job.objects.filter(pk=deletion.pk).update(state=JobState.FAILED, retry_at=None, finished_at=deletion.created_at)
    (again,) = apply_spool(subclient)
    assert run(again).state == JobState.COMPLETED, picture()
    assert on_cluster(cluster) == []


def test_R8_near_the_limit_the_pages_warn_and_at_the_limit_the_job_says_so(
    subclient: Subclient, cluster: OntapCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ENGINES["ontap"].snapshot_limit == 1_023
    monkeypatch.setitem(ENGINES, "ontap", replace(ENGINES["ontap"], snapshot_limit=5))
    Copy.objects.filter(kind="primary_snap").update(retention=Retention.INFINITE)
    for _ in range(4):
        snap(subclient)
    for page in (shown("overview"), shown("subclient", "cluster1", "vol1")):
        assert "4 of the 5 snapshots that the storage allows are taken." in page
    cluster.volumes[0].filler = 1_019
    job = run(launch_snapshot(subclient))
    assert (job.state, job.error_code) == (JobState.FAILED, "no-space"), picture()
    assert "the volume has 1,023 snapshots, and allows no more" in shown("job", job.pk)


def test_S6_a_revert_of_a_volume_costs_what_was_accepted_and_the_lost_ones_are_not_waited_for(
    subclient: Subclient, cluster: OntapCluster
) -> None:
    target = snap(subclient)
    newer = snap(subclient)
    (live(subclient) / "file-1").unlink()
    refused = run(launch_revert(target, confirmation="vol1"))
    assert (refused.state, refused.error_code) == (JobState.FAILED, "revert-changed"), picture()
    job = run(launch_revert(target, confirmation="vol1", accepted=[newer.name]))
    assert job.state == JobState.COMPLETED, picture()
    assert job.result["safety_snapshot"] == "", "it would have been lost, too"
    assert (live(subclient) / "file-1").exists()
    assert on_cluster(cluster) == [target.name]
    newer.refresh_from_db()
    assert newer.state == SnapshotState.DELETED
    assert newer.backup_copies.get().state == CopyState.SKIPPED


def test_O1_a_snapshot_goes_to_the_vault_by_snapmirror_and_a_copy_is_made_from_there(
    subclient: Subclient, cluster: OntapCluster, clusters: Clusters
) -> None:
    second = clusters()
    vault = second.add_volume("vault", type="dp")
    second.mirror(cluster, cluster.volumes[0], vault)
    secondary = configuration.create_copy(
        subclient.policy, name="vault", kind="secondary_snap", target_server=server_of(second, "cluster2"), user=None
    )
    snapshot = snap(subclient)
    sent = run(launch_secondary_copy(subclient=subclient, copy=secondary))
    assert sent.state == JobState.COMPLETED, picture()
    assert [one.name for one in vault.snapshots] == [snapshot.name]
    assert SnapshotReplica.objects.get().state == CopyState.COPIED
    subclient.policy.backup_source = secondary
    subclient.policy.save()
    copied = run(launch_backup_copy(subclient))
    assert copied.state == JobState.COMPLETED, picture()
    assert copied.files_done == FILES
