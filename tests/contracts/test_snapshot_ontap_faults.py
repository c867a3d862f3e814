"""What goes wrong between the ONTAP engine and a cluster: refusals by code, accounts, certificates, silence."""

from __future__ import annotations

import sys

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    LoginRefused,
    NoSpace,
    SourceUnavailable,
    StorageBusy,
)
from jobs.engine.options import parse_options
from jobs.engine.plan import Secret
from jobs.engine.snapshots.arrays.certificates import spaced
from jobs.engine.snapshots.ontap.options import OntapOptions
from jobs.engine.snapshots.registry import ENGINES
from tests.arrays.certificates import certificate
from tests.arrays.https_server import HERE, Answer, Fault, anything, to
from tests.arrays.ontap_clusters import Clusters
from tests.arrays.ontap_emulator import OntapCluster
from tests.arrays.ontap_state import StoredSnapshot, StoredVolume

from .ontap_place import RUN, engine_of, names, take
from .snapshot_drivers import named

pytestmark = pytest.mark.system


def own(_volume: StoredVolume, snapshot: StoredSnapshot) -> None:
    snapshot.owners.append("snapmirror")


def lock(_volume: StoredVolume, snapshot: StoredSnapshot) -> None:
    snapshot.is_locked = True


def test_the_limit_of_a_volume_is_told_with_its_number(cluster: OntapCluster, volume: StoredVolume) -> None:
    volume.filler = 1_023
    with pytest.raises(NoSpace, match="1,023 snapshots, and allows no more") as refusal:
        take(cluster, 1)
    assert "retention" in refusal.value.hint
    assert names(volume) == []


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [(own, StorageBusy, "owner"), (lock, StorageBusy, "has not expired or is locked")],
)
def test_a_snapshot_that_ontap_keeps_is_told_and_stays(
    cluster: OntapCluster, volume: StoredVolume, spoil: object, kind: type[EngineError], words: str
) -> None:
    ref = take(cluster, 1)
    spoil(volume, volume.snapshots[0])  # type: ignore[operator]
    with pytest.raises(kind, match=words) as refusal:
        engine_of(cluster).delete(ref)
    assert refusal.value.hint
    assert engine_of(cluster).exists(ref)


def test_one_that_vanishes_while_it_is_deleted_is_gone_as_wanted(cluster: OntapCluster, volume: StoredVolume) -> None:
    ref = take(cluster, 1)
    gone = Answer(status=404, body={"error": {"code": "1638600", "message": "The snapshot does not exist."}})
    cluster.server.fail(Fault(matches=lambda request: request.method == "DELETE", answer=gone))
    engine_of(cluster).delete(ref)


def test_an_offline_volume_is_tried_again_later(cluster: OntapCluster, volume: StoredVolume) -> None:
    volume.state = "offline"
    with pytest.raises(SourceUnavailable, match="“vol1” is offline"):
        take(cluster, 1)
    failed = {"code": "524479", "message": "Volume vol1 is offline."}
    volume.state = "online"
    cluster.server.fail(
        Fault(matches=lambda one: "/jobs/" in one.path, answer=Answer(body={"state": "failure", "error": failed}))
    )
    with pytest.raises(SourceUnavailable, match="Volume vol1 is offline"):
        take(cluster, 1)
    assert names(volume) == [], "what a failed create made is taken back"


def test_a_job_that_never_ends_is_given_up_in_time_and_its_snapshot_taken_back(
    cluster: OntapCluster, volume: StoredVolume
) -> None:
    class Leaps(SystemClock):
        """An hour passes as soon as the cluster was asked for a job."""

        def monotonic(self) -> float:
            return super().monotonic() + 3_600 * any("/jobs/" in one.path for one in cluster.server.requests)

    cluster.polls = 10**9
    engine = engine_of(cluster)
    engine.clock = Leaps()
    with pytest.raises(StorageBusy, match=f"within {engine.options.timeout_seconds} s"):
        engine.create(named(1), [str(volume.directory)], RUN)


@pytest.mark.parametrize(("status", "words"), [(401, "Correct account"), (403, "role")])
def test_a_refused_account_is_told(cluster: OntapCluster, status: int, words: str) -> None:
    answer = Answer(status=status, body={"error": {"code": "6", "message": "not authorized for that command"}})
    cluster.server.fail(Fault(matches=anything, answer=answer, times=None))
    with pytest.raises(LoginRefused) as refusal:
        engine_of(cluster).list()
    assert words in refusal.value.hint


def test_a_wrong_password_is_told_and_never_shown(cluster: OntapCluster) -> None:
    with pytest.raises(LoginRefused) as refusal:
        engine_of(cluster, password="wrong-but-secret").list()
    assert "secret" not in f"{refusal.value.sentence} {refusal.value.hint} {refusal.value.__cause__}"


def test_a_slow_cluster_is_given_up_in_time(cluster: OntapCluster) -> None:
    cluster.server.fail(Fault(matches=anything, seconds=3_600, times=None))
    with pytest.raises(SourceUnavailable, match="did not answer in time"):
        engine_of(cluster, timeout_seconds=1).list()


def test_a_connection_that_breaks_once_is_made_again_but_nothing_is_made_twice(
    cluster: OntapCluster, volume: StoredVolume
) -> None:
    cluster.server.fail(Fault(matches=to("GET", "/volumes"), is_dropped=True))
    take(cluster, 1)
    cluster.server.fail(Fault(matches=to("POST", "/snapshots"), is_dropped=True, is_late=True))
    with pytest.raises(SourceUnavailable, match="cannot be reached, or it cut the connection"):
        take(cluster, 2)
    posts = [one for one in cluster.server.requests if one.method == "POST"]
    assert len(posts) == 2


def test_a_cluster_that_is_not_there_is_told(cluster: OntapCluster) -> None:
    values = cluster.values()
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        engine_of(cluster, port=1).list()
    assert values["port"] != 1


def test_something_else_at_the_address_is_told(cluster: OntapCluster) -> None:
    cluster.server.fail(Fault(matches=anything, answer=Answer(body=["a", "list"]), times=None))
    with pytest.raises(SourceUnavailable):
        engine_of(cluster).list()


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (certificate(HERE, authority="foreign"), "has signed"),
        (certificate("other.example"), "made out to another"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_told_with_its_fingerprint_and_can_be_pinned(
    clusters: Clusters, shown: object, words: str
) -> None:
    cluster = clusters(certified=shown)
    trusted = {"ca_file": str(certificate(HERE, "localhost").authority)}
    with pytest.raises(InvalidOptions, match=words) as refusal:
        engine_of(cluster, **trusted).list()
    told = spaced(cluster.server.certificate.fingerprint)
    assert refusal.value.field == "fingerprint"
    assert told in refusal.value.hint
    assert cluster.server.asked() == [], "no password went to a stranger"
    assert engine_of(cluster, ca_file=None, fingerprint=told).list() == []


def test_a_pinned_certificate_that_changed_is_refused(cluster: OntapCluster) -> None:
    with pytest.raises(InvalidOptions, match="another certificate"):
        engine_of(cluster, fingerprint="ab" * 32).list()
    assert cluster.server.asked() == []


def test_the_environment_of_the_process_changes_nothing(cluster: OntapCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQUESTS_CA_BUNDLE would replace the options' authority without a word; a proxy would be asked first."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate(HERE, authority="foreign").authority))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert engine_of(cluster).list() == []


def test_lists_are_read_to_their_last_page(cluster: OntapCluster, volume: StoredVolume) -> None:
    for n in range(1, 6):
        cluster.take(volume, named(n))
    cluster.take(volume, "hourly.0")
    cluster.page = 2
    assert [one.name for one in engine_of(cluster).list()] == [named(n) for n in range(1, 6)]
    following = [one for one in cluster.server.requests if "start.index" in one.query]
    assert [one.query["start.index"] for one in following] == ["2", "4"]


def test_a_test_stops_at_what_is_wrong_and_says_what_to_do(cluster: OntapCluster, volume: StoredVolume) -> None:
    for values, step, words in (
        ({"account": "nobody"}, "login", "account"),
        ({"svm": "elsewhere"}, "storage VM", "vserver show"),
        ({"namespace_mount": "/nowhere"}, "mount", "mounted there"),
    ):
        report = engine_of(cluster, **values).test()
        assert [(one.name, one.ok) for one in report.steps][-1] == (step, False)
        assert words in report.steps[-1].hint


def test_a_node_without_the_client_is_told_what_to_install(
    cluster: OntapCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "jobs.engine.snapshots.ontap.client", raising=False)
    monkeypatch.setitem(sys.modules, "netapp_ontap", None)
    monkeypatch.setitem(sys.modules, "netapp_ontap.error", None)
    assert "ontap" in ENGINES
    with pytest.raises(EngineUnsupported, match="netapp-ontap") as refusal:
        engine_of(cluster).list()
    assert "pip install netapp-ontap." in refusal.value.hint
    step = engine_of(cluster).test().steps[-1]
    assert (step.name, step.ok) == ("login", False)


def test_options_that_cannot_be_are_refused_at_the_form() -> None:
    for wrong, field in (
        ({"fingerprint": "12:34"}, "fingerprint"),
        ({"snapmirror_label": "x" * 32}, "snapmirror_label"),
        ({"namespace_mount": "relative"}, "namespace_mount"),
    ):
        values = {"host": "cluster1", "svm": "svm1", "namespace_mount": "/mnt/svm1"} | wrong
        with pytest.raises(InvalidOptions) as refusal:
            parse_options(OntapOptions, values, {"password": Secret("x")})
        assert refusal.value.field == field
    with pytest.raises(InvalidOptions) as refusal:
        parse_options(OntapOptions, {"host": "cluster1", "svm": "svm1", "namespace_mount": "/mnt/svm1"})
    assert refusal.value.field == "password"
