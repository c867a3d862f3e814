"""What every medium must do, whatever it is. Faults of one kind of medium are in a file of their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.engine.clock import SystemClock
from jobs.engine.errors import EngineError, FileMissing, MediaRefused, MediaUnavailable, RepositoryDamaged
from jobs.engine.media.base import Media
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.registry import MEDIA
from jobs.engine.media.retrying import Retrying
from tests.forks import fork

from .media_drivers import DRIVERS, WITHOUT_SERVER, Driver

PACK = "data/ab/" + "ab" * 32


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
def driver(request: pytest.FixtureRequest) -> Driver:
    found: Driver = request.param
    return found


@pytest.fixture
def media(driver: Driver, tmp_path: Path) -> Iterator[Media]:
    medium = driver.open(tmp_path)
    yield medium
    medium.close()


def test_every_registered_kind_is_driven_by_the_contract() -> None:
    assert {driver.name for driver in DRIVERS} | WITHOUT_SERVER == set(MEDIA)


def test_what_was_put_comes_back(media: Media) -> None:
    media.put(PACK, [b"one", bytearray(b"two"), memoryview(b"three")])
    assert media.get(PACK) == b"onetwothree"
    assert media.size(PACK) == 11
    assert media.exists(PACK)


def test_an_empty_file_can_be_stored(media: Media) -> None:
    media.put("config", [])
    assert media.get("config") == b""
    assert list(media.list("")) == [("config", 0)]


def test_a_later_put_replaces_the_file(media: Media) -> None:
    media.put("config", [b"first and longer"])
    media.put("config", [b"second"])
    assert media.get("config") == b"second"


def test_thousands_of_pieces_make_one_file(media: Media) -> None:
    pieces = [bytes([number % 251]) * (number % 7) for number in range(5000)]
    media.put(PACK, pieces)
    assert media.get(PACK) == b"".join(pieces)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(content=st.binary(max_size=200), offset=st.integers(0, 250), length=st.integers(0, 250))
def test_a_range_is_exactly_what_was_asked_or_an_error(media: Media, content: bytes, offset: int, length: int) -> None:
    media.put(PACK, [content])
    if offset + length <= len(content) or length == 0:
        assert media.get(PACK, offset=offset, length=length) == content[offset : offset + length]
    else:
        with pytest.raises(RepositoryDamaged) as caught:
            media.get(PACK, offset=offset, length=length)
        assert caught.value.name == PACK


def test_a_range_to_the_end_needs_no_length(media: Media) -> None:
    media.put(PACK, [b"0123456789"])
    assert media.get(PACK, offset=7) == b"789"


def test_a_truncated_file_is_named(media: Media, driver: Driver, tmp_path: Path) -> None:
    media.put(PACK, [b"x" * 100])
    driver.fill(tmp_path, {PACK: b"x" * 60})
    with pytest.raises(RepositoryDamaged) as caught:
        media.get(PACK, offset=50, length=20)
    assert caught.value.name == PACK
    assert "60" in caught.value.sentence


def test_a_missing_file_is_named(media: Media) -> None:
    assert not media.exists(PACK)
    for call in (media.get, media.size):
        with pytest.raises(FileMissing) as caught:
            call(PACK)
        assert caught.value.name == PACK


def test_deleting_is_idempotent(media: Media) -> None:
    media.put(PACK, [b"x"])
    media.delete(PACK)
    media.delete(PACK)
    assert not media.exists(PACK)
    assert list(media.list("data")) == []


def test_listing_gives_names_below_a_folder_with_their_sizes(media: Media) -> None:
    media.put("data/00/00aa", [b"12"])
    media.put("data/ff/ffbb", [b"123"])
    media.put("index/cc", [b"1"])
    media.put("config", [b""])
    assert sorted(media.list("data")) == [("data/00/00aa", 2), ("data/ff/ffbb", 3)]
    assert sorted(media.list("data/")) == sorted(media.list("data"))
    assert list(media.list("data/00")) == [("data/00/00aa", 2)]
    assert len(list(media.list(""))) == 4
    assert list(media.list("locks")) == []


@pytest.mark.parametrize(
    "name", ["", "/config", "../config", "data/../../x", "data//x", "data/.", "a\0b", "data/", ".hidden", "a\nb", "ü"]
)
def test_a_name_that_could_leave_the_medium_is_refused(media: Media, name: str) -> None:
    for call in (media.get, media.size, media.exists, media.delete):
        with pytest.raises(MediaRefused):
            call(name)
    with pytest.raises(MediaRefused):
        media.put(name, [b"x"])


def test_concurrent_puts_of_one_name_leave_one_whole_file(media: Media) -> None:
    """Tried again as in the product: a server may turn away one of several who write the same at the same moment."""
    contents = [bytes([number]) * 300_000 for number in range(8)]
    putting = Retrying(media, board=MediaBoard(), retries=20, give_up_seconds=60, clock=SystemClock())
    threads = [threading.Thread(target=putting.put, args=(PACK, [content])) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert media.get(PACK) in contents
    assert list(media.list("data")) == [(PACK, 300_000)]


def test_concurrent_puts_of_many_names_all_arrive(media: Media) -> None:
    names = [f"data/{number:02x}/{number:02x}{number:062x}" for number in range(40)]

    def store(part: list[str]) -> None:
        for name in part:
            media.put(name, [name.encode()])

    threads = [threading.Thread(target=store, args=(names[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(media.list("data")) == sorted((name, len(name)) for name in names)


def test_a_forked_child_uses_its_own_medium(driver: Driver, tmp_path: Path) -> None:
    parent = driver.open(tmp_path)
    parent.put("config", [b"parent"])
    child = fork()
    if child == 0:
        code = 1
        try:
            own = driver.open(tmp_path)
            own.put(PACK, [own.get("config"), b" child"])
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert parent.get(PACK) == b"parent child"
    parent.close()


def test_a_forked_child_may_use_the_medium_it_inherited(media: Media) -> None:
    """Readers of a copy are forked with the open medium in their hands, while the parent goes on using it."""
    media.put("config", [b"parent"])
    child = fork()
    if child == 0:
        code = 1
        try:
            for number in range(5):
                name = f"data/cd/cd{number:062x}"
                media.put(name, [media.get("config"), b" child"])
                assert media.get(name) == b"parent child"
            code = 0
        finally:
            os._exit(code)
    for number in range(5):
        media.put(f"data/ab/ab{number:062x}", [b"parent"])
    assert os.waitpid(child, 0)[1] == 0
    assert len(list(media.list("data"))) == 10
    assert media.get("config") == b"parent"


def test_thousands_of_files_are_listed(driver: Driver, media: Media, tmp_path: Path) -> None:
    names = [f"data/{number % 256:02x}/{number % 256:02x}{number:062x}" for number in range(1_200)]
    driver.fill(tmp_path, {name: b"x" * (number % 50) for number, name in enumerate(names)})
    assert sorted(media.list("data")) == sorted((name, number % 50) for number, name in enumerate(names))
    assert len(list(media.list("data/07"))) == 5


def test_a_wrong_secret_is_refused_and_not_repeated(driver: Driver, tmp_path: Path) -> None:
    if driver.wrong_secrets is None:
        return
    wrong = driver.wrong_secrets()
    medium = driver.open(tmp_path, secrets=wrong)
    calls = (medium.get, medium.size, medium.exists, medium.delete, lambda name: medium.put(name, [b"x"]))
    for call in calls:
        with pytest.raises(MediaRefused) as caught:
            call(PACK)
        told = f"{caught.value.sentence} {caught.value.hint}"
        assert caught.value.hint
        assert all(secret.reveal() not in told for secret in wrong.values())
    with pytest.raises(MediaRefused):
        list(medium.list("data"))
    report = medium.test()
    assert [(step.name, step.ok) for step in report.steps] == [("reach", False)]
    medium.close()


def test_where_nobody_listens_it_is_unavailable(driver: Driver, tmp_path: Path) -> None:
    if driver.elsewhere is None:
        return
    medium = driver.open(tmp_path, values=driver.elsewhere())
    for call in (medium.get, medium.size, medium.exists, medium.delete, lambda name: medium.put(name, [b"x"])):
        with pytest.raises(MediaUnavailable) as caught:
            call(PACK)
        assert caught.value.hint
    with pytest.raises(MediaUnavailable):
        list(medium.list("data"))
    assert [(step.name, step.ok) for step in medium.test().steps] == [("reach", False)]
    medium.close()


def test_the_test_measures_every_step_and_leaves_nothing(media: Media) -> None:
    report = media.test()
    assert report.ok
    assert [step.name for step in report.steps] == ["reach", "write", "read", "list", "delete", "free space"]
    assert all(step.seconds >= 0 and step.detail for step in report.steps)
    assert report.usage == media.usage() or report.usage is not None
    assert list(media.list("")) == []


def test_usage_is_plausible(media: Media) -> None:
    usage = media.usage()
    if usage.total_bytes is not None and usage.free_bytes is not None:
        assert 0 < usage.free_bytes <= usage.total_bytes


def test_errors_are_only_those_of_the_tree(media: Media) -> None:
    with pytest.raises(EngineError) as caught:
        media.get(PACK)
    assert caught.value.hint
