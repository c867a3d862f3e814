"""What only the ONTAP engine does, through NetApp's own client over TLS, against the emulator of tests.arrays.

What goes wrong on the way there is in ``test_snapshot_ontap_faults``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import pytest

from jobs.engine.errors import (
    EngineUnsupported,
    InvalidOptions,
    Killed,
    NoSpace,
    SnapshotMissing,
    SourceUnavailable,
    StorageBusy,
)
from tests.arrays.https_server import Answer, Fault
from tests.arrays.ontap_clusters import Clusters
from tests.arrays.ontap_emulator import OntapCluster
from tests.arrays.ontap_state import StoredVolume

from .ontap_place import RUN, KillsAfter, engine_of, names, take
from .snapshot_drivers import named

pytestmark = pytest.mark.system

UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
FIELDS: Final = (
    "uuid,name,type,style,state,nas.path,snapshot_count,snapshot_directory_access_enabled,space.size,space.used"
)
DOCUMENTED: Final = {
    "GET /api/cluster?fields",
    "GET /api/svm/svms?fields&max_records&name",
    "GET /api/storage/volumes?fields&is_svm_root&max_records&svm.name",
    "GET /api/storage/volumes?clone.is_flexclone&fields&max_records&name&svm.name",
    "POST /api/storage/volumes",
    "PATCH /api/storage/volumes/{uuid}",
    "PATCH /api/storage/volumes/{uuid}?restore_to.snapshot.uuid",
    "DELETE /api/storage/volumes/{uuid}",
    "GET /api/storage/volumes/*/snapshots?fields&max_records&name&svm.name",
    "GET /api/storage/volumes/{uuid}/snapshots?fields&max_records&name",
    "POST /api/storage/volumes/{uuid}/snapshots",
    "DELETE /api/storage/volumes/{uuid}/snapshots/{uuid}",
    "GET /api/cluster/jobs/{uuid}?fields",
    "GET /api/snapmirror/relationships?destination.svm.name&fields&max_records&source.path",
    "POST /api/snapmirror/relationships/{uuid}/transfers",
    "GET /api/snapmirror/relationships/{uuid}/transfers/{uuid}?fields",
    "PATCH /api/snapmirror/relationships/{uuid}/transfers/{uuid}",
}
"""Method, path and names of the query, as the reference of ONTAP's REST interface has them."""


def shape(method: str, path: str, query: dict[str, str]) -> str:
    told = UUID.sub("{uuid}", path)
    return f"{method} {told}" + (f"?{'&'.join(sorted(query))}" if query else "")


def test_the_wire_calls_of_the_client_are_those_that_are_documented(clusters: Clusters) -> None:
    first, second = clusters(), clusters()
    volume, vault = first.add_volume("vol1"), second.add_volume("vault", type="dp")
    relation = second.mirror(first, volume, vault)
    engine, secondary = engine_of(first), engine_of(second)
    assert engine.test().ok
    ref = take(first, 1)
    with engine.open(ref):
        pass
    volume.shows_snapshots = False
    with engine.open(ref):
        pass
    volume.shows_snapshots = True
    assert secondary.replicate(ref, engine, None, RUN).sent_bytes
    relation.state = "snapmirrored"
    second.polls = 10**9
    with pytest.raises(Killed):
        secondary.replicate(take(first, 2), engine, None, KillsAfter(5))
    engine.revert(ref, RUN)
    engine.list()
    engine.delete(ref)
    asked = {shape(one.method, one.path, dict(one.query)) for one in first.server.requests + second.server.requests}
    assert asked == DOCUMENTED
    volumes = [one for one in first.server.requests if one.query.get("fields") == FIELDS]
    assert volumes[0].query["is_svm_root"] == "false"
    (post,) = [one for one in first.server.requests if one.method == "POST" and one.body.get("name") == named(1)]
    assert set(post.body) == {"name", "comment"}
    (clone,) = [one.body for one in first.server.requests if one.path == "/api/storage/volumes" and one.body]
    assert clone["clone"] == {
        "is_flexclone": True,
        "parent_volume": {"uuid": volume.uuid},
        "parent_snapshot": {"name": ref.name},
    }
    (sent,) = [one.body for one in second.server.requests if one.method == "POST"][:1]
    assert sent == {"source_snapshot": ref.name}


def test_a_comment_tells_people_the_job_and_a_label_is_put_on(cluster: OntapCluster, volume: StoredVolume) -> None:
    engine_of(cluster, snapmirror_label="weekly").create(named(3, job=41), [str(volume.directory)], RUN)
    (made,) = volume.snapshots
    assert made.comment.startswith("SnapCopy job 41 ")
    assert made.label == "weekly"


def test_two_clusters_in_one_process_are_not_mixed_up(clusters: Clusters) -> None:
    made = [clusters(), clusters()]
    for cluster in made:
        cluster.add_volume("vol1")
    refs = [take(cluster, n) for n, cluster in enumerate(made)]
    assert [[one.name for one in engine_of(cluster).list()] for cluster in made] == [[ref.name] for ref in refs]


def test_a_snapshot_of_several_volumes_is_there_on_all_or_on_none(cluster: OntapCluster, volume: StoredVolume) -> None:
    second = cluster.add_volume("vol2", path="/projects")
    ref = take(cluster, 1, second, volume)
    assert names(volume) == names(second) == [ref.name]
    assert engine_of(cluster).list() == [ref]
    with engine_of(cluster).open(ref) as roots:
        assert [root.directory for root in roots] == [
            one.directory / ".snapshot" / ref.name for one in (second, volume)
        ]
    second.filler = 1_023
    with pytest.raises(NoSpace):
        take(cluster, 2, volume, second)
    assert names(volume) == [ref.name]
    cluster.remove(second, second.snapshots[0])
    assert not engine_of(cluster).exists(ref)
    with pytest.raises(SnapshotMissing, match="“vol2”"), engine_of(cluster).open(ref):
        pytest.fail("half a snapshot is none")
    (half,) = engine_of(cluster).list()
    assert "not on every volume" in half.warnings[0]
    engine_of(cluster).delete(half)
    assert names(volume) == []


def test_a_volume_inside_another_is_named_as_not_being_in_it(cluster: OntapCluster, volume: StoredVolume) -> None:
    cluster.add_volume("inner", path="/vol1/inner")
    ref = take(cluster, 1)
    assert ref.warnings == (f"“{volume.directory}/inner” is another volume, so it is not in this snapshot.",)
    inner = take(cluster, 2, cluster.volumes[1])
    assert names(cluster.volumes[1]) == [inner.name]


def test_what_is_on_no_volume_is_refused(cluster: OntapCluster, volume: StoredVolume, tmp_path: Path) -> None:
    engine = engine_of(cluster)
    with pytest.raises(InvalidOptions, match="no volume of the SVM"):
        engine.create(named(1), [str(cluster.root)], RUN)
    for place in (tmp_path, Path("/")):
        with pytest.raises(InvalidOptions, match="where the SVM is mounted") as refusal:
            engine.validate_content([str(place)])
        assert refusal.value.field == "content_paths"


def test_hidden_snapshots_are_read_through_a_clone_that_is_gone_afterwards(
    cluster: OntapCluster, volume: StoredVolume
) -> None:
    ref = take(cluster, 1)
    (volume.directory / "file").write_text("changed")
    volume.shows_snapshots = False
    with engine_of(cluster).open(ref) as (root,):
        assert root.directory.parent == cluster.root
        assert (root.directory / "file").read_text() == "x"
        assert ".snapshot" not in os.listdir(root.directory)
        with pytest.raises(StorageBusy, match="owner"):
            cluster_deletes(cluster, volume)
    assert [one.name for one in cluster.volumes] == ["vol1"]
    assert os.listdir(cluster.root) == ["vol1"]
    engine_of(cluster).delete(ref)


def cluster_deletes(cluster: OntapCluster, volume: StoredVolume) -> None:
    """As ONTAP answers somebody who deletes a snapshot with a clone."""
    with engine_of(cluster).connect() as client:
        client.delete_snapshot(client.snapshots(volume.snapshots[0].name)[0], RUN)


def test_a_clone_that_a_killed_node_left_goes_with_its_snapshot(cluster: OntapCluster, volume: StoredVolume) -> None:
    ref = take(cluster, 1)
    volume.shows_snapshots = False
    with engine_of(cluster).connect() as client:
        found = next(one for one in client.volumes() if one.uuid == volume.uuid)
        client.make_clone(found, ref.name, f"{ref.name.replace('-', '_')}_dead", "/left", RUN)
    engine_of(cluster).delete(ref)
    assert [one.name for one in cluster.volumes] == ["vol1"]
    assert names(volume) == []


def test_S6_a_whole_volume_goes_back_at_once_and_costs_every_newer_snapshot(
    cluster: OntapCluster, volume: StoredVolume
) -> None:
    engine = engine_of(cluster)
    take(cluster, 1)
    ref = take(cluster, 2)
    (volume.directory / "file").write_text("overwritten")
    (volume.directory / "later").write_text("new")
    take(cluster, 3)
    cluster.take(volume, "hourly.0")
    told = engine.plan_revert(ref, RUN, seconds=20)
    assert (told.lost, told.is_exchanged, told.replaced, told.removed) == ((named(3),), True, 1, 1)
    assert told.warnings == ("Newer snapshots that SnapCopy did not take are lost, too: hourly.0.",)
    done = engine.revert(ref, RUN)
    assert (done.lost, done.is_exchanged) == ((named(3),), True)
    assert sorted(os.listdir(volume.directory)) == [".snapshot", "file"]
    assert (volume.directory / "file").read_text() == "x"
    assert [one.name for one in engine.list()] == [named(1), named(2)]
    assert engine.was_exchanged_since(ref) is None


def test_S6_a_part_of_a_volume_goes_back_file_by_file_and_costs_nothing(
    cluster: OntapCluster, volume: StoredVolume
) -> None:
    (volume.directory / "home").mkdir()
    (volume.directory / "home" / "letter").write_text("dear")
    (volume.directory / "other").write_text("stays")
    ref = take(cluster, 1, below="home")
    (volume.directory / "home" / "letter").write_text("deer")
    (volume.directory / "other").write_text("newer")
    take(cluster, 2)
    engine = engine_of(cluster)
    told = engine.plan_revert(ref, RUN, seconds=20)
    assert (told.lost, told.is_exchanged, told.replaced) == ((), False, 1)
    engine.revert(ref, RUN)
    assert (volume.directory / "home" / "letter").read_text() == "dear"
    assert (volume.directory / "other").read_text() == "newer"
    assert names(volume) == [named(1), named(2)]


def test_O1_a_transfer_that_is_killed_is_aborted_on_the_cluster(clusters: Clusters) -> None:
    first, second = clusters(), clusters()
    relation = second.mirror(first, first.add_volume("vol1"), second.add_volume("vault", type="dp"))
    second.polls = 10**9
    with pytest.raises(Killed):
        engine_of(second).replicate(take(first, 1), engine_of(first), None, KillsAfter(4))
    assert [one.state for one in relation.transfers.values()] == ["aborted"]
    assert engine_of(second).list() == []


def test_O1_a_mirror_that_is_missing_or_not_ready_is_told_with_what_to_set_up(clusters: Clusters) -> None:
    first, second = clusters(), clusters()
    volume, vault = first.add_volume("vol1"), second.add_volume("vault", type="dp")
    ref = take(first, 1)
    with pytest.raises(EngineUnsupported, match="No SnapMirror relationship") as refusal:
        engine_of(second).replicate(ref, engine_of(first), None, RUN)
    assert "async" in refusal.value.hint
    relation = second.mirror(first, volume, vault)
    relation.state = "broken_off"
    with pytest.raises(SourceUnavailable, match="broken off"):
        engine_of(second).replicate(ref, engine_of(first), None, RUN)


def test_O1_a_transfer_that_fails_is_told_in_ontaps_words(clusters: Clusters) -> None:
    first, second = clusters(), clusters()
    volume, vault = first.add_volume("vol1"), second.add_volume("vault", type="dp")
    second.mirror(first, volume, vault)
    ref = take(first, 1)
    error = {"code": "13303845", "message": "Destination volume is full"}
    failed = Answer(body={"state": "failed", "error_info": error})
    second.server.fail(Fault(matches=lambda one: one.method == "GET" and "/transfers/" in one.path, answer=failed))
    with pytest.raises(SourceUnavailable, match="Destination volume is full"):
        engine_of(second).replicate(ref, engine_of(first), None, RUN)


def test_a_replica_is_no_place_to_revert_to(clusters: Clusters) -> None:
    first, second = clusters(), clusters()
    volume, vault = first.add_volume("vol1"), second.add_volume("vault", type="dp")
    second.mirror(first, volume, vault)
    replica = engine_of(second).replicate(take(first, 1), engine_of(first), None, RUN).ref
    (found,) = engine_of(second).list()
    assert found.handle == replica.handle | {"below.0": ""}
    assert "comment" in found.warnings[0]
    with pytest.raises(EngineUnsupported, match="destination of SnapMirror"):
        engine_of(second).revert(found, RUN)


def test_R8_test_tells_volumes_and_what_is_odd_about_them(cluster: OntapCluster, volume: StoredVolume) -> None:
    cluster.add_volume("hidden").shows_snapshots = False
    cluster.add_volume("unmounted", path="")
    volume.filler = 819
    report = engine_of(cluster).test()
    assert report.ok, report
    assert report.facts["cluster"] == cluster.name
    assert "9.16.1" in str(report.facts["version"])
    found = report.facts["file_systems"]
    assert isinstance(found, list)
    assert [(one["path"], one["snapshots"], one["reading"]) for one in found] == [
        (str(volume.directory), 819, "its snapshot directory"),
        (str(cluster.root / "hidden"), 0, "a FlexClone"),
    ]
    assert report.warnings == (
        "Without a junction path, so no node can see them: unmounted.",
        "They hide their snapshots: each is read through a FlexClone: hidden.",
        "Near the limit of 1,023 snapshots: vol1.",
    )
