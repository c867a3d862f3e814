"""A restore from a medium behind a network: how often it is asked, for every request costs a way there and back."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.media.base import Media
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.layers import Limits, layered
from jobs.engine.media.wrapping import Wrapper
from jobs.engine.operations import restore
from jobs.engine.operations.restoring import files, segments
from jobs.engine.plan import RestorePlan
from jobs.engine.repository import config
from tests.interop.restic import Restic

from .repositories import PASSWORD, new_repository
from .restores import latest, medium

_POLYNOMIAL = 0x3DA3358B4DC173
"""restic's own for its tests."""
_FAR = Limits(transfers=8, retries=0, timeout_seconds=None)
_NEAR = Limits(transfers=None, retries=0, timeout_seconds=None)


class Noted(Wrapper):
    """Writes the name of every file that is read to a file of its own: workers are processes."""

    def __init__(self, inner: Media, notes: Path) -> None:
        super().__init__(inner)
        self._notes = notes

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        with self._notes.open("a") as file:
            file.write(f"{name}\n")
        return self.inner.get(name, offset=offset, length=length)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A large file in packs of 4 MiB that stock restic wrote, two at a time; always cut at the same places."""
    source = tmp_path / "source"
    source.mkdir()
    numbers = random.Random(5)
    (source / "large").write_bytes(numbers.randbytes(40 << 20))
    restic = Restic(repository=tmp_path / "repository", password=PASSWORD.reveal())
    monkeypatch.setattr(config, "random_irreducible", lambda: _POLYNOMIAL)
    new_repository(restic.repository)
    restic.run("backup", "--pack-size", "4", str(source))
    return restic.repository


def restored(repository: Path, limits: Limits, notes: Path, target: Path) -> Counter[str]:
    """How often each large pack was asked for."""
    noted = Noted(medium(repository), notes)
    media = layered(noted, limits, board=MediaBoard(), is_throttled=False)
    plan = RestorePlan(snapshot_file_id=latest(repository), target=target, readers=3)
    restore.run(plan, media, PASSWORD, NullSink(), FreeRun(), SystemClock())
    large = {path.name for path in (repository / "data").rglob("*") if path.is_file() and path.stat().st_size > 1 << 20}
    return Counter(name for line in notes.read_text().split() if (name := line.rpartition("/")[2]) in large)


@pytest.mark.interop
def test_each_pack_of_a_large_file_is_asked_for_once(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGE_BYTES", 8 << 20)
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 8 << 20)
    far = restored(repository, _FAR, tmp_path / "far", tmp_path / "from far")
    assert len(far) >= 6
    assert set(far.values()) == {1}
    near = restored(repository, _NEAR, tmp_path / "near", tmp_path / "from near")
    assert near.total() > far.total(), "where asking costs nothing, smaller parts take less memory"
