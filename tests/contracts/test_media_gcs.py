"""Google Cloud Storage beyond the contract: the login by a key and its token, what is missing, the service's words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.engine.errors import DeletionRefused, InvalidOptions, MediaRefused, MediaUnavailable
from jobs.engine.media.base import Media
from jobs.engine.plan import Secret
from tests.google_cloud import key_file
from tests.scripted_http import answer, scripted

from .media_drivers import GCS

PACK = "data/ab/" + "ab" * 32


@contextmanager
def opened(place: Path, *, login: str | None = None, **values: object) -> Iterator[Media]:
    """``login``: where the key is exchanged instead."""
    media = GCS.open(
        place, values=values, secrets={"service_account": Secret(key_file(login=login))} if login else None
    )
    yield media
    media.close()


def token(*, seconds: int) -> bytes:
    return answer("200 OK", json.dumps({"access_token": "a-token", "expires_in": seconds}).encode())


def refusal(status: str, reason: str, message: str) -> bytes:
    """As the JSON API writes it."""
    code = int(status.partition(" ")[0])
    errors = [{"domain": "global", "reason": reason, "message": message}]
    body = json.dumps({"error": {"code": code, "message": message, "errors": errors}}).encode()
    return answer(status, body, Content_Type="application/json")


@pytest.mark.parametrize(("seconds", "exchanges"), [(3600, 1), (0, 4)], ids=["lasting", "ending"])
def test_a_token_serves_as_long_as_it_lasts(seconds: int, exchanges: int, tmp_path: Path) -> None:
    with scripted([token(seconds=seconds)]) as (login, heads), opened(tmp_path, login=login) as media:
        for number in range(4):
            media.put(f"data/{number}", [b"x"])
    assert len(heads) == exchanges


def test_the_storage_is_shown_the_token(tmp_path: Path) -> None:
    with (
        scripted([token(seconds=3600)]) as (login, _),
        scripted([refusal("401 Unauthorized", "authError", "Invalid Credentials")]) as (endpoint, heads),
        opened(tmp_path, login=login, endpoint=endpoint) as media,
        pytest.raises(MediaRefused, match=r"refuses the login: invalid Credentials\.$") as caught,
    ):
        media.get(PACK)
    assert b"authorization: bearer a-token" in heads[0].lower()
    assert "service account's key" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "expected", "sentence", "hint"),
    [
        (
            answer(
                "400 Bad Request", b'{"error":"invalid_grant","error_description":"Invalid grant: account not found"}'
            ),
            MediaRefused,
            "refuses the login: Invalid grant: account not found",
            "Correct the service account's key",
        ),
        (
            answer(
                "400 Bad Request",
                b'{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token '
                b'(60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."}',
            ),
            MediaRefused,
            "in a reasonable timeframe",
            "clock",
        ),
        (answer("403 Forbidden", b"<html>a proxy</html>"), MediaRefused, "the login service answers 403", "key"),
        (answer("503 Service Unavailable"), MediaUnavailable, "the login service answers 503", ""),
        (answer("200 OK", b"<html>a portal</html>"), MediaUnavailable, "Cannot log in", ""),
    ],
    ids=["no account", "clock", "proxy", "busy", "portal"],
)
def test_why_there_is_no_token_is_told(
    said: bytes, expected: type[Exception], sentence: str, hint: str, tmp_path: Path
) -> None:
    with scripted([said]) as (login, _), opened(tmp_path, login=login) as media:
        for call in (media.get, media.exists, media.delete, lambda name: media.put(name, [b"x"])):
            with pytest.raises(expected, match=sentence) as caught:
                call(PACK)
            assert hint in getattr(caught.value, "hint", "")


def test_where_no_login_service_listens_it_is_unavailable(tmp_path: Path) -> None:
    with (
        opened(tmp_path, login="http://127.0.0.1:1") as media,
        pytest.raises(MediaUnavailable, match=r"Cannot log in at .*Connection refused") as caught,
    ):
        media.get(PACK)
    assert "port" in caught.value.hint


def test_a_bucket_that_does_not_exist_is_a_wrong_setting(tmp_path: Path) -> None:
    with opened(tmp_path, bucket="not-there") as media:
        for call in (lambda: list(media.list("data")), lambda: media.put(PACK, [b"x"])):
            with pytest.raises(InvalidOptions, match=r"not-there.* does not exist") as caught:
                call()
            assert caught.value.field == "bucket"
        assert [(step.name, step.ok) for step in media.test().steps] == [("reach", False)]


def test_a_bucket_that_disappeared_is_not_one_without_the_file(tmp_path: Path) -> None:
    """fake-gcs-server says no more than “Not Found”; Google names the bucket."""
    gone = refusal("404 Not Found", "notFound", "The specified bucket does not exist.")
    with scripted([gone]) as (endpoint, _), opened(tmp_path, endpoint=endpoint) as media:
        for call in (media.get, media.size, media.exists):
            with pytest.raises(InvalidOptions):
                call(PACK)


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("403 Forbidden", "forbidden", MediaRefused),
        ("403 Forbidden", "rateLimitExceeded", MediaUnavailable),
        ("429 Too Many Requests", "rateLimitExceeded", MediaUnavailable),
        ("503 Service Unavailable", "backendError", MediaUnavailable),
        ("403 Forbidden", "accountDisabled", MediaRefused),
    ],
)
def test_what_the_service_says_becomes_one_sentence(
    status: str, reason: str, expected: type[Exception], tmp_path: Path
) -> None:
    said = refusal(status, reason, "As it is.\nReally.")
    with scripted([said]) as (endpoint, _), opened(tmp_path, endpoint=endpoint) as media:
        for call in (media.size, lambda name: media.put(name, [b"x"])):
            with pytest.raises(expected) as caught:
                call(PACK)
            assert "\n" not in str(caught.value)


def test_an_object_under_a_retention_policy_is_not_deleted(tmp_path: Path) -> None:
    said = refusal("403 Forbidden", "retentionPolicyNotMet", "Object is subject to the bucket's retention policy.")
    with (
        scripted([said]) as (endpoint, _),
        opened(tmp_path, endpoint=endpoint) as media,
        pytest.raises(DeletionRefused, match="retention policy"),
    ):
        media.delete(PACK)
