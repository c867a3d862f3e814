"""Repositories on object stores that we wrote and stock restic reads by its own backends, and the reverse."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.media.base import Media
from jobs.engine.operations import backup_copy, restore
from jobs.engine.plan import CopyPlan, CopySettings, RestorePlan, SourceRoot, StoredPath
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import LATEST, find_snapshot_file
from tests.contracts.media_drivers import AZURE, GCS, S3, Driver
from tests.engine.copying import SETTLED_NS
from tests.engine.repositories import PASSWORD, QUICK

from .restic import Restic
from .stock_ways import WAYS

pytestmark = pytest.mark.interop


@pytest.fixture
def media(driver: Driver, tmp_path: Path) -> Iterator[Media]:
    medium = driver.open(tmp_path)
    yield medium
    medium.close()


@pytest.fixture
def restic(driver: Driver, tmp_path: Path) -> Restic:
    return WAYS[driver.name].restic(tmp_path, password=PASSWORD.reveal())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for number in range(60):
        folder = root / f"folder {number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file {number}").write_bytes(bytes([number]) * (number * 3001))
    return root


def _plan(root: Path) -> CopyPlan:
    return CopyPlan(
        roots=(SourceRoot(directory=root, stored_as=StoredPath(b"/tree")),),
        hostname="server",
        username="tester",
        taken_at_ns=time.time_ns() + SETTLED_NS,
        find_parent=True,
        settings=CopySettings(readers=2),
    )


def _content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("driver", [S3, AZURE, GCS], ids=lambda driver: driver.name)
def test_what_forked_readers_copied_is_checked_and_restored_by_restic(
    media: Media, restic: Restic, tree: Path, tmp_path: Path
) -> None:
    Repository.create(media, PASSWORD, cost=QUICK)
    for name in ("first", "second"):
        (tree / "new").write_bytes(name.encode() * 50_000)
        backup_copy.run(_plan(tree), media, PASSWORD, NullSink(), FreeRun(), SystemClock())
    restic.judge()
    restic.run("restore", "latest", "--target", str(tmp_path / "back"))
    assert _content(tmp_path / "back" / "tree") == _content(tree)
    assert len(restic.json("snapshots")) == 2


@pytest.mark.parametrize("driver", [S3], ids=lambda driver: driver.name)
def test_what_restic_wrote_is_restored_and_copied_onto(
    media: Media, restic: Restic, tree: Path, tmp_path: Path
) -> None:
    restic.run("init", "--repository-version", "2")
    restic.run("backup", ".", cwd=tree)
    repository = Repository.open(media, PASSWORD)
    (file_id,) = [find_snapshot_file(repository, LATEST).id]
    assert file_id is not None
    plan = RestorePlan(snapshot_file_id=file_id, target=tmp_path / "back")
    restore.run(plan, media, PASSWORD, NullSink(), FreeRun(), SystemClock())
    assert sorted(_content(tmp_path / "back").values()) == sorted(_content(tree).values())
    backup_copy.run(_plan(tree), media, PASSWORD, NullSink(), FreeRun(), SystemClock())
    restic.judge()
