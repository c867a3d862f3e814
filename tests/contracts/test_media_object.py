"""Object stores and WebDAV: wrong settings, odd servers, long listings, and what the protocol of each demands."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.engine.errors import (
    DeletionRefused,
    FileMissing,
    InvalidOptions,
    MediaRefused,
    MediaUnavailable,
    NoSpace,
    RepositoryDamaged,
)
from jobs.engine.media.base import Media
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.layers import REMOTE, layered
from jobs.engine.media.registry import MEDIA
from jobs.engine.options import option_problems, parse_options
from jobs.engine.plan import Secret
from tests.google_cloud import key_file
from tests.object_servers import start

from .media_drivers import S3, WEBDAV, WITHOUT_SERVER, Driver
from .odd_s3 import OddS3, odd_s3

PACK = "data/ab/" + "ab" * 32


@pytest.fixture
def odd() -> Iterator[OddS3]:
    with odd_s3() as service:
        yield service


@pytest.fixture
def odd_media(odd: OddS3, tmp_path: Path) -> Iterator[Media]:
    medium = S3.open(tmp_path, values={"endpoint": odd.url, "prefix": ""})
    yield medium
    medium.close()


def test_a_bucket_that_does_not_exist_is_a_wrong_setting(tmp_path: Path) -> None:
    media = S3.open(tmp_path, values={"bucket": "no-such-bucket"})
    with pytest.raises(InvalidOptions) as caught:
        media.put(PACK, [b"x"])
    report = media.test()
    media.close()
    assert caught.value.field == "bucket"
    assert [step.ok for step in report.steps] == [False]
    assert report.steps[0].detail == caught.value.sentence


def test_a_bucket_that_disappeared_is_not_an_empty_one(odd: OddS3, odd_media: Media) -> None:
    odd.status, odd.body = 404, b"<Error><Code>NoSuchBucket</Code></Error>"
    with pytest.raises(InvalidOptions):
        list(odd_media.list("data"))
    with pytest.raises(InvalidOptions):
        odd_media.get(PACK)
    assert not odd_media.test().ok


def test_a_refused_look_up_says_why(tmp_path: Path) -> None:
    media = S3.open(tmp_path, values={"access_key": "ANOTHERACCESSKEY0001"})
    with pytest.raises(MediaRefused, match="refuses the login") as caught:
        media.exists("config")
    media.close()
    assert "access key" in caught.value.hint


def test_nobody_at_the_address_can_be_tried_again_later(tmp_path: Path) -> None:
    media = S3.open(tmp_path, values={"endpoint": "http://127.0.0.1:1"})
    with pytest.raises(MediaUnavailable, match=r": connection refused\.$") as caught:
        media.get(PACK)
    media.close()
    assert "port" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", MediaRefused),
        (503, b"<Error><Code>SlowDown</Code></Error>", MediaUnavailable),
        (500, b"<html>a proxy's own page</html>", MediaUnavailable),
        (507, b"", NoSpace),
        (403, b"<Error><Code>QuotaExceeded</Code></Error>", NoSpace),
        (403, b"<Error><Code>ExpiredToken</Code></Error>", MediaRefused),
        (400, b"<Error><Code>AuthorizationHeaderMalformed</Code></Error>", InvalidOptions),
    ],
    ids=["denied", "slow down", "proxy", "full", "quota", "ended token", "region"],
)
def test_what_a_service_says_becomes_one_sentence(
    odd: OddS3, odd_media: Media, status: int, body: bytes, expected: type[Exception]
) -> None:
    odd.status, odd.body = status, body
    with pytest.raises(expected) as caught:
        odd_media.put(PACK, [b"x"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert "S3 bucket" in str(caught.value)


def test_a_refused_deletion_is_told_apart(odd: OddS3, odd_media: Media) -> None:
    odd.status, odd.body = 403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    with pytest.raises(DeletionRefused):
        odd_media.delete(PACK)


def test_a_server_that_ignores_ranges_is_read_all_the_same(odd: OddS3, odd_media: Media) -> None:
    odd.ranges = "ignored"
    odd_media.put(PACK, [b"0123456789"])
    assert odd_media.get(PACK, offset=3, length=4) == b"3456"


def test_a_server_that_sends_too_little_is_not_believed(odd: OddS3, odd_media: Media) -> None:
    odd.ranges = "short"
    odd_media.put(PACK, [b"0123456789"])
    with pytest.raises(MediaUnavailable):
        odd_media.get(PACK, offset=3, length=4)
    with pytest.raises(RepositoryDamaged, match="ends after 10 bytes"):
        odd_media.get(PACK, offset=3, length=9)


def test_a_bucket_with_object_lock_gets_the_checksum_it_demands(odd: OddS3, tmp_path: Path) -> None:
    for has_lock in (False, True):
        media = S3.open(tmp_path, values={"endpoint": odd.url, "object_lock": has_lock})
        media.put(PACK, [b"x"])
        media.close()
    assert [any(name.lower() == "content-md5" for name in sent) for sent in odd.headers] == [False, True]


def test_settings_of_the_machine_are_none_of_the_medium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.setenv(name, "of-somebody-else")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    media = S3.open(tmp_path)
    media.put(PACK, [b"x"])
    assert media.get(PACK) == b"x"
    media.close()


def test_a_private_authority_is_trusted_by_its_file(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)
    server = start("webdav", "--cert", str(certificate), "--key", str(key))
    values: dict[str, object] = {"endpoint": server.url}
    distrusting = _open("webdav", values)
    with pytest.raises(MediaUnavailable, match="certificate") as caught:
        distrusting.put("config", [b"x"])
    distrusting.close()
    assert "certificate authority" in caught.value.hint
    media = _open("webdav", values | {"ca_file": str(certificate)})
    media.put("config", [b"x"])
    media.close()
    assert (server.root / "config").read_bytes() == b"x"


@pytest.mark.parametrize("driver", [S3, WEBDAV], ids=lambda driver: driver.name)
def test_files_can_be_deleted_while_they_are_listed(driver: Driver, tmp_path: Path) -> None:
    driver.fill(tmp_path, {f"data/00/{number:064x}": b"" for number in range(2100)})
    media = driver.open(tmp_path)
    rows = media.list("data")
    first = next(rows)
    media.delete(first[0])
    assert len({first, *rows}) == 2100
    assert len(list(media.list("data"))) == 2099
    media.close()


def test_webdav_nodes_that_make_a_folder_at_the_same_moment_all_write(tmp_path: Path) -> None:
    media = [layered(WEBDAV.open(tmp_path), REMOTE, board=MediaBoard()) for _ in range(3)]
    for one in media:
        one.exists("config")
    threads = [
        threading.Thread(target=one.put, args=(f"data/cd/{number:064x}", [b"x"])) for number, one in enumerate(media)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(media[0].list("data"))) == 3
    for one in media:
        one.close()


def test_webdav_leaves_no_temporary_file_and_removes_those_of_dead_writers(tmp_path: Path) -> None:
    folder = WEBDAV.file(tmp_path, "tmp")
    folder.mkdir(parents=True)
    for name, age_seconds in (("old", 3 * 86400), ("new", 60)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age_seconds,) * 2)
    WEBDAV.notice()
    media = WEBDAV.open(tmp_path)
    media.put(PACK, [b"x"])
    assert list(media.list("")) == [(PACK, 1)]
    media.close()
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_a_missing_folder_of_webdav_is_empty_and_a_missing_file_named(tmp_path: Path) -> None:
    media = WEBDAV.open(tmp_path, values={"root": f"{tmp_path.name}/deep/deeper"})
    assert list(media.list("")) == []
    with pytest.raises(FileMissing):
        media.get("config")
    media.put("config", [b"x"])
    assert media.get("config") == b"x"
    media.close()


@pytest.mark.parametrize(
    ("kind", "values", "secrets", "field"),
    [
        ("s3", {"endpoint": "s3.example.org"}, {}, "endpoint"),
        ("s3", {"endpoint": "https://user:word@s3.example.org"}, {}, "endpoint"),
        ("s3", {"bucket": "bucket/folder"}, {}, "bucket"),
        ("s3", {"prefix": "a/../b"}, {}, "prefix"),
        ("s3", {"storage_class": "DEEP_ARCHIVE"}, {}, "storage_class"),
        ("s3", {"ca_file": "/etc/ssl/private/server.key"}, {}, "ca_file"),
        ("azure", {}, {"account_key": "", "sas_token": ""}, "account_key"),
        ("azure", {}, {"account_key": "a2V5", "sas_token": "x"}, "account_key"),
        ("azure", {}, {"account_key": "AccountKey=a2V5;"}, "account_key"),
        ("gcs", {}, {"service_account": "/etc/key.json"}, "service_account"),
        ("gcs", {}, {"service_account": '{"client_email": "x@y", "private_key": "cut off"}'}, "service_account"),
        ("gcs", {}, {"service_account": key_file(login="file:///etc/passwd")}, "service_account"),
        ("gcs", {"endpoint": "storage.example.org"}, {}, "endpoint"),
        ("b2", {"bucket_id": "https://x"}, {}, "bucket_id"),
        ("webdav", {}, {"token": "x"}, "token"),
        ("webdav", {"user": ""}, {}, "user"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_field(
    kind: str, values: dict[str, object], secrets: dict[str, str], field: str
) -> None:
    known, private = _RIGHT[kind]
    options = MEDIA[kind].options
    assert not option_problems(options, known, _hidden(private))
    problems = option_problems(options, known | values, _hidden(private | secrets))
    assert [problem.field for problem in problems] == [field]


_RIGHT: dict[str, tuple[dict[str, object], dict[str, str]]] = {
    "s3": ({"bucket": "b", "access_key": "a"}, {"secret_key": "s"}),
    "azure": ({"account": "a", "container": "c"}, {"account_key": "a2V5"}),
    "gcs": ({"bucket": "b"}, {"service_account": key_file(login="https://login.example.org")}),
    "b2": ({"bucket": "b", "bucket_id": "0", "key_id": "k"}, {"application_key": "s"}),
    "webdav": ({"endpoint": "https://cloud.example.org/dav", "user": "u"}, {"password": "p"}),
}


@pytest.mark.parametrize("kind", sorted(WITHOUT_SERVER))
def test_kinds_without_a_server_here_can_at_least_be_built(kind: str) -> None:
    values, secrets = _RIGHT[kind]
    media = MEDIA[kind].build(parse_options(MEDIA[kind].options, values, _hidden(secrets)))
    assert media.usage().total_bytes is None
    media.close()


def _open(kind: str, values: dict[str, object]) -> Media:
    return MEDIA[kind].build(parse_options(MEDIA[kind].options, values))


def _hidden(secrets: dict[str, str]) -> dict[str, Secret]:
    return {name: Secret(text) for name, text in secrets.items()}
