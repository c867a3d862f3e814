"""A recovery sends what the file server asks for, from any place of the image, and tells what could not be written."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from jobs.engine.errors import (
    AnswerUnreadable,
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    Killed,
    MediaUnavailable,
    SourceUnavailable,
    StreamIncomplete,
)
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.profiles import GENERIC
from jobs.engine.ndmp.records import framed
from jobs.engine.ndmp.recover import FileFailure, RecoverOrder, RecoverResult, batches, everything, recover
from jobs.engine.ndmp.transfer import DataPath, Direction
from jobs.engine.ndmp.values import TO_THE_END, UNKNOWN, ErrorCode, HaltReason, LogKind, Pair, WantedName
from jobs.engine.ndmp.xdr import encode

from .clients import HASTY, PATIENT, MemoryImage, visit
from .filer import Filer, Script, filer, log

IMAGE = bytes(range(256)) * 12_000
STORED = (Pair("FILESYSTEM", "/vol/vol1"), Pair("ACL_START", "512"), Pair("DIRECT", "n"))
ORDER = RecoverOrder(type="dump", environment=GENERIC.recover_environment(STORED), names=everything(b"/vol/restored"))


def run(server: Filer, order: RecoverOrder = ORDER, **more: Any) -> RecoverResult:
    waits = HASTY if server.script.never_connects else PATIENT
    with visit(server, waits=waits) as session:
        return recover(session, order, MemoryImage(IMAGE), **more)


@pytest.mark.parametrize("direction", Direction)
def test_the_whole_image_is_sent_and_then_an_end_of_file(direction: Direction) -> None:
    told: list[int] = []
    with filer(Script()) as server:
        order = replace(ORDER, data_path=DataPath(direction=direction))
        result = run(server, order, progress=told.append)
        assert bytes(server.got) == IMAGE
        (request,) = [one for one in server.requests if isinstance(one, m.StartRecover)]
    assert result == RecoverResult(sent_bytes=len(IMAGE), failed=(), failed_count=0, confirmed_count=0, log=())
    assert told[-1] == len(IMAGE)
    assert Pair("ACL_START", "512") in request.environment
    assert request.names == (WantedName(b"", b"/vol/restored", b"", b"", UNKNOWN, UNKNOWN),)


def test_direct_access_sends_only_the_places_that_are_asked_for_in_any_order() -> None:
    reads = [m.DataRead(2_000_000, 1000), m.DataRead(512, 5), m.DataRead(512, 5)]
    with filer(Script(reads=reads)) as server:
        order = replace(
            ORDER,
            environment=GENERIC.recover_environment(STORED, is_direct=True),
            names=(WantedName(b"docs/a", b"/vol/restored/docs/a", node=70, fh_info=2_000_000),),
        )
        assert run(server, order).sent_bytes == 1010
        assert bytes(server.got) == IMAGE[2_000_000:2_001_000] + IMAGE[512:517] * 2
        (request,) = [one for one in server.requests if isinstance(one, m.StartRecover)]
    assert Pair("DIRECT", "y") in request.environment
    assert Pair("DIRECT", "n") not in request.environment
    assert request.names[0].fh_info == 2_000_000


def test_more_than_there_is_ends_with_the_image() -> None:
    with filer(Script(reads=[m.DataRead(len(IMAGE) - 10, 1 << 40)])) as server:
        assert run(server).sent_bytes == 10
        assert bytes(server.got) == IMAGE[-10:]


def test_a_file_server_that_has_enough_may_hang_up() -> None:
    """As one does that reads to the end of an archive and no further."""
    with filer(Script(hangs_up_after=100_000)) as server:
        assert run(server).failed == ()
        assert bytes(server.got) == IMAGE[:100_000]


def test_it_may_hang_up_within_a_piece_that_was_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent of the piece counts: something was asked for."""
    monkeypatch.setattr("jobs.engine.ndmp.recover._PIECE_BYTES", 1 << 30)
    image = MemoryImage(IMAGE * 8)
    with filer(Script(hangs_up_after=100_000)) as server, visit(server) as session:
        assert 100_000 <= recover(session, ORDER, image).sent_bytes < image.size_bytes
        assert bytes(server.got) == IMAGE[:100_000]


def test_files_that_could_not_be_written_are_named_with_the_reason() -> None:
    results = [m.LogFile("a", 0), m.LogFile("b", 2), m.LogFile("c", 1), m.LogFile("d", 77)]
    with filer(Script(file_results=results)) as server:
        found = run(server)
    assert (found.failed_count, found.confirmed_count) == (3, 1)
    assert found.failed == (
        FileFailure("b", "not found"),
        FileFailure("c", "permission"),
        FileFailure("d", "status 77"),
    )


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"halts": HaltReason.INTERNAL_ERROR}, StreamIncomplete, "ended the recovery: internal error"),
        ({"halts": HaltReason.ABORTED}, StreamIncomplete, "ended the recovery: aborted"),
        ({"posts": [log("cannot write")]}, StreamIncomplete, "the recovery went well, but logged 1 error"),
        ({"posts": [log("a"), log("b"), log("c", LogKind.WARNING)]}, StreamIncomplete, "logged 2 errors"),
        ({"reads": [m.DataRead(1 << 50, TO_THE_END)]}, StreamIncomplete, "asks for byte 1125899906842624"),
        ({"refuses": {m.DATA_START_RECOVER: ErrorCode.NOT_SUPPORTED}}, EngineUnsupported, "DATA_START_RECOVER"),
        ({"reads": []}, StreamIncomplete, "asked for no byte"),
        ({"never_connects": True}, SourceUnavailable, "did not open the data connection"),
    ],
)
def test_a_recovery_that_ends_badly_is_an_error(change: dict[str, Any], kind: type[EngineError], words: str) -> None:
    with filer(Script(**change)) as server:
        with pytest.raises(kind, match=words):
            run(server)
        assert "DATA_STOP" in server.asked


def test_files_that_fail_before_anything_is_read_are_a_result() -> None:
    with filer(Script(reads=[], file_results=[m.LogFile("b", 2)])) as server:
        assert run(server).failed == (FileFailure("b", "not found"),)


def test_of_very_many_failures_the_first_are_named_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.engine.ndmp.operation.MOST_KEPT", 2)
    with filer(Script(file_results=[m.LogFile(name, 1) for name in "abc"] + [m.LogFile("d", 0)] * 3)) as server:
        found = run(server)
    assert [failure.name for failure in found.failed] == ["a", "b"]
    assert (found.failed_count, found.confirmed_count) == (3, 3)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"dies_after": 1000}, SourceUnavailable, "closed the NDMP session|broke"),
        ({"raw": b"\xff" * 64}, AnswerUnreadable, "announced a message of"),
    ],
    ids=["dies", "garbage"],
)
def test_a_file_server_that_goes_mad_in_a_recovery_ends_it(
    change: dict[str, Any], kind: type[EngineError], words: str
) -> None:
    with filer(Script(**change)) as server, visit(server) as session, pytest.raises(kind, match=words):
        recover(session, ORDER, MemoryImage(IMAGE))


def test_a_flood_of_wishes_that_are_not_taken_ends_a_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.engine.ndmp.operation.MOST_READS", 100)
    header = m.Header(1, 0, m.MessageKind.REQUEST, m.NOTIFY_DATA_READ.code, 0, 0)
    wish = framed(m.message(header, encode(m.NOTIFY_DATA_READ.body, m.DataRead(0, 1))))

    class Slow(MemoryImage):
        def read(self, offset: int, length: int) -> bytes:
            session.wait(lambda: session.failure is not None, seconds=60, what="went on")
            return super().read(offset, length)

    wanted = pytest.raises(AnswerUnreadable, match="asked for 100 pieces")
    with filer(Script(raw=wish * 200)) as server, visit(server) as session, wanted:
        recover(session, ORDER, Slow(IMAGE))


def test_a_stop_is_heard_while_the_file_server_takes_no_data() -> None:
    stop = threading.Event()

    class Control:
        def check(self) -> None:
            if stop.is_set():
                raise Killed("killed")

    def halfway(sent: int) -> None:
        if sent > 1 << 20:
            stop.set()

    with filer(Script(hangs_after=0)) as server, visit(server, control=Control()) as session:
        with pytest.raises(Killed):
            recover(session, ORDER, MemoryImage(IMAGE * 8), progress=halfway)
        assert server.asked[-2:] == ["DATA_ABORT", "DATA_STOP"]


@pytest.mark.parametrize("names", [(), (WantedName(b"a", b""),)])
def test_nothing_to_recover_is_refused_before_anything_is_asked(names: tuple[WantedName, ...]) -> None:
    with filer(Script()) as server:
        with pytest.raises(InvalidOptions) as refusal:
            run(server, replace(ORDER, names=names))
        assert "DATA_CONNECT" not in server.asked
    assert refusal.value.field == "names"


def test_an_image_that_cannot_be_read_aborts_and_stays_what_it_is() -> None:
    class Away(MemoryImage):
        def read(self, offset: int, length: int) -> bytes:
            raise MediaUnavailable("The medium is away.")

    with filer(Script()) as server, visit(server) as session:
        with pytest.raises(MediaUnavailable):
            recover(session, ORDER, Away(IMAGE))
        assert server.asked[-2:] == ["DATA_ABORT", "DATA_STOP"]


def test_a_stop_aborts_a_recovery_that_never_ends() -> None:
    stop = threading.Event()

    class Control:
        def check(self) -> None:
            if stop.is_set():
                raise Killed("killed")

    with (
        filer(Script(halts=None)) as server,
        visit(server, control=Control()) as session,
    ):
        with pytest.raises(Killed):
            recover(session, ORDER, MemoryImage(IMAGE), progress=lambda _sent: stop.set())
        assert server.asked[-2:] == ["DATA_ABORT", "DATA_STOP"]


def test_names_are_cut_into_what_one_recovery_takes() -> None:
    names = [WantedName(b"%d" % number, b"/x") for number in range(5)]
    assert [len(batch) for batch in batches(names, 2)] == [2, 2, 1]
    assert [len(batch) for batch in batches(names, None)] == [5]
    assert list(batches([], None)) == []
