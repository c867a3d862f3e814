"""The snapshot engine of NDMP file servers: points, refusals in words, settings, and what **Test** finds."""

from __future__ import annotations

import dataclasses
import socket

import pytest

from jobs.engine.errors import EngineUnsupported, InvalidOptions, LoginRefused, SnapshotNotOurs, SourceUnavailable
from jobs.engine.events import FreeRun
from jobs.engine.ids import SnapshotName, snapshot_name
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp import values as v
from jobs.engine.ndmp.profiles import ISILON, ONTAP
from jobs.engine.ndmp.session import Waits
from jobs.engine.ndmp.transfer import Direction
from jobs.engine.options import parse_options
from jobs.engine.plan import Secret
from jobs.engine.snapshots.base import Capability, Dumper, DumpStreamer, Replicator, Reverter
from jobs.engine.snapshots.ndmp.engine import NdmpEngine
from jobs.engine.snapshots.ndmp.options import NdmpOptions, ProfileChoice, profile_of
from jobs.engine.snapshots.registry import ENGINES

from .clients import PATIENT
from .filer import HOME, PASSWORD, STRANGER, Filer, Script, filer

INSTALL = "abcd"
QUICK = Waits(connect=60, answer=60, data_connect=0.3, abort=60)
NAME = snapshot_name(INSTALL, 7, 1)


def options(server: Filer, **changes: object) -> NdmpOptions:
    told = {"host": HOME, "port": server.port, **changes}
    return parse_options(NdmpOptions, told, {"password": Secret(PASSWORD)})


def engine(server: Filer, **changes: object) -> NdmpEngine:
    return NdmpEngine(options(server, **changes), INSTALL)


def test_a_snapshot_is_a_point_that_nothing_can_lose_or_open() -> None:
    with filer(Script()) as server:
        one = engine(server)
        ref = one.create(NAME, ["/vol/vol1"], FreeRun())
        assert (ref.name, ref.content, ref.handle) == (NAME, ("/vol/vol1",), {})
        assert one.exists(ref)
        assert one.list() == ()
        one.delete(ref)
        assert one.exists(ref), "it is a point in the history, not a thing on the storage"
        with pytest.raises(EngineUnsupported, match="makes its own snapshot") as refused:
            one.open(ref)
        assert "backup copies" in refused.value.hint
        assert "DATA_START_BACKUP" not in server.asked
        stranger = dataclasses.replace(ref, name=SnapshotName("sc-other-7-1"))
        for call in (one.exists, one.delete):
            with pytest.raises(SnapshotNotOurs):
                call(stranger)


def test_no_point_is_made_of_a_file_server_that_is_not_there_or_does_not_let_us_in() -> None:
    with filer(Script()) as server:
        wrong = NdmpEngine(dataclasses.replace(options(server), password=Secret("wrong")), INSTALL)
        with pytest.raises(LoginRefused):
            wrong.create(NAME, ["/vol/vol1"], FreeRun())
        with socket.socket() as taken:
            taken.bind((HOME, 0))  # and does not listen: the port is nobody else's meanwhile
            away = engine(server, port=taken.getsockname()[1])
            with pytest.raises(SourceUnavailable):
                away.create(NAME, ["/vol/vol1"], FreeRun())


def test_a_path_outside_all_file_systems_is_told() -> None:
    with filer(Script()) as server:
        ref = engine(server).create(NAME, ["/vol/vol1/home", "/vol/other"], FreeRun())
    assert [warning for warning in ref.warnings if "“/vol/other”" in warning] == list(ref.warnings)


def test_it_declares_what_it_is_and_nothing_else() -> None:
    kind = ENGINES["ndmp"]
    assert issubclass(NdmpEngine, DumpStreamer)
    assert not any(issubclass(NdmpEngine, other) for other in (Reverter, Replicator, Dumper))
    assert kind.capabilities == {Capability.INSTANT, Capability.DUMP_STREAM}
    assert kind.level_limit({}, {}) == 9


@pytest.mark.parametrize(
    ("chosen", "found", "limit"),
    [("auto", None, 9), ("auto", "ontap", 31), ("generic", "ontap", 9), ("ontap", None, 31), ("isilon", "ontap", 9)],
)
def test_L2_the_limit_is_that_of_the_kind_that_was_chosen_or_found(chosen: str, found: str | None, limit: int) -> None:
    assert profile_of({"profile": chosen}, {"profile": found} if found else {}).highest_level == limit


def test_what_a_job_is_told_holds_the_settings_and_the_kind_it_says_to_be() -> None:
    with filer(Script()) as server:
        told = engine(
            server,
            backup_type="smtape",
            environment=["A=b"],
            data_addresses=["10.0.0.0/8"],
            ports="10001-10003",
            direction="filer-listens",
        ).dump_source(FreeRun())
        assert told.profile is ONTAP, "it says that it is one"
        assert engine(server, profile="isilon").dump_source(FreeRun()).profile is ISILON
    assert (told.server.host, told.server.port, told.type) == (HOME, server.port, "smtape")
    assert told.added == (v.Pair("A", "b"),)
    assert list(told.data_path.ports) == [10001, 10002, 10003]
    assert told.data_path.direction is Direction.FILER_LISTENS
    assert [str(network) for network in told.data_path.allowed] == ["10.0.0.0/8"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"environment": ["LEVEL=3"]}, "environment"),
        ({"environment": ["no sign"]}, "environment"),
        ({"ports": "20-10"}, "ports"),
        ({"ports": "1-70000"}, "ports"),
        ({"ports": "many"}, "ports"),
        ({"data_addresses": ["ten"]}, "data_addresses"),
        ({"port": 0}, "port"),
        ({"auth": "carrier pigeon"}, "auth"),
        ({"host": ""}, "host"),
    ],
)
def test_a_wrong_setting_is_refused_beside_its_field(given: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidOptions) as refused:
        parse_options(NdmpOptions, {"host": "filer", **given}, {"password": Secret("secret")})
    assert refused.value.field == field


def test_a_password_is_only_done_without_where_nobody_asks_for_one() -> None:
    with pytest.raises(InvalidOptions) as refused:
        parse_options(NdmpOptions, {"host": "filer"})
    assert refused.value.field == "password"
    assert parse_options(NdmpOptions, {"host": "filer", "auth": "none"}).profile is ProfileChoice.AUTO


def test_test_tells_who_it_is_what_it_knows_and_that_data_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.engine.snapshots.ndmp.test.WAITS", PATIENT)
    with filer(Script()) as server:
        report = engine(server).test()
        assert report.ok, report
        assert [step.name for step in report.steps] == [
            "login",
            "file server",
            "backup types",
            "file systems",
            "data connection",
        ]
        facts = report.facts
        assert (facts["profile"], facts["vendor"], facts["version"]) == ("ontap", "NetApp", "9.16")
        assert server.asked_by_all()[-3:] == ["DATA_ABORT", "DATA_STOP", "CONNECT_CLOSE"]
        assert engine(server, direction="filer-listens").test().ok


@pytest.mark.parametrize(
    ("script", "changes", "step", "words"),
    [
        (Script(), {"backup_type": "tar"}, "backup types", "but not “tar”"),
        (Script(never_connects=True), {}, "data connection", "did not open the data connection"),
        (Script(data_from=STRANGER), {}, "data connection", "not allowed"),
        (Script(greeting=m.ConnectionStatus(v.ConnectionReason.REFUSED, 4, "too many")), {}, "login", "no further"),
    ],
    ids=["another type", "data does not come", "data from elsewhere", "busy"],
)
def test_test_stops_at_what_does_not_work_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, script: Script, changes: dict[str, object], step: str, words: str
) -> None:
    monkeypatch.setattr("jobs.engine.snapshots.ndmp.test.WAITS", QUICK)
    with filer(script) as server:
        report = engine(server, **changes).test()
    last = report.steps[-1]
    assert (report.ok, last.name) == (False, step)
    assert words in last.detail
    assert last.hint
