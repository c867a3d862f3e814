"""What only the PowerStore engine does: several file systems, both ways of reading, pages, one process per array."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from jobs.engine.errors import EngineUnsupported, InvalidOptions, Killed, SourceMissing, StorageBusy
from jobs.engine.hosted import calls
from jobs.engine.operations.copy_pipeline.process import fork_worker
from jobs.engine.snapshots.mounts import Mount
from jobs.engine.snapshots.powerstore import client as powerstore_client
from jobs.engine.snapshots.powerstore import reading as powerstore_reading
from jobs.engine.snapshots.powerstore.shelf import MOST_FILE_SYSTEMS
from tests.loopmounts import LoopMount

from .https_server import HERE
from .powerstore_driving import RUN, engine_of, named, options_of, take
from .powerstore_emulator import NAS, PowerStore, emulated

pytestmark = pytest.mark.system

CHECKOUT = Path(__file__).parents[2]
SECOND = 10**9
BOTH = pytest.mark.parametrize("reading", ["directory", "export"])


@BOTH
def test_one_snapshot_spans_file_systems_and_is_read_where_each_was(powerstore: PowerStore, reading: str) -> None:
    engine = engine_of(powerstore, reading=reading)
    for name in ("fs1", "fs2"):
        (powerstore.mount / name / "file").write_text(name)
    ref = take(engine, 1, "fs2", "fs1")
    assert powerstore.snapshots() == [named(1), named(100_001)]
    for name in ("fs1", "fs2"):
        (powerstore.mount / name / "file").write_text("changed")
    assert engine_of(powerstore).list() == [ref]
    with engine_of(powerstore).open(ref) as roots:
        assert not [root for root in roots if (root.directory / ".snapshot").exists()]
        assert [(root.directory / "file").read_text() for root in roots] == ["fs2", "fs1"]
        assert [root.content_path for root in roots] == list(ref.content)
    assert "“fs1”, “fs2” were snapped one after the other" in ref.warnings[0]
    engine.delete(ref)
    assert (powerstore.snapshots(), powerstore.exports, list(engine.list())) == ([], {}, [])


def test_a_snapshot_says_whose_it_is_on_the_array(powerstore: PowerStore) -> None:
    take(engine_of(powerstore), 1, "fs1")
    (row,) = [one.row for one in powerstore.volumes.values() if one.row["parent_id"]]
    assert row["description"].startswith(f"{named(1)}: SnapCopy job 7 #")
    assert row["access_type"] == "Snapshot"


@pytest.mark.parametrize("description", ["", "somebody's note", f"{named(1)}: SnapCopy job 7"])
def test_what_has_lost_its_description_is_still_found_and_deleted(powerstore: PowerStore, description: str) -> None:
    (powerstore.mount / "fs1" / "folder").mkdir(exist_ok=True)
    engine = engine_of(powerstore)
    began = time.time_ns()
    ref = engine.create(named(1), [str(powerstore.mount / "fs1" / "folder")], RUN)
    ended = time.time_ns()
    for volume in powerstore.volumes.values():
        if volume.row["parent_id"]:
            volume.row["description"] = description
    (found,) = engine.list()
    assert (found.name, found.content) == (ref.name, (str(powerstore.mount / "fs1"),))
    assert began // SECOND <= found.taken_at_ns // SECOND <= ended // SECOND, "the array's own time"
    assert "shown with whole file systems" in found.warnings[0]
    engine.delete(found)
    assert powerstore.snapshots() == []


def test_a_part_that_was_deleted_at_the_array_is_missed_and_the_rest_can_go(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore)
    ref = take(engine, 1, "fs1", "fs2")
    powerstore.lose(named(100_001))
    assert not engine.exists(ref)
    (rest,) = engine.list()
    assert rest.content == (str(powerstore.mount / "fs1"),)
    engine.delete(ref)
    assert powerstore.snapshots() == []


def test_more_than_a_page_of_snapshots_is_listed_and_those_of_others_are_not(powerstore: PowerStore) -> None:
    for number in range(250):
        powerstore.take_as_somebody_else("fs1", f"daily-{number}")
    engine = engine_of(powerstore)
    refs = [take(engine, n, "fs1") for n in (1, 2, 3)]
    assert sorted(engine.list(), key=lambda ref: ref.name) == refs
    ranges = [request.headers["range"] for request in powerstore.server.requests if "range" in request.headers]
    assert ranges == ["100-2100"]
    for ref in refs:
        engine.delete(ref)
    assert len(powerstore.snapshots()) == 250


def test_R8_the_test_counts_all_snapshots_and_warns_of_the_limit(powerstore: PowerStore) -> None:
    for number in range(206):
        powerstore.take_as_somebody_else("fs1", f"daily-{number}")
    report = engine_of(powerstore).test()
    assert report.ok, report
    assert report.warnings == ("Near the limit of 256 snapshots: fs1 (206).",)
    found = report.facts["file_systems"]
    assert isinstance(found, list)
    assert [(one["path"], one["snapshots"], one["status"]) for one in found] == [
        (str(powerstore.mount / "fs1"), 206, "mounted"),
        (str(powerstore.mount / "fs2"), 0, "mounted"),
    ]
    assert report.facts["suggestions"] == {"nas_server": [NAS, "nas2"]}
    assert (report.facts["host"], report.facts["version"]) == ("emulated-1", "4.1.0.0")
    assert powerstore.snapshots("fs2") == [], "the one with the fewest is probed, and nothing is left"


def test_file_systems_that_are_not_mounted_are_told(
    powerstore: PowerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = engine_of(powerstore, mount=str(tmp_path)).test()
    assert [step.name for step in report.steps if not step.ok] == ["mount"]
    assert f"mount -t nfs4 ADDRESS:/ {tmp_path}" in report.steps[-1].hint
    (tmp_path / "fs2").mkdir()
    monkeypatch.setattr(powerstore_reading, "APPEARS_SECONDS", 0.1)
    half = engine_of(powerstore, mount=str(tmp_path)).test()
    assert [step.name for step in half.steps if not step.ok] == ["open"], "that is no mount of it"
    assert half.warnings == (f"Not below “{tmp_path}” on this node: fs1.",)


def test_content_must_be_on_a_file_system_of_the_nas_server(powerstore: PowerStore, tmp_path: Path) -> None:
    engine = engine_of(powerstore)
    for path in (powerstore.mount, tmp_path, powerstore.mount.parent):
        with pytest.raises(InvalidOptions, match="is not a file system below") as refusal:
            engine.validate_content([str(path)])
        assert refusal.value.field == "content_paths"
    (powerstore.mount / "somewhere").mkdir()
    try:
        with pytest.raises(SourceMissing, match="has no file system “somewhere”"):
            take(engine, 1, "somewhere")
    finally:
        (powerstore.mount / "somewhere").rmdir()


def test_content_of_too_many_file_systems_is_refused(powerstore: PowerStore, tmp_path: Path) -> None:
    names = [f"many{number}" for number in range(MOST_FILE_SYSTEMS + 1)]
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(InvalidOptions, match=f"at most {MOST_FILE_SYSTEMS} file systems"):
        take(engine_of(powerstore, mount=str(tmp_path)), 1, *names)


def test_an_export_that_a_killed_reader_left_goes_with_the_snapshot(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore, reading="export")
    ref = take(engine, 1, "fs1")
    (snapshot,) = engine.client.snapshots(name=ref.name)
    engine.client.export(snapshot, f"/{ref.name}", ref.name, HERE)
    with engine.open(ref) as (root,):
        assert root.directory == powerstore.mount / ref.name
    assert powerstore.exports == {}, "whoever is last takes it away"
    engine.client.export(snapshot, f"/{ref.name}", ref.name, HERE)
    engine.delete(ref)
    assert (powerstore.snapshots(), powerstore.exports) == ([], {})


def test_an_export_is_for_this_node_alone_and_for_others_that_read_it_too(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore, reading="export")
    ref = take(engine, 1, "fs1")
    (snapshot,) = engine.client.snapshots(name=ref.name)
    engine.client.export(snapshot, f"/{ref.name}", ref.name, "192.0.2.7")
    with engine.open(ref):
        (export,) = powerstore.exports.values()
        assert export["default_access"] == "No_Access"
        assert export["read_only_root_hosts"] == ["192.0.2.7/255.255.255.255", f"{HERE}/255.255.255.255"]
        with engine_of(powerstore).open(ref):
            assert len(export["read_only_root_hosts"]) == 2


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"vers=4.2", "clientaddr=192.0.2.9", "addr=192.0.2.1"}, "192.0.2.9"),
        ({"vers=3", "addr=127.0.0.1"}, "127.0.0.1"),
        ({"clientaddr=0.0.0.0", "addr=127.0.0.1"}, "127.0.0.1"),
        ({"rw"}, "127.0.0.1"),
    ],
)
def test_the_node_is_known_to_the_nas_server_by_its_mount(
    options: set[str], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        Mount(device=1, point="/", kind="ext4", source="/dev/vda1", options=frozenset({"clientaddr=192.0.2.66"})),
        Mount(device=2, point="/mnt/nas1", kind="nfs4", source="nas1:/", options=frozenset(options)),
    ]
    monkeypatch.setattr(powerstore_reading, "mounts", lambda: found)
    assert powerstore_reading.node_address(Path("/mnt/nas1"), "127.0.0.1") == address


def test_an_export_serves_all_who_read_and_stays_until_the_last(powerstore: PowerStore) -> None:
    (powerstore.mount / "fs1" / "file").write_text("text")
    engine = engine_of(powerstore, reading="export")
    ref = take(engine, 1, "fs1")
    with engine.open(ref) as (root,):
        with engine_of(powerstore).open(ref):
            assert len(powerstore.exports) == 1
        with pytest.raises(StorageBusy, match="is being read"):
            engine_of(powerstore).delete(ref)
        assert (root.directory / "file").read_text() == "text"
    assert powerstore.exports == {}
    engine.delete(ref)


def test_a_snapshot_that_is_not_seen_is_waited_for_and_then_told(
    powerstore: PowerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = take(engine_of(powerstore), 1, "fs1")
    monkeypatch.setattr(powerstore_reading, "APPEARS_SECONDS", 0.2)
    elsewhere = engine_of(powerstore, mount=str(tmp_path))
    with pytest.raises(Exception, match="this node cannot read it at") as refusal, elsewhere.open(ref):
        pass
    assert "mounted" in getattr(refusal.value, "hint", "")


def test_S6_whole_file_systems_go_back_by_the_array_and_newer_snapshots_stay(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore)
    for name in ("fs1", "fs2"):
        (powerstore.mount / name / "file").write_text("before")
    ref = take(engine, 1, "fs1", "fs2")
    for name in ("fs1", "fs2"):
        (powerstore.mount / name / "file").write_text("after")
        (powerstore.mount / name / "new").write_text("new")
    newer = take(engine, 2, "fs1")
    plan = engine.plan_revert(ref, RUN, seconds=20)
    assert (plan.is_exchanged, plan.replaced, plan.removed, plan.lost) == (True, 2, 2, ())
    assert "for all who use it" in plan.warnings[0]
    done = engine.revert(ref, RUN)
    assert (done.is_exchanged, done.lost) == (True, ())
    for name in ("fs1", "fs2"):
        assert not (powerstore.mount / name / "new").exists()
        assert (powerstore.mount / name / "file").read_text() == "before"
    assert {one.name for one in engine.list()} == {ref.name, newer.name}
    assert sum(asked.endswith("/restore") for asked in powerstore.server.asked()) == 2


def test_S6_snapshots_that_an_array_loses_with_a_restore_are_told(powerstore: PowerStore) -> None:
    """None should: Dell's documents tell of none. It is looked at all the same."""
    engine = engine_of(powerstore)
    ref, newer = take(engine, 1, "fs1"), take(engine, 2, "fs1")
    put_back = powerstore._restore

    def costly(request: object, id: str) -> object:  # noqa: A002
        powerstore.lose(newer.name)
        return put_back(request, id)  # type: ignore[arg-type]

    powerstore._restore = costly  # type: ignore[assignment,method-assign]
    try:
        assert engine.revert(ref, RUN).lost == (newer.name,)
    finally:
        powerstore._restore = put_back  # type: ignore[method-assign]


def test_two_arrays_are_never_mixed_up(powerstore: PowerStore, loop_mount: LoopMount) -> None:
    """PyPowerStore has one global for both: in one process it would ask the second array which version the first is."""
    with emulated(loop_mount("btrfs"), "fs1") as second:
        engines = [engine_of(powerstore), engine_of(second)]
        refs = [take(engine, 1, "fs1") for engine in engines]
        for _ in range(2):
            assert [list(engine.list()) for engine in engines] == [[refs[0]], [refs[1]]]
            assert [engine.client.identity().version for engine in engines] == ["4.1.0.0"] * 2
        for array in (powerstore, second):
            assert array.server.asked().count("GET /api/rest/software_installed") == 2


def test_a_forked_reader_and_its_parent_both_go_on(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore)
    ref = take(engine, 1, "fs1")

    def child() -> None:
        assert engine.exists(ref)

    assert fork_worker(child, keep_fds=frozenset()).wait() == 0
    assert engine.exists(ref)
    assert powerstore.logins == 1, "there is one process, and one session"


def test_a_proxy_of_the_node_is_never_asked(powerstore: PowerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert list(engine_of(powerstore).list()) == []


def test_the_session_ends_with_the_engine(powerstore: PowerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_GOODBYE_SECONDS", 60.0)
    engine = engine_of(powerstore)
    assert list(engine.list()) == []
    assert len(powerstore.sessions) == 1
    del engine
    assert powerstore.sessions == {}
    assert powerstore.server.asked()[-1] == "POST /api/rest/logout"


def test_nothing_is_taken_if_the_job_is_stopped_between_two_file_systems(powerstore: PowerStore) -> None:
    class Second:
        left = 3

        def check(self) -> None:
            self.left -= 1
            if not self.left:
                raise Killed("The job was killed.")

    engine = engine_of(powerstore)
    with pytest.raises(Killed):
        engine.create(named(1), [str(powerstore.mount / name) for name in ("fs1", "fs2")], Second())
    assert sum(asked.endswith("/snapshot") for asked in powerstore.server.asked()) == 1
    assert powerstore.snapshots() == []


def test_a_missing_client_is_told_with_the_remedy(
    powerstore: PowerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = tmp_path / "PyPowerStore.py"
    stub.write_text("raise ModuleNotFoundError('No module named PyPowerStore', name='PyPowerStore')")
    monkeypatch.setattr(powerstore_client, "_NO_PROXY", (("PYTHONPATH", f"{tmp_path}:{CHECKOUT}"),))
    engine = engine_of(powerstore)
    with pytest.raises(EngineUnsupported, match="lacks the Python package “PyPowerStore”") as refused:
        engine.list()
    assert "pip install PyPowerStore." in refused.value.hint
    assert [(step.name, step.ok) for step in engine.test().steps] == [("array", False)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"host": "https://array"}, "host"),
        ({"host": ""}, "host"),
        ({"ca_file": "/etc/array.key"}, "ca_file"),
        ({"port": 0}, "port"),
        ({"mount": "relative"}, "mount"),
        ({"reading": "tape"}, "reading"),
    ],
)
def test_settings_that_cannot_be_are_refused(powerstore: PowerStore, wrong: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidOptions) as refusal:
        options_of(powerstore, **wrong)  # type: ignore[arg-type]
    assert refusal.value.field == field


def test_an_unknown_nas_server_is_told_with_those_there_are(powerstore: PowerStore) -> None:
    with pytest.raises(InvalidOptions, match="has no NAS server “nas9”") as refusal:
        engine_of(powerstore, nas_server="nas9").list()
    assert refusal.value.field == "nas_server"
    assert "“nas1”" in refusal.value.sentence
