"""A storm of faults between a copy and its medium: a tenth of all requests is cut, refused, delayed, truncated or
answered with lies. Nothing is lost, stock restic finds nothing wrong, and what must be given up is told as such.
"""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import MediaUnavailable
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.ids import FileId
from jobs.engine.media.base import Media
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.layers import Limits, layered
from jobs.engine.operations import backup_copy, check, restore
from jobs.engine.operations.rotation import Pace
from jobs.engine.plan import CopyPlan, CopySettings, RestorePlan, SourceRoot, StoredPath
from jobs.engine.repository.repository import Repository
from tests.contracts.media_drivers import REST, S3, Driver
from tests.engine.repositories import PASSWORD, QUICK
from tests.fault_proxy import Fault, FaultProxy

from .restic import Restic

pytestmark = pytest.mark.interop

SHARE = 0.1
LIMITS = Limits(transfers=6, retries=12, timeout_seconds=20.0)
_SINK, _CONTROL, _CLOCK = NullSink(), FreeRun(), SystemClock()


def grow(source: Path, *, seed: int) -> None:
    """About 12 MiB in files of all sizes."""
    drawn = random.Random(seed)
    for folder in range(12):
        (source / f"folder-{folder}").mkdir(parents=True)
        for number in range(20):
            (source / f"folder-{folder}" / f"{number}").write_bytes(drawn.randbytes(int(drawn.expovariate(1 / 20_000))))
    for number in range(2):
        (source / f"large-{number}").write_bytes(drawn.randbytes(4_000_000))


def copy(media: Media, source: Path, parent: FileId | None = None) -> FileId:
    root = SourceRoot(directory=source, stored_as=StoredPath(os.fsencode(source)))
    settings = CopySettings(pack_bytes=256 << 10, readers=2)
    taken = _CLOCK.now_ns()
    plan = CopyPlan(
        roots=(root,), hostname="storm", username="test", taken_at_ns=taken, parent=parent, settings=settings
    )
    return backup_copy.run(plan, media, PASSWORD, _SINK, _CONTROL, _CLOCK).snapshot_file_id


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("driver", [REST, S3], ids=lambda driver: driver.name)
def test_a_copy_a_restore_and_a_check_survive_a_storm(driver: Driver, tmp_path: Path) -> None:
    source, place, target = tmp_path / "source", tmp_path / tmp_path.name, tmp_path / "target"
    grow(source, seed=1)
    repository = driver.file(place, "")
    repository.mkdir()
    board = MediaBoard()
    with FaultProxy(driver.port(place), share=0, seed=7) as proxy, ExitStack() as stack:
        media = layered(driver.open_through(place, proxy.port), LIMITS, board=board)
        stack.callback(media.close)
        Repository.create(media, PASSWORD, cost=QUICK)
        proxy.share = SHARE
        first = copy(media, source)
        (source / "later").write_bytes(b"later")
        second = copy(media, source, first)
        plan = RestorePlan(snapshot_file_id=second, target=target, strip_prefix=StoredPath(os.fsencode(source)))
        restore.run(plan, media, PASSWORD, _SINK, _CONTROL, _CLOCK)
        everything = check.CheckPlan(pace=Pace(percent=100))
        found = check.run(everything, media, PASSWORD, _SINK, _CONTROL, _CLOCK)
    assert found.ok, found.problems
    assert contents(target) == contents(source)
    assert sum(proxy.faults.values()) >= 8
    assert board.troubles().retries >= 3
    restic = Restic(repository=repository)
    assert "no errors were found" in restic.run("check", "--read-data")
    assert len(restic.json("snapshots")) == 2
    assert not list((repository / "locks").iterdir())


def test_a_medium_that_stays_away_is_given_up_in_time_and_an_earlier_copy_is_whole(tmp_path: Path) -> None:
    source, place = tmp_path / "source", tmp_path / "repository"
    grow(source, seed=2)
    place.mkdir()
    away = (Fault.CUT_BEFORE, Fault.UNAVAILABLE, Fault.BROKEN)
    with FaultProxy(REST.port(place), share=0, seed=7, only=away) as proxy, ExitStack() as stack:
        limits = Limits(transfers=4, retries=2, timeout_seconds=20)
        media = layered(REST.open_through(place, proxy.port), limits, board=MediaBoard())
        stack.callback(media.close)
        Repository.create(media, PASSWORD, cost=QUICK)
        copy(media, source)
        (source / "more").write_bytes(os.urandom(3_000_000))
        proxy.share = 1.0
        with pytest.raises(MediaUnavailable):
            copy(media, source)
    assert len(Restic(repository=place).json("snapshots")) == 1
    assert "no errors were found" in Restic(repository=place).run("check", "--read-data")
