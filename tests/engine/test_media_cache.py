"""The local cache of remote media: trees and snapshot files, verified, bounded, safe to lose and never believed."""

from __future__ import annotations

import os
import random
from hashlib import sha256
from pathlib import Path

import pytest

from jobs.engine.media.base import Media
from jobs.engine.media.cached import BLOCK_BYTES, Cached
from jobs.engine.media.wrapping import Wrapper, read_near
from jobs.engine.operations.browse import Browser
from jobs.engine.repository.repository import Repository

from .odd_media import MemoryMedia
from .repositories import PASSWORD, disk_at, fill, new_repository

CONTENT = random.Random(3).randbytes(5 * BLOCK_BYTES + 1000)
PACK = f"data/{sha256(CONTENT).hexdigest()[:2]}/{sha256(CONTENT).hexdigest()}"


class Counting(Wrapper):
    """Remembers the names that were read."""

    def __init__(self, inner: Media) -> None:
        super().__init__(inner)
        self.read: list[str] = []

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self.read.append(name)
        return self.inner.get(name, offset=offset, length=length)


@pytest.fixture
def medium() -> MemoryMedia:
    made = MemoryMedia()
    made.files[PACK] = CONTENT
    return made


def reads(medium: MemoryMedia) -> int:
    return medium.calls.count("get")


def test_pieces_come_back_right_wherever_they_lie_and_the_second_time_from_here(
    medium: MemoryMedia, tmp_path: Path
) -> None:
    drawn = random.Random(1)
    places = [(at, drawn.randint(1, len(CONTENT) - at)) for at in (drawn.randrange(len(CONTENT)) for _ in range(60))]
    places += [(0, 1), (0, len(CONTENT)), (len(CONTENT) - 1, 1), (BLOCK_BYTES - 1, 2), (BLOCK_BYTES, BLOCK_BYTES)]
    cache = Cached(medium, tmp_path)
    for offset, length in places:
        assert read_near(cache, PACK, offset=offset, length=length) == CONTENT[offset : offset + length]
    medium.calls.clear()
    again = Cached(medium, tmp_path)
    for offset, length in places:
        assert read_near(again, PACK, offset=offset, length=length) == CONTENT[offset : offset + length]
    assert medium.calls == []


def test_a_pack_that_is_asked_for_again_is_fetched_ahead(medium: MemoryMedia, tmp_path: Path) -> None:
    cache = Cached(medium, tmp_path)
    for offset in range(0, len(CONTENT), 1000):
        read_near(cache, PACK, offset=offset, length=min(1000, len(CONTENT) - offset))
    assert reads(medium) <= 4


@pytest.mark.parametrize("damage", [b"", b"x" * 40, None], ids=["empty", "rubbish", "one byte"])
def test_a_damaged_block_is_asked_of_the_medium(medium: MemoryMedia, tmp_path: Path, damage: bytes | None) -> None:
    cache = Cached(medium, tmp_path)
    read_near(cache, PACK, offset=0, length=100)
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    stored = path.read_bytes()
    path.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]) if damage is None else damage)
    cache = Cached(medium, tmp_path)
    assert read_near(cache, PACK, offset=0, length=100) == CONTENT[:100]
    assert reads(medium) == 2
    assert read_near(cache, PACK, offset=0, length=100) == CONTENT[:100]
    assert reads(medium) == 2


def test_what_was_damaged_before_it_was_kept_is_asked_for_anew(medium: MemoryMedia, tmp_path: Path) -> None:
    cache = Cached(medium, tmp_path)
    medium.answers = [b"a lie" * (BLOCK_BYTES // 5 + 1)]
    assert read_near(cache, PACK, offset=0, length=100) != CONTENT[:100]
    assert read_near(cache, PACK, offset=0, length=100, is_fresh=True) == CONTENT[:100]
    assert read_near(cache, PACK, offset=0, length=100) == CONTENT[:100]


def test_it_stays_within_its_size_and_drops_what_was_not_used_for_longest(tmp_path: Path) -> None:
    medium = MemoryMedia()
    names = []
    for number in range(12):
        content = random.Random(number).randbytes(BLOCK_BYTES)
        name = sha256(content).hexdigest()
        names.append(f"data/{name[:2]}/{name}")
        medium.files[names[-1]] = content
    cache = Cached(medium, tmp_path, most_bytes=6 * BLOCK_BYTES)
    for age, name in enumerate(names):
        read_near(cache, name, offset=0, length=10)
        for path in tmp_path.rglob(f"{name[8:]}-*"):
            os.utime(path, (age, age))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 6 * BLOCK_BYTES
    assert list(tmp_path.rglob(f"{names[-1][8:]}-0"))
    assert not list(tmp_path.rglob(f"{names[0][8:]}-0"))


def test_a_place_that_cannot_be_written_is_no_failure(medium: MemoryMedia, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = Cached(medium, tmp_path / "file")
    assert read_near(cache, PACK, offset=5, length=100) == CONTENT[5:105]


def test_browsing_again_reads_nothing_but_keys_and_config(tmp_path: Path) -> None:
    filled = fill(new_repository(tmp_path / "repository"))
    for is_first in (True, False):
        counting = Counting(disk_at(tmp_path / "repository"))
        media = Cached(counting, tmp_path / "cache")
        repository = Repository.open(media, PASSWORD)
        browser = Browser.open(repository, filled.snapshot, cache_directory=tmp_path / "index")
        assert len(browser.entries(b"/")) > 0
        kinds = {name.partition("/")[0] for name in counting.read}
        assert kinds == ({"config", "keys", "index", "snapshots", "data"} if is_first else {"config", "keys"})
