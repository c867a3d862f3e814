"""What may be a root of a copy, what is refused, and how kinds of files and links arrive."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import (
    InvalidOptions,
    RepositoryMissing,
    SourceMissing,
    WrongPassword,
)
from jobs.engine.events import FreeRun
from jobs.engine.operations import backup_copy
from jobs.engine.operations.copy_pipeline.sizing import sizing
from jobs.engine.plan import CopySettings, Secret, SourceRoot, StoredPath
from jobs.engine.repository.tree import NodeKind

from .copying import Copier, grow_tree, nodes_of
from .repositories import PASSWORD, disk_at

PIPELINE = "jobs.engine.operations.copy_pipeline"


@pytest.fixture(autouse=True)
def _no_waiting_for_other_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.engine.repository.lock.SETTLE_SECONDS", 0.0)


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    return Copier(tmp_path, at_top=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    grow_tree(root, directories=12, files=6)
    return root


def test_a_root_inside_another_is_copied_once(copier: Copier, source: Path) -> None:
    result = copier.copy(
        *[SourceRoot(directory=at, stored_as=StoredPath(os.fsencode(at))) for at in (source, source / "a1")]
    )
    assert result.counters.files_done == 72


def test_roots_that_clash_are_refused(copier: Copier, source: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    inside = SourceRoot(directory=elsewhere, stored_as=StoredPath(b"/source/a1"))
    with pytest.raises(InvalidOptions, match="lies inside"):
        copier.copy(source, inside)
    with pytest.raises(InvalidOptions):
        copier.run(copier.plan())
    with pytest.raises(InvalidOptions, match="not a directory"):
        copier.copy(source / "a1/b1/c1/f2")
    with pytest.raises(InvalidOptions, match="absolute"):
        copier.copy(SourceRoot(directory=source, stored_as=StoredPath(b"relative")))


def test_what_does_not_exist_is_named(copier: Copier, source: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="not there"):
        copier.copy(source, tmp_path / "not there")
    assert copier.locks == []
    plan = copier.plan(source)
    with pytest.raises(WrongPassword):
        backup_copy.run(plan, disk_at(copier.path), Secret("wrong"), copier.sink, FreeRun(), SystemClock())
    with pytest.raises(RepositoryMissing):
        backup_copy.run(plan, disk_at(tmp_path / "no"), PASSWORD, copier.sink, FreeRun(), SystemClock())


def test_the_number_of_readers_is_bounded_by_memory() -> None:
    assert sizing(CopySettings(readers=64)).readers < 8
    assert sizing(CopySettings(readers=64, memory_bytes=16 << 30)).readers == 64
    assert sizing(CopySettings(readers=4, memory_bytes=1)).readers == 1
    assert sizing(CopySettings(readers=0)).readers == 1


def test_links_are_one_file_and_kinds_are_kept(copier: Copier, tmp_path: Path) -> None:
    source = tmp_path / "kinds"
    source.mkdir()
    (source / "one").write_bytes(b"1")
    os.link(source / "one", source / "two")
    os.mkfifo(source / "pipe")
    (source / "link").symlink_to("one")
    nodes = nodes_of(copier, copier.copy(source), source)
    assert nodes["/one"].inode == nodes["/two"].inode
    assert nodes["/one"].device_id == nodes["/two"].device_id == 1
    assert nodes["/one"].links == 2
    assert nodes["/pipe"].kind is NodeKind.FIFO
    assert nodes["/link"].link_target == b"one"
