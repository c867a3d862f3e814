"""A backup is whole, or an error says why not: every way of ending badly that a file server or we ourselves have."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from jobs.engine.errors import (
    AnswerUnreadable,
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    Killed,
    NoSpace,
    SourceMissing,
    SourceUnavailable,
    StreamIncomplete,
)
from jobs.engine.ndmp import history_values as h
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.backup import BackupOrder, BackupResult, back_up
from jobs.engine.ndmp.history import HistoryDecoder
from jobs.engine.ndmp.history_tree import HistoryTree
from jobs.engine.ndmp.profiles import GENERIC, ONTAP
from jobs.engine.ndmp.transfer import DataPath, Direction, networks
from jobs.engine.ndmp.values import ErrorCode, HaltReason, LogKind

from .clients import HASTY, PATIENT, MemoryImage, visit
from .filer import HOME, STRANGER, Script, filer, log

ORDER = BackupOrder(type="dump", environment=GENERIC.backup_environment("/vol/vol1"))
FILER_LISTENS = DataPath(direction=Direction.FILER_LISTENS)


def run(script: Script, path: DataPath | None = None, **more: Any) -> tuple[BackupResult, MemoryImage]:
    image = MemoryImage()
    with filer(script) as server, visit(server) as session:
        order = replace(ORDER, data_path=path or DataPath())
        return back_up(session, order, image, **more), image


def asked_in_a_failure(script: Script, kind: type[EngineError], words: str) -> list[str]:
    """Run a backup that must fail so; what the file server was asked."""
    waits = PATIENT
    if script.halts is None or script.leaves_data_open or script.never_connects or script.data_from == STRANGER:
        waits = HASTY
    with filer(script) as server, visit(server, waits=waits) as session:
        with pytest.raises(kind, match=words):
            back_up(session, ORDER, MemoryImage())
        return server.asked


@pytest.mark.parametrize("path", [DataPath(), FILER_LISTENS, DataPath(ports=tuple(range(45000, 45200)))])
def test_a_backup_brings_the_image_and_all_of_the_environment(path: DataPath) -> None:
    told: list[int] = []
    script = Script(image=bytes(range(256)) * 9000, posts=[log("phase IV", LogKind.NORMAL)])
    result, image = run(script, path, progress=told.append)
    assert bytes(image.content) == script.image
    assert result.image_bytes == len(script.image) == told[-1]
    assert told == sorted(told)
    assert result.environment == script.environment
    assert ONTAP.token_of(result.environment) == "4294967297"
    assert [line.text for line in result.log] == ["phase IV"]


@pytest.mark.parametrize("goes_on_counting", [False, True])
def test_a_session_makes_one_backup_after_another(goes_on_counting: bool) -> None:
    with filer(Script(goes_on_counting=goes_on_counting)) as server, visit(server) as session:
        for _ in range(3):
            assert back_up(session, ORDER, MemoryImage()).image_bytes == 6000


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"image": b""}, StreamIncomplete, "sent no byte"),
        ({"counts": 5999}, StreamIncomplete, "counted 5999 bytes, but 6000 came"),
        ({"halts": HaltReason.INTERNAL_ERROR}, StreamIncomplete, "ended the backup: internal error"),
        ({"halts": HaltReason.ABORTED}, StreamIncomplete, "ended the backup: aborted"),
        ({"halts": HaltReason.CONNECT_ERROR}, StreamIncomplete, "ended the backup: connect error"),
        ({"halts": HaltReason.NOT_HALTED}, StreamIncomplete, "ended the backup: not halted"),
        ({"halts": None}, SourceUnavailable, "never said that it is whole"),
        ({"leaves_data_open": True}, StreamIncomplete, "did not end the data after 6000 bytes"),
        ({"dies_after": 3000}, SourceUnavailable, "closed the NDMP session|broke"),
        ({"dies_after": 6000}, SourceUnavailable, "closed the NDMP session|broke"),
        ({"posts": [log("inode 7 is unreadable")]}, StreamIncomplete, "logged 1 error. It said: inode 7 is unreadable"),
        ({"raw": b"\xff" * 64}, AnswerUnreadable, "announced a message of"),
        ({"raw": b"\x80\0\0\x04\0\0\0\0"}, AnswerUnreadable, "too early"),
        ({"never_connects": True}, SourceUnavailable, r"did not open the data connection within 0\.3 s"),
        ({"data_from": STRANGER}, SourceUnavailable, r"offered from 127\.0\.0\.2, which is not allowed"),
        ({"refuses": {m.DATA_START_BACKUP: ErrorCode.ILLEGAL_ARGUMENTS}}, SourceMissing, "“/vol/vol1” as dump"),
        ({"refuses": {m.DATA_START_BACKUP: ErrorCode.FILE_NOT_FOUND}}, SourceMissing, "refuses to back up"),
        ({"refuses": {m.DATA_START_BACKUP: ErrorCode.NOT_SUPPORTED}}, EngineUnsupported, "not supported"),
        ({"refuses": {m.DATA_CONNECT: ErrorCode.CONNECT}}, SourceUnavailable, "refused DATA_CONNECT: connect"),
        ({"refuses": {m.DATA_GET_STATE: ErrorCode.UNDEFINED}}, StreamIncomplete, "refused DATA_GET_STATE"),
        ({"refuses": {m.DATA_GET_ENV: ErrorCode.UNDEFINED}}, StreamIncomplete, "refused DATA_GET_ENV"),
    ],
)
def test_whatever_is_not_certainly_whole_is_an_error(
    change: dict[str, Any], kind: type[EngineError], words: str
) -> None:
    asked = asked_in_a_failure(Script(**change), kind, words)
    if kind is not AnswerUnreadable and "dies_after" not in change:
        assert "DATA_STOP" in asked


@pytest.mark.parametrize("reason", [HaltReason.INTERNAL_ERROR, HaltReason.SUCCESSFUL])
def test_the_log_goes_with_the_error(reason: HaltReason) -> None:
    script = Script(halts=reason, posts=[log("reading /a", LogKind.NORMAL), log("disk 3 failed")])
    with pytest.raises(StreamIncomplete, match="disk 3 failed") as failure:
        run(script)
    assert failure.value.log == ("reading /a", "disk 3 failed")


def test_a_stranger_is_hung_up_on_and_the_file_server_still_gets_in() -> None:
    """The allowed networks decide; its own interface for data counts when somebody named it."""
    path = DataPath(allowed=networks(["127.0.0.0/30", "10.1.2.3"]))
    assert run(Script(data_from=STRANGER), path)[0].image_bytes == 6000
    with pytest.raises(InvalidOptions, match=r"10\.0\.0\.300") as refusal:
        networks(["10.0.0.300"])
    assert refusal.value.field == "data_addresses"


def test_we_connect_to_no_address_that_is_not_allowed() -> None:
    with pytest.raises(SourceUnavailable, match=r"give data at 127\.0\.0\.2, which is not allowed"):
        run(Script(listens_on=STRANGER), FILER_LISTENS)
    assert run(Script(listens_on=STRANGER), replace(FILER_LISTENS, allowed=networks([STRANGER])))[0].image_bytes


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (DataPath(listen_host="203.0.113.7"), "listen_host"),
        (DataPath(listen_host="::1"), "listen_host"),
        (DataPath(ports=(1,), listen_host="203.0.113.7"), "ports"),
    ],
)
def test_an_address_for_data_that_is_not_ours_names_the_field(path: DataPath, field: str) -> None:
    with pytest.raises(InvalidOptions) as refusal:
        run(Script(), path)
    assert refusal.value.field == field


@pytest.mark.parametrize("script", [Script(hangs_after=1000), Script(hangs_after=0)])
def test_a_stop_aborts_at_the_file_server_before_the_data_connection_is_closed(script: Script) -> None:
    stop = threading.Event()

    class Control:
        def check(self) -> None:
            if stop.is_set():
                raise Killed("killed")

    with filer(script) as server, visit(server, control=Control()) as session:
        waiting = threading.Thread(target=_follow, args=(server.reached, stop))
        waiting.start()
        began = time.monotonic()
        with pytest.raises(Killed):
            back_up(session, ORDER, MemoryImage())
        assert time.monotonic() - began < 30, "long before the file server ends by itself"
        waiting.join()
        stop.clear()
        assert server.asked[-2:] == ["DATA_ABORT", "DATA_STOP"]
        server.script.hangs_after = None
        assert back_up(session, ORDER, MemoryImage()).image_bytes == 6000


def _follow(first: threading.Event, then: threading.Event) -> None:
    first.wait(60)
    then.set()


def test_a_full_disk_at_our_side_aborts_and_stays_what_it_is() -> None:
    class Full(MemoryImage):
        def took(self, count: int) -> None:
            raise NoSpace("The medium is full.")

    with filer(Script(image=bytes(40 << 20))) as server, visit(server) as session:
        with pytest.raises(NoSpace):
            back_up(session, ORDER, Full())
        assert server.asked[-2:] == ["DATA_ABORT", "DATA_STOP"]


def test_a_history_that_cannot_be_kept_ends_the_backup_with_that_error() -> None:
    class Full(HistoryTree):
        def nodes(self, records: list[Any]) -> None:
            raise NoSpace("The spool is full.")

    posts: list[tuple[m.Post[Any], object]] = [(m.FH_ADD_NODE, h.NodeHistory((h.NodeEntry((), 2, 0),)))]
    with pytest.raises(NoSpace, match="spool"):
        run(Script(posts=posts * 3), history=HistoryDecoder(Full()))


def test_silence_is_borne_as_long_as_the_file_server_says_that_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers ten times with more bytes processed; when these stand still too, it is given up."""
    clock, waits = TickingClock(), replace(PATIENT, idle=1.2, probe=0.25)
    monkeypatch.setattr("jobs.engine.ndmp.operation.time", clock)
    with filer(Script(hangs_after=10, works_for=10)) as server, visit(server, waits=waits) as session:
        with pytest.raises(SourceUnavailable, match=r"Nothing moved for 1\.2 s"):
            back_up(session, ORDER, MemoryImage())
        assert clock.now > 2 * waits.idle
        assert server.asked.count("DATA_GET_STATE") > 10


class TickingClock:
    """Time passes by being asked for: what is borne is so many looks, however late each of them comes."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 0.1
        return self.now


def test_history_is_taken_while_the_data_flows() -> None:
    tree = HistoryTree()
    decoder = HistoryDecoder(tree)
    status = h.FileStatus(0, 0, h.EntryKind.FILE, 5, 6, 7, 0, 0, 0o644, 6, 1)
    posts: list[tuple[m.Post[Any], object]] = [
        (
            m.FH_ADD_DIR,
            h.DirectoryHistory(
                (
                    h.DirectoryEntry((h.UnixName(b"."),), 64, 64),
                    h.DirectoryEntry((h.UnixName(b"a.txt"),), 70, 64),
                )
            ),
        ),
        (m.FH_ADD_NODE, h.NodeHistory((h.NodeEntry((status,), 70, 512),))),
    ]
    run(Script(posts=posts), history=decoder)
    assert decoder.records == 3
    assert [(entry.path, entry.fh_info) for entry in tree.entries()] == [(b"", None), (b"a.txt", 512)]


def test_the_networks_of_nobody_are_those_of_the_session() -> None:
    with filer(Script()) as server, visit(server) as session:
        assert DataPath().allows(HOME, session)
        assert not DataPath().allows(STRANGER, session)
        assert not DataPath(allowed=(ip_network("::/0"),)).allows(HOME, session)
