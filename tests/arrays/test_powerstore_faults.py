"""What a PowerStore may answer instead of what was asked for, and the error with a remedy that is made of it."""

from __future__ import annotations

import re

import pytest

from jobs.engine.errors import (
    AnswerUnreadable,
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    LoginRefused,
    NoSpace,
    SnapshotMissing,
    SourceMissing,
    SourceUnavailable,
    StorageBusy,
)
from jobs.engine.snapshots.powerstore.errors import told

from .certificates import certificate
from .https_server import HERE, Answer, Fault, anything, serving, to
from .powerstore_driving import RUN, engine_of, named, take
from .powerstore_emulator import MOST_SNAPSHOTS, PowerStore, refusal

pytestmark = pytest.mark.system


def test_a_session_that_expired_is_renewed_once_and_nobody_notices(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore)
    ref = take(engine, 1, "fs1")
    powerstore.expire_sessions()
    assert engine.exists(ref)
    assert powerstore.logins == 2
    powerstore.expire_sessions()
    engine.delete(ref)
    assert (powerstore.logins, powerstore.snapshots()) == (3, [])


def test_a_wrong_password_is_tried_once_so_that_no_account_is_locked(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore, password="wrong")
    with pytest.raises(LoginRefused, match="does not let this account in") as refused:
        engine.list()
    assert "Storage Administrator" in refused.value.hint
    assert powerstore.logins == 1
    report = engine.test()
    assert [(step.name, step.ok) for step in report.steps] == [("array", False)]


def test_R8_a_full_file_system_is_told_as_the_array_says_it(powerstore: PowerStore) -> None:
    for number in range(MOST_SNAPSHOTS):
        powerstore.take_as_somebody_else("fs2", f"daily-{number}")
    with pytest.raises(StorageBusy, match="limit of 256 snapshots") as refused:
        take(engine_of(powerstore), 1, "fs1", "fs2")
    assert "Keep fewer" in refused.value.hint
    assert powerstore.snapshots("fs1") == [], "all or nothing"
    assert engine_of(powerstore).test().ok, "another one is probed"


def test_a_snapshot_that_the_array_locks_stays_and_is_tried_again(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore)
    ref = take(engine, 1, "fs1")
    words = "The snapshot is secure and cannot be deleted before its expiration."
    powerstore.server.fail(Fault(matches=_deletion, answer=refusal(422, words)))
    with pytest.raises(StorageBusy, match="cannot be deleted before its expiration") as refused:
        engine.delete(ref)
    assert "retention ends" in refused.value.hint
    engine.delete(ref)
    assert powerstore.snapshots() == []


def test_a_snapshot_that_somebody_exports_is_not_deleted(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore, reading="export")
    ref = take(engine, 1, "fs1")
    (snapshot,) = engine.client.snapshots(name=ref.name)
    engine.client.export(snapshot, f"/{ref.name}", "an administrator's", HERE)
    with pytest.raises(StorageBusy, match=re.escape("existing NFS export(s)")) as refused:
        engine.delete(ref)
    assert "Remove its exports" in refused.value.hint
    assert powerstore.snapshots() == [ref.name]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refusal(503, "The service is busy."), StorageBusy, "The service is busy."),
        (refusal(422, "Another operation on the file system is in progress."), StorageBusy, "in progress"),
        (refusal(500, "The job failed."), SourceUnavailable, "The job failed."),
        (refusal(422, "There is not enough space in the storage pool."), NoSpace, "not enough space"),
        (refusal(403, "The role does not allow it."), LoginRefused, "does not allow this account to take the snapshot"),
        (refusal(422, "Nobody expects this.", "0xE0801008FFFF"), EngineUnsupported, "Nobody expects this."),
        (Answer(status=200, body={"unexpected": True}), AnswerUnreadable, "makes no sense"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_the_array_refuses_is_told_in_its_words_and_leaves_nothing(
    powerstore: PowerStore, answer: Answer, kind: type[EngineError], words: str
) -> None:
    powerstore.server.fail(Fault(matches=to("POST", "/snapshot"), answer=answer))
    with pytest.raises(kind, match=words):
        take(engine_of(powerstore), 1, "fs1")
    assert powerstore.snapshots() == []


def test_a_snapshot_whose_answer_was_lost_is_taken_back(powerstore: PowerStore) -> None:
    powerstore.server.fail(Fault(matches=to("POST", "/snapshot"), is_dropped=True, is_late=True))
    with pytest.raises(SourceUnavailable, match="closed the connection without an answer"):
        take(engine_of(powerstore), 1, "fs1")
    assert powerstore.snapshots() == []


def test_a_name_that_somebody_has_on_the_nas_server_is_not_touched(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore)
    powerstore.take_as_somebody_else("fs2", named(1))
    with pytest.raises(StorageBusy, match="There is already a snapshot"):
        take(engine, 1, "fs1")
    assert powerstore.snapshots() == [named(1)]


def test_an_array_that_is_slow_is_given_up_and_the_next_call_has_another_process(powerstore: PowerStore) -> None:
    ref = take(engine_of(powerstore), 1, "fs1")
    engine = engine_of(powerstore, timeout_seconds=5)
    powerstore.server.fail(Fault(matches=anything, seconds=30))
    with pytest.raises(SourceUnavailable, match="did not answer within 5 s") as refused:
        engine.exists(ref)
    assert "more time" in refused.value.hint
    assert engine.exists(ref)


def test_a_client_that_hangs_is_killed(powerstore: PowerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One silence after the other, each shorter than the limit of the client."""
    engine = engine_of(powerstore)
    ref = take(engine, 1, "fs1")
    powerstore.server.fail(Fault(matches=anything, seconds=15))
    calls = engine.client._calls
    calls._state().clear()
    with monkeypatch.context() as patched:
        patched.setattr(calls, "_call_seconds", 0.5)
        with pytest.raises(SourceUnavailable, match="did not answer"):
            engine.exists(ref)
    assert engine.exists(ref)


def test_an_address_where_nobody_listens_is_told(powerstore: PowerStore) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be reached: connection refused"):
        engine_of(powerstore, port=1).list()


def test_a_certificate_of_another_authority_is_not_trusted(powerstore: PowerStore) -> None:
    foreign = certificate(HERE, authority="foreign").authority
    for settings in ({"ca_file": str(foreign)}, {"ca_file": None}):
        with pytest.raises(InvalidOptions, match="is not trusted") as refused:
            engine_of(powerstore, **settings).list()
        assert refused.value.field == "ca_file"
    assert powerstore.server.asked() == [], "nothing was said to it"


def test_a_name_that_the_certificate_does_not_hold_is_not_trusted(powerstore: PowerStore) -> None:
    with (
        serving(powerstore.answer, certified=certificate("other.example")) as other,
        pytest.raises(InvalidOptions, match=r"is not trusted: .*IP address mismatch"),
    ):
        engine_of(powerstore, port=other.port).list()


def test_a_ca_file_that_is_not_there_is_told(powerstore: PowerStore) -> None:
    with pytest.raises(EngineError) as refused:
        engine_of(powerstore, ca_file="/nowhere/ca.pem").list()
    assert "ca.pem" in refused.value.sentence


def test_what_is_no_powerstore_is_told(powerstore: PowerStore) -> None:
    powerstore.server.fail(Fault(matches=to("GET", "/nas_server"), answer=Answer(status=200, body=None)))
    with pytest.raises(AnswerUnreadable, match="does not answer as a PowerStore does"):
        engine_of(powerstore).list()


def test_a_snapshot_that_goes_between_two_looks_is_missing(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore, reading="export")
    ref = take(engine, 1, "fs1")
    gone = refusal(404, "Operation failed because File System ID is invalid.", "0xE08010080001")
    powerstore.server.fail(Fault(matches=to("POST", "/nfs_export"), answer=gone))
    with pytest.raises(SnapshotMissing), engine.open(ref):
        pass
    powerstore.server.fail(Fault(matches=to("POST", "/restore"), answer=gone))
    with pytest.raises(SnapshotMissing):
        engine.revert(ref, RUN)
    powerstore.server.fail(Fault(matches=_deletion, answer=gone))
    engine.delete(ref)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        (
            """HTTP code: 404, Not Found [Error details: {'messages': [{'message_l10n': "It's not there"}]}]""",
            SourceMissing,
            "PowerStore a cannot list: It's not there.",
        ),
        ("HTTP code: 418, I'm a teapot [no details]", EngineUnsupported, "PowerStore a cannot list: no details."),
        ("HTTP code: 500, Oops [Error details: {broken]", SourceUnavailable, "cannot list: Error details: {broken"),
        (
            "HTTP code: 400, Bad Request [{'messages': []}]",
            EngineUnsupported,
            "PowerStore a cannot list: {'messages': []}.",
        ),
    ],
)
def test_whatever_the_client_makes_of_an_answer_becomes_a_sentence(
    text: str, kind: type[EngineError], sentence: str
) -> None:
    status = text.split(":")[1].split(",")[0].strip()
    error = told(err_code=1, status=status, text=text, place="PowerStore a", action="list", seconds=1)
    assert type(error) is kind
    assert sentence in error.sentence


def _deletion(request: object) -> bool:
    return getattr(request, "method", "") == "DELETE" and "/file_system/" in getattr(request, "path", "")
