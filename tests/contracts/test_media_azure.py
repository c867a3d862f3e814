"""Azure Blob beyond the contract: tokens and their rights, what is missing, long listings, the service's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.engine.errors import DeletionRefused, InvalidOptions, MediaRefused, MediaUnavailable
from jobs.engine.media.base import Media
from jobs.engine.plan import Secret
from tests.azurite_server import container_token, serve_azurite

from .media_drivers import AZURE
from .odd_s3 import odd_s3

PACK = "data/ab/" + "ab" * 32


@contextmanager
def opened(place: Path, token: str = "", **values: object) -> Iterator[Media]:
    media = AZURE.open(place, values=values, secrets={"sas_token": Secret(token)} if token else None)
    yield media
    media.close()


def test_a_token_of_the_container_is_enough(tmp_path: Path) -> None:
    for token in (container_token(), f"?{container_token()}"):
        with opened(tmp_path, token) as media:
            report = media.test()
            assert report.ok, report
            assert list(media.list("")) == []


def test_a_token_that_has_ended_is_told_apart_from_a_wrong_one(tmp_path: Path) -> None:
    ended = container_token(ends_in_seconds=-60)
    signed, _, _signature = container_token().partition("sig=")
    for token, sentence, hint in (
        (ended, "The login at .* has ended", "Get a new SAS token"),
        (f"{signed}sig=AAAA", "refuses the login: server failed to authenticate", "Correct the SAS token"),
    ):
        with opened(tmp_path, token) as media:
            for call in (media.get, media.size, media.exists, media.delete, lambda name: media.put(name, [b"x"])):
                with pytest.raises(MediaRefused, match=sentence) as caught:
                    call(PACK)
                assert hint in caught.value.hint


def test_what_a_token_may_not_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as media:
        media.put(PACK, [b"x"])
    with opened(tmp_path, container_token(may="rl")) as media:
        assert media.get(PACK) == b"x"
        assert list(media.list("data")) == [(PACK, 1)]
        with pytest.raises(MediaRefused, match="not authorized to perform this operation using this permission"):
            media.put("config", [b"x"])
        assert [step.name for step in media.test().steps if not step.ok] == ["write"]
    with opened(tmp_path, container_token(may="racwl")) as media:
        with pytest.raises(DeletionRefused):
            media.delete(PACK)
        assert media.exists(PACK)
    with opened(tmp_path, container_token(may="d")) as media, pytest.raises(MediaRefused, match="this permission"):
        media.size(PACK)


def test_a_wrong_key_is_told_in_the_words_of_the_service_also_where_it_sends_none(tmp_path: Path) -> None:
    wrong = AZURE.open(tmp_path, secrets=AZURE.wrong_secrets() if AZURE.wrong_secrets else None)
    for call in (wrong.get, wrong.size, wrong.exists):
        with pytest.raises(MediaRefused, match="refuses the login: server failed to authenticate") as caught:
            call(PACK)
        assert caught.value.hint == "Correct account and key of the medium."
    wrong.close()


def test_a_container_that_does_not_exist_is_a_wrong_setting(tmp_path: Path) -> None:
    with opened(tmp_path, container="not-there") as media:
        calls = (media.get, media.size, media.exists, lambda _name: list(media.list("")))
        for call in (*calls, lambda name: media.put(name, [b"x"])):
            with pytest.raises(InvalidOptions, match=r"not-there.* does not exist") as caught:
                call("config")
            assert caught.value.field == "container"
        assert [(step.name, step.ok) for step in media.test().steps] == [("reach", False)]


def test_an_address_that_leads_to_no_account_is_no_empty_medium(tmp_path: Path) -> None:
    with opened(tmp_path, endpoint=f"{serve_azurite().url}/nobody") as media:
        with pytest.raises(InvalidOptions):
            list(media.list(""))
        with pytest.raises(InvalidOptions):
            media.put("config", [b"x"])
        assert not media.test().ok


def test_a_listing_of_many_pages_is_whole(tmp_path: Path) -> None:
    names = {f"data/{number % 8:02x}/{number:064x}": bytes(number) for number in range(60)}
    AZURE.fill(tmp_path, names)
    with opened(tmp_path, f"{container_token()}&maxresults=7") as media:
        rows = list(media.list("data"))
        assert sorted(rows) == sorted((name, len(content)) for name, content in names.items())
        listing = media.list("data")
        first = next(listing)[0]
        media.delete(first)
        assert {first, *(name for name, _bytes in listing)} == set(names)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "ServerBusy", MediaUnavailable),
        (500, "OperationTimedOut", MediaUnavailable),
        (429, "TooManyRequests", MediaUnavailable),
        (403, "AuthorizationFailure", MediaRefused),
        (403, "AccountIsDisabled", MediaRefused),
        (409, "ContainerBeingDeleted", InvalidOptions),
    ],
)
def test_what_the_service_says_becomes_one_sentence(
    status: int, code: str, expected: type[Exception], tmp_path: Path
) -> None:
    """Azurite is never busy, and has no firewall: these answers are written as Microsoft documents them."""
    with odd_s3() as odd, opened(tmp_path, endpoint=odd.url) as media:
        said = f"<Error><Code>{code}</Code><Message>As it is.\nTime:1</Message></Error>"
        odd.status, odd.body = status, said.encode()
        for call in (media.get, lambda name: media.put(name, [b"x"])):
            with pytest.raises(expected) as caught:
                call(PACK)
            assert "\n" not in str(caught.value)


def test_a_blob_under_a_policy_of_immutability_is_not_deleted(tmp_path: Path) -> None:
    with odd_s3() as odd, opened(tmp_path, endpoint=odd.url) as media:
        odd.status, odd.body = 409, b"<Error><Code>BlobImmutableDueToPolicy</Code><Message>Held.</Message></Error>"
        with pytest.raises(DeletionRefused, match="held"):
            media.delete(PACK)
