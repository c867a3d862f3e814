"""Jobs over ONTAP by REST and NDMP (RULES L2, L3, L5, P2): snapshots of an emulated cluster, dumps of a scripted filer.

The filer is the scripted one of the NDMP tests: it sends what it is told to, and remembers what it was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from jobs.engine.errors import EngineUnsupported, InvalidOptions, SnapshotMissing
from jobs.engine.events import FreeRun
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.values import ErrorCode, Pair
from jobs.engine.plan import Secret
from jobs.engine.snapshots.ontap.ndmp import OntapNdmpEngine
from jobs.models import BackupCopy, CatalogState, Initiator, Job, JobState, Snapshot
from jobs.rules.tokens import DumpDate, decode, encode
from jobs.runner.references import ref_from_row
from jobs.services import CannotLaunch, launch_backup_copy, launch_snapshot, launch_undump
from jobs.services.copy_states import DUMP_DATES
from jobs.services.reconcile import launch_reconcile
from jobs.services.revert import launch_revert
from policies import services as configuration
from policies.models import CatalogMode, Copy, Retention, Subclient
from policies.resolve import build_engine, incremental_limit, is_point
from policies.services.stream_checks import point_warnings
from snapcopy_site.lib.roles import Role
from tests.arrays.ontap_clusters import SECRETS, Clusters
from tests.arrays.ontap_emulator import OntapCluster
from tests.engine.ndmp.filer import HOME, PASSWORD, Filer, Script, filer
from tests.factories import make_user
from tests.job_factories import make_node
from tests.jobs.farm import configure, picture
from tests.jobs.here import run

pytestmark = pytest.mark.system


@pytest.fixture
def cluster(module_btrfs: Path) -> Iterator[OntapCluster]:
    clusters = Clusters(module_btrfs)
    made = clusters()
    made.polls = 0
    made.add_volume("vol1")
    yield made
    clusters.stop()


@pytest.fixture
def server() -> Iterator[Filer]:
    with filer(Script(refuses={m.GET_FS_INFO: ErrorCode.NOT_SUPPORTED}, environment=())) as one:
        yield one


@pytest.fixture
def subclient(
    transactional_db: None, redis_url: str, tmp_path: Path, cluster: OntapCluster, server: Filer
) -> Subclient:
    """A directory in a volume, as NDMP calls it."""
    make_node()
    policy = configure(tmp_path).policy
    Subclient.objects.all().delete()
    values = {key: value for key, value in cluster.values().items() if key != "namespace_mount"}
    own = configuration.create_file_server(
        name="cluster1",
        engine="ontap-ndmp",
        options=values | {"ndmp_host": HOME, "ndmp_port": server.port},
        secrets={"password": Secret(SECRETS["password"]), "ndmp_password": Secret(PASSWORD)},
        user=None,
    )
    return configuration.create_subclient(
        file_server=own, name="vol1", content_paths=[f"/{cluster.svm}/vol1"], policy=policy, user=None
    )


def dump(
    subclient: Subclient, server: Filer, level: str = "incremental", *, initiator: str = Initiator.SCHEDULE
) -> Job:
    """A snapshot and its dump; the filer gives the token of the level that it was asked for."""
    number = BackupCopy.objects.count() + 1
    taken = run(launch_snapshot(subclient, level=level, initiator=initiator))
    assert taken.state == JobState.COMPLETED, picture()
    Snapshot.objects.filter(catalog_state=CatalogState.PENDING).update(catalog_state=CatalogState.DONE)
    levels = [token_for(number, level) for level in range(4)]
    answers = {level: (Pair("DUMP_DATE", levels[level]), Pair("ACL_START", "512")) for level in range(4)}
    server.script.environment = answers[expected_level(subclient, level)]
    job = run(launch_backup_copy(subclient, initiator=initiator))
    assert job.state == JobState.COMPLETED, picture()
    return job


def token_for(number: int, level: int) -> str:
    return encode(DumpDate(level=level, time=1_700_000_000 + number))


def expected_level(subclient: Subclient, asked: str) -> int:
    """RULES L1, L3 with a limit of two: 0 1 2, then again 1."""
    last = BackupCopy.objects.exclude(level_number=None).order_by("-snapshot__taken_at").first()
    if last is None or asked == "full":
        return 0
    number = (last.level_number or 0) + 1
    limit = incremental_limit(subclient.file_server) or 0
    return 1 if asked == "differential" or number > limit else number


def asked(server: Filer) -> list[dict[str, str]]:
    """The environments of the backups that the filer was asked for."""
    found = [one for one in server.requests if isinstance(one, m.StartBackup)]
    return [{pair.name: pair.value for pair in one.environment} for one in found]


def shown(name: str, *args: object) -> str:
    client = Client()
    client.force_login(User.objects.first() or make_user(Role.VIEWER))
    return client.get(reverse(name, args=args)).content.decode()


def test_L2_L3_L5_dumps_are_of_the_snapshots_and_built_on_each_others_tokens_by_content_path(
    subclient: Subclient, server: Filer, cluster: OntapCluster
) -> None:
    assert incremental_limit(subclient.file_server) == 31
    configuration.update_file_server(subclient.file_server, user=None, max_incrementals=2)
    jobs = [dump(subclient, server) for _ in range(4)]
    rows = list(BackupCopy.objects.order_by("snapshot__taken_at"))
    assert [row.level_number for row in rows] == [0, 1, 2, 1]
    assert jobs[3].level_reason == "Converted: limit of 2 incrementals reached."
    assert "Converted: limit of 2 incrementals reached." in shown("job", jobs[3].pk)
    told = asked(server)
    where = f"/{cluster.svm}/vol1/.snapshot"
    assert [one["FILESYSTEM"] for one in told] == [f"{where}/{row.snapshot.name}" for row in rows]
    kept = [row.tokens[DUMP_DATES][subclient.content_paths[0]] for row in rows]
    assert [one["BASE_DATE"] for one in told] == ["0", kept[0], kept[1], kept[0]]
    assert [decode(one).level for one in kept] == [0, 1, 2, 1]
    assert not any("LEVEL" in one for one in told), "the token alone decides"


@pytest.mark.parametrize(("initiator", "left"), [(Initiator.SCHEDULE, 1), (Initiator.PERSON, 0)])
def test_P2_P3_the_spool_deletes_or_keeps_the_snapshots_on_the_cluster(
    subclient: Subclient, server: Filer, cluster: OntapCluster, initiator: str, left: int
) -> None:
    Copy.objects.filter(kind="primary_snap").update(retention=Retention.SPOOL)
    configuration.update_policy(subclient.policy, user=None, catalog=CatalogMode.DEFERRED)
    subclient.refresh_from_db()
    for _ in range(2):
        job = dump(subclient, server, initiator=initiator)
    assert job.snapshot is not None
    assert [one.name for one in cluster.volumes[0].snapshots] == [job.snapshot.name] * left, picture()


def test_an_older_snapshot_is_dumped_after_a_newer_one_was_taken(
    subclient: Subclient, server: Filer, cluster: OntapCluster
) -> None:
    """It is no point: the dump holds what was in it, and nothing warns of another moment."""
    assert not is_point("ontap-ndmp")
    for _ in range(2):
        run(launch_snapshot(subclient))
    server.script.environment = (Pair("DUMP_DATE", token_for(1, 0)),)
    job = run(launch_backup_copy(subclient))
    first = Snapshot.objects.order_by("taken_at")[0]
    assert asked(server)[0]["FILESYSTEM"].endswith(first.name)
    assert not job.events.filter(code="dump-is-later").exists()
    assert not any(
        "holds the files of that moment" in one for one in point_warnings(subclient.policy, are_points=False)
    )


def test_V2_a_volume_comes_back_through_the_filer_to_where_it_was(
    subclient: Subclient, server: Filer, cluster: OntapCluster
) -> None:
    """To the content path, and not to that of the snapshot, which nobody can write to."""
    job = dump(subclient, server)
    assert job.snapshot is not None
    back = run(launch_undump(job.snapshot, in_place=True))
    assert back.state == JobState.COMPLETED, picture()
    assert bytes(server.got) == server.script.image
    (recovery,) = [one for one in server.requests if isinstance(one, m.StartRecover)]
    told = {name.destination_path for name in recovery.names}
    assert told == {f"/{cluster.svm}/vol1".encode()}


def test_a_snapshot_that_was_deleted_outside_is_skipped_and_reconciled(
    subclient: Subclient, server: Filer, cluster: OntapCluster
) -> None:
    run(launch_snapshot(subclient))
    snapshot = Snapshot.objects.get()
    engine = build_engine(subclient.file_server)
    assert isinstance(engine, OntapNdmpEngine)
    assert [one.name for one in engine.list()] == [snapshot.name]
    assert engine.list() == [ref_from_row(snapshot)]
    cluster.remove(cluster.volumes[0], cluster.volumes[0].snapshots[0])
    with pytest.raises(SnapshotMissing):
        engine.dump_source(FreeRun(), ref_from_row(snapshot))
    assert run(launch_reconcile(subclient.file_server)).state == JobState.COMPLETED, picture()
    snapshot.refresh_from_db()
    assert snapshot.state == "missing"


def test_what_only_a_mount_could_do_is_refused_in_true_words(subclient: Subclient, server: Filer) -> None:
    run(launch_snapshot(subclient))
    with pytest.raises(CannotLaunch, match="read by NDMP only"):
        launch_revert(Snapshot.objects.get(), confirmation="vol1")
    page = shown("subclient", "cluster1", "vol1")
    assert "Snapshots and their copies" in page, "they lie on the storage"
    assert not any(f'id="{offer}-' in page for offer in ("mount", "revert", "browse-live"))
    engine = build_engine(subclient.file_server)
    with pytest.raises(EngineUnsupported, match="read by NDMP only"), engine.open(ref_from_row(Snapshot.objects.get())):
        pytest.fail("there is nothing to read")


@pytest.mark.parametrize("path", ["/elsewhere/vol1", "/SVM", "/SVM/vol1/.snapshot/x"])
def test_paths_are_written_as_ndmp_calls_them(subclient: Subclient, cluster: OntapCluster, path: str) -> None:
    engine = build_engine(subclient.file_server)
    with pytest.raises(InvalidOptions) as refusal:
        engine.validate_content([path.replace("SVM", cluster.svm)])
    assert refusal.value.field == "content_paths"


def test_pressing_test_looks_at_the_cluster_and_at_ndmp(subclient: Subclient, cluster: OntapCluster) -> None:
    report = build_engine(subclient.file_server).test()
    names = [step.name for step in report.steps]
    assert names[:6] == ["cluster", "volumes", "snapshot", "list", "delete", "NDMP login"], report
    assert [step.name for step in report.steps if not step.ok] in ([], ["NDMP backup types"], ["NDMP file systems"])
    assert report.facts["profile"] == "ontap"
    found = report.facts["file_systems"]
    assert isinstance(found, list)
    assert [one["path"] for one in found] == [f"/{cluster.svm}/vol1"]
    assert cluster.volumes[0].snapshots == []
