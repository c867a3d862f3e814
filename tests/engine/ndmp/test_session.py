"""Coming to a file server: greeting, version, login, what it can do; and what is said when it does not go well."""

from __future__ import annotations

import hashlib
import socket
import threading

import pytest

from jobs.engine.errors import (
    AnswerUnreadable,
    EngineError,
    EngineUnsupported,
    Killed,
    LoginRefused,
    SourceUnavailable,
    StorageBusy,
    StreamIncomplete,
)
from jobs.engine.events import FreeRun
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.login import AuthWay, Server, capabilities, connect, md5_digest
from jobs.engine.ndmp.profiles import ONTAP, suggested
from jobs.engine.ndmp.values import BackupAbility, ConnectionReason, ErrorCode, LogKind, Nothing
from jobs.engine.plan import Secret

from .clients import HASTY, PATIENT, visit
from .filer import HOME, Script, filer, log


@pytest.mark.parametrize("auth", [AuthWay.SAFEST, AuthWay.MD5, AuthWay.TEXT])
def test_the_right_password_opens_a_session(auth: AuthWay) -> None:
    with filer(Script()) as server:
        with visit(server, auth=auth) as session:
            assert session.call(m.GET_HOST_INFO, Nothing()).host_name == "filer"
            assert session.peer_host == HOME
        asked = server.asked_by_all()
    assert asked[0] == "CONNECT_OPEN"
    assert asked[-1] == "CONNECT_CLOSE"


@pytest.mark.parametrize("auth", [AuthWay.MD5, AuthWay.TEXT, AuthWay.NONE])
def test_a_wrong_password_is_refused_without_naming_it(auth: AuthWay) -> None:
    with filer(Script()) as server, pytest.raises(LoginRefused) as refusal:
        visit(server, auth=auth, password="hunter2")
    assert "“ndmp”" in str(refusal.value)
    assert "hunter2" not in repr(refusal.value) + refusal.value.hint


def test_the_password_is_never_sent_in_clear_unless_somebody_chose_that() -> None:
    with filer(Script(offers_md5=False)) as server, pytest.raises(LoginRefused, match="does not offer MD5") as refusal:
        visit(server)
    assert "in clear" in refusal.value.hint
    assert "CONNECT_CLIENT_AUTH" not in server.asked


def test_the_digest_is_the_one_of_the_draft() -> None:
    """The layout written out, for a short password and for one that fills its place."""
    challenge = bytes(range(64))
    assert md5_digest("", challenge).hex() == md5_of(bytes(64) + challenge)
    assert md5_digest("abc", challenge).hex() == md5_of(b"abc" + bytes(58) + challenge + b"abc")
    long = "x" * 40
    assert md5_digest(long, challenge).hex() == md5_of(b"x" * 32 + challenge + b"x" * 32)


def md5_of(data: bytes) -> str:
    assert len(data) == 128
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_what_the_file_server_can_do_is_asked_and_what_it_refuses_stays_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.engine.ndmp.login._SHORT_SECONDS", PATIENT.answer)
    with filer(Script(refuses={m.GET_HOST_INFO: ErrorCode.NOT_SUPPORTED})) as server, visit(server) as session:
        found = capabilities(session)
    assert found.host is None
    assert found.file_systems == ()
    assert found.address_types == (1, 77)
    assert found.extensions == (0x2050,)
    assert found.backup_types[0].name == "dump"
    assert BackupAbility.RECOVER_DIRECT in found.backup_types[0].abilities
    assert suggested(found.info) is ONTAP


def test_extensions_that_are_never_told_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.engine.ndmp.login._SHORT_SECONDS", 0.3)
    with filer(Script(silent_on={m.GET_EXT_LIST})) as server, visit(server) as session:
        assert capabilities(session).extensions == ()
        assert session.call(m.GET_HOST_INFO, Nothing()).host_name == "filer"


@pytest.mark.parametrize(
    ("greeting", "kind", "words"),
    [
        (m.ConnectionStatus(ConnectionReason.REFUSED, 4, "10 sessions"), StorageBusy, "no further.*10 sessions"),
        (m.ConnectionStatus(ConnectionReason.SHUTDOWN, 4, "too many sessions"), StorageBusy, "too many sessions"),
        (m.ConnectionStatus(ConnectionReason.SHUTDOWN, 4, ""), SourceUnavailable, "shuts down"),
        (m.ConnectionStatus(ConnectionReason.CONNECTED, 2, ""), EngineUnsupported, "speaks version 2"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", AnswerUnreadable, "announced a message of"),
        (bytes(400), SourceUnavailable, "said nothing for 0.3 s"),
        (b"\x80\0\0\x04abcd", AnswerUnreadable, "ends 4 bytes too early"),
        (None, SourceUnavailable, "said nothing for 0.3 s"),
    ],
)
def test_whoever_is_no_ndmp_service_for_us_is_told_apart(
    greeting: m.ConnectionStatus | bytes | None, kind: type[EngineError], words: str
) -> None:
    waits = HASTY if "said nothing" in words else PATIENT
    with filer(Script(greeting=greeting)) as server, pytest.raises(kind, match=words):
        visit(server, waits=waits)


def test_nobody_there_names_the_place() -> None:
    with socket.socket() as taken:
        taken.bind((HOME, 0))  # and does not listen: the port is nobody else's meanwhile
        port = taken.getsockname()[1]
        with pytest.raises(SourceUnavailable, match=f"{HOME}:{port} cannot be reached"):
            connect(Server(host=HOME, port=port, password=Secret("x")), FreeRun(), waits=PATIENT)


def test_a_version_that_is_refused_is_said() -> None:
    with (
        filer(Script(refuses={m.CONNECT_OPEN: ErrorCode.ILLEGAL_ARGUMENTS})) as server,
        pytest.raises(EngineUnsupported, match="4 or 3 is needed"),
    ):
        visit(server)


def test_silence_ends_a_call_and_names_it() -> None:
    with (
        filer(Script(silent_on={m.GET_FS_INFO})) as server,
        visit(server) as session,
        pytest.raises(SourceUnavailable, match=r"did not answer CONFIG_GET_FS_INFO for 0\.3 s"),
    ):
        session.call(m.GET_FS_INFO, Nothing(), seconds=0.3)


def test_an_error_is_put_into_words_with_the_last_line_of_the_log() -> None:
    script = Script(refuses={m.DATA_STOP: 0x20000001, m.DATA_GET_ENV: ErrorCode.DEVICE_BUSY})
    with filer(script) as server, visit(server) as session:
        with pytest.raises(StorageBusy, match="refused DATA_GET_ENV: device busy"):
            session.call(m.DATA_GET_ENV, Nothing())
        server._visits[0].post(*log("volume is moving", LogKind.NORMAL))
        session.wait(lambda: bool(session.log), seconds=60, what="logged nothing")
        with pytest.raises(StreamIncomplete, match=r"error 0x20000001\. Its log says: volume is moving"):
            session.call(m.DATA_STOP, Nothing())


def test_a_session_that_is_closed_fails_every_later_call() -> None:
    with filer(Script()) as server, visit(server) as session:
        server._visits[0].cut()
        for _ in range(2):
            with pytest.raises(SourceUnavailable, match=r"closed the NDMP session|broke"):
                session.call(m.GET_HOST_INFO, Nothing())


def test_a_stop_is_heard_while_the_file_server_is_silent() -> None:
    stop = threading.Event()

    class Control:
        def check(self) -> None:
            if stop.is_set():
                raise Killed("killed")

    with filer(Script(silent_on={m.GET_FS_INFO})) as server, visit(server, control=Control()) as session:
        stop.set()
        with pytest.raises(Killed):
            session.call(m.GET_FS_INFO, Nothing(), seconds=30)


def test_a_subscriber_that_would_call_its_session_is_stopped_at_once() -> None:
    """It would wait for ever for an answer that only its own thread could read."""
    caught: list[BaseException] = []

    class Caller:
        def post(self, _value: object) -> None:
            try:
                session.call(m.GET_HOST_INFO, Nothing())
            except RuntimeError as error:
                caught.append(error)

        def history(self, code: int, body: bytes) -> None: ...

    with filer(Script()) as server, visit(server) as session, session.subscribed(Caller()):
        server._visits[0].post(*log("x"))
        session.wait(lambda: bool(caught), seconds=60, what="was not caught")


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    script = Script(silent_on={m.GET_FS_INFO})
    with filer(script) as server, visit(server) as session:
        with pytest.raises(SourceUnavailable):
            session.call(m.GET_FS_INFO, Nothing(), seconds=0.2)
        late = m.GET_FS_INFO.encode_reply(ErrorCode.IO, None)
        server._visits[0]._send(m.MessageKind.REPLY, m.GET_FS_INFO.code, len(server.asked), late)
        assert session.call(m.GET_HOST_INFO, Nothing()).host_name == "filer"


def test_what_a_file_server_writes_is_made_fit_to_be_shown() -> None:
    """Bytes that are no text, terminal codes, zeros that a database refuses, and more than anybody reads."""
    with filer(Script()) as server, visit(server) as session:
        server._visits[0].post(*log("\x1b[31mdisk\0 \udcff\n3\n"))
        server._visits[0].post(*log("x" * 5_000))
        session.wait(lambda: len(session.log) == 2, seconds=60, what="logged nothing")
        first, second = session.log
    assert first.text == "[31mdisk    3"
    assert second.text == "x" * 499 + "…"
