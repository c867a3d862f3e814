"""An S3 bucket with Object Lock and a default retention: nothing goes before its time, and then it really goes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError

import pytest

from jobs.engine.errors import DeletionRefused, InvalidOptions
from jobs.engine.media.base import Media
from jobs.engine.media.registry import MEDIA
from jobs.engine.options import parse_options
from jobs.engine.plan import Secret
from tests.moto_servers import BUCKET, LockingS3, serve_locking_s3

CONTENT = b"what is locked"
NAME = f"data/{hashlib.sha256(CONTENT).hexdigest()[:2]}/{hashlib.sha256(CONTENT).hexdigest()}"
DAY_SECONDS = 86400


@pytest.fixture(scope="module")
def server() -> LockingS3:
    return serve_locking_s3()


def opened(server: LockingS3, folder: str, *, object_lock: bool) -> Media:
    kind = MEDIA["s3"]
    values = {"endpoint": server.url, "bucket": BUCKET, "prefix": folder, "access_key": "k", "object_lock": object_lock}
    return kind.build(parse_options(kind.options, values, {"secret_key": Secret("secret")}))


@pytest.fixture
def media(server: LockingS3, tmp_path: Path) -> Iterator[Media]:
    medium = opened(server, tmp_path.name, object_lock=True)
    yield medium
    medium.close()


def test_such_a_bucket_takes_nothing_without_the_checksum(server: LockingS3, tmp_path: Path) -> None:
    """The option sends it; all other tests here show that it is right."""
    without = opened(server, tmp_path.name, object_lock=False)
    with closing(without), pytest.raises(InvalidOptions, match="has Object Lock") as refused:
        without.put(NAME, [CONTENT])
    assert refused.value.field == "object_lock"


def test_what_is_locked_is_neither_deleted_nor_hidden_and_the_end_is_told(media: Media, server: LockingS3) -> None:
    media.put(NAME, [CONTENT])
    with pytest.raises(DeletionRefused, match=r"keeps “data/.*” until 20") as refused:
        media.delete(NAME)
    assert refused.value.until_ns is not None
    assert refused.value.until_ns / 1e9 == pytest.approx(time.time() + server.days * DAY_SECONDS, abs=120)
    assert media.get(NAME) == CONTENT


def test_the_service_itself_refuses_where_the_end_is_not_told(media: Media, server: LockingS3, tmp_path: Path) -> None:
    """The judge of the test above: a version is not deleted, whatever the driver believes."""
    media.put(NAME, [CONTENT])
    (version,) = server.versions(f"{tmp_path.name}/{NAME}")
    with pytest.raises(HTTPError) as refused:
        server.ask("DELETE", f"/{tmp_path.name}/{NAME}?versionId={version}")
    assert refused.value.code == 403
    refused.value.close()


def test_after_its_time_a_file_goes_with_all_its_versions(media: Media, server: LockingS3, tmp_path: Path) -> None:
    """A put that was tried again leaves two."""
    media.put(NAME, [CONTENT])
    media.put(NAME, [CONTENT])
    whole = f"{tmp_path.name}/{NAME}"
    assert len(server.versions(whole)) == 2
    server.end_lock(whole)
    media.delete(NAME)
    assert not media.exists(NAME)
    assert server.versions(whole) == []
    media.delete(NAME)


def test_a_lock_file_is_hidden_at_once(media: Media, server: LockingS3, tmp_path: Path) -> None:
    """Else every copy would leave a repository that nobody may prune for weeks."""
    name = "locks/" + "ab" * 32
    media.put(name, [b"lock"])
    media.delete(name)
    assert not media.exists(name)
    assert list(media.list("locks")) == []
    assert len(server.versions(f"{tmp_path.name}/{name}")) == 1, "the bucket keeps what it must"


def test_a_test_of_it_tells_how_long_what_is_written_now_stays(media: Media) -> None:
    for _ in range(2):
        report = media.test()
        assert report.ok, report.steps
    (told,) = [step.detail for step in report.steps if step.name == "delete"]
    assert told.startswith("what is written now stays until 20")
