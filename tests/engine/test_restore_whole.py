"""Whole restores of what stock restic backed up: everything identical, for every way restic stores blobs."""

from __future__ import annotations

import os
import random
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun
from jobs.engine.operations import backup_copy
from jobs.engine.operations.restoring import files, segments, visiting
from jobs.engine.plan import CopyPlan, Overwrite, SourceRoot, StoredPath
from tests import odd_tree
from tests.engine.repositories import PASSWORD, new_repository
from tests.engine.restores import Record, leftovers, medium, run_restore
from tests.interop.restic import Restic
from tests.odd_tree import Described, build_odd_tree, describe_tree

pytestmark = pytest.mark.interop
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="devices and owners need root")


@pytest.fixture
def restic(tmp_path: Path) -> Restic:
    new_repository(tmp_path / "repository")
    return Restic(repository=tmp_path / "repository")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    return path


def landed(target: Path, source: Path) -> Path:
    """Where a whole restore puts an absolute path that was backed up."""
    return target / source.relative_to("/")


def as_stored(tree: dict[bytes, Described]) -> dict[bytes, Described]:
    """What stock restic keeps: no sockets, and link targets that are not UTF-8 only in later versions."""
    kept = {path: entry for path, entry in tree.items() if not stat.S_ISSOCK(entry.mode)}
    return {
        path: replace(entry, digest="", size=0)
        if (stat.S_ISLNK(entry.mode) and "ff" in entry.digest) or "efbfbd" in entry.digest
        else entry
        for path, entry in kept.items()
    }


@pytest.fixture
def depth_restic_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock restic goes by paths, which the kernel limits; ours goes deeper, see the backup copy's tests."""
    monkeypatch.setattr(odd_tree, "DEEP_LEVELS", 20)


@needs_root
@pytest.mark.usefixtures("depth_restic_reaches")
@pytest.mark.parametrize("compression", ["off", "auto", "max"])
def test_an_odd_tree_comes_back_identical(restic: Restic, source: Path, tmp_path: Path, compression: str) -> None:
    build_odd_tree(source)
    restic.run("backup", "--compression", compression, str(source))
    record = Record()
    result = run_restore(restic.repository, tmp_path / "target", record=record)
    assert record.failures == {}
    assert record.notices == []
    assert result.counters.exceptions == 0
    assert as_stored(describe_tree(landed(tmp_path / "target", source))) == as_stored(describe_tree(source))
    assert leftovers(tmp_path / "target") == []


@needs_root
@pytest.mark.usefixtures("depth_restic_reaches")
def test_our_restore_equals_the_one_of_stock_restic(restic: Restic, source: Path, tmp_path: Path) -> None:
    build_odd_tree(source)
    restic.run("backup", str(source))
    restic.attempt("restore", "latest", "--target", str(tmp_path / "theirs"))
    run_restore(restic.repository, tmp_path / "ours")
    theirs = describe_tree(landed(tmp_path / "theirs", source))
    ours = describe_tree(landed(tmp_path / "ours", source))
    assert set(ours) == set(theirs)
    differing = {path for path in ours if replace(ours[path], link_group=b"") != replace(theirs[path], link_group=b"")}
    assert differing == set()


@needs_root
def test_what_our_own_copy_stored_comes_back_at_any_depth(restic: Restic, source: Path, tmp_path: Path) -> None:
    build_odd_tree(source)
    root = SourceRoot(directory=source, stored_as=StoredPath(b"/srv/odd"))
    backup_copy.run(
        CopyPlan(roots=(root,), hostname="h", username="u", taken_at_ns=time.time_ns()),
        medium(restic.repository),
        PASSWORD,
        Record(),
        FreeRun(),
        SystemClock(),
    )
    record = Record()
    run_restore(restic.repository, tmp_path / "target", record=record, readers=3)
    assert record.failures == {}
    ours, theirs = describe_tree(tmp_path / "target" / "srv" / "odd"), describe_tree(source)
    assert ours == {path: entry for path, entry in theirs.items() if not stat.S_ISSOCK(entry.mode)}
    run_restore(restic.repository, tmp_path / "target", overwrite=Overwrite.ALWAYS)
    assert describe_tree(tmp_path / "target" / "srv" / "odd") == ours


def test_the_directories_above_the_source_come_back_too(restic: Restic, source: Path, tmp_path: Path) -> None:
    source.parent.chmod(0o711)
    os.utime(source.parent, ns=(1, 10**18))
    restic.run("backup", str(source))
    run_restore(restic.repository, tmp_path / "target")
    above = landed(tmp_path / "target", source).parent.stat()
    assert stat.S_IMODE(above.st_mode) == 0o711


def test_thousands_of_small_files_in_many_directories(restic: Restic, source: Path, tmp_path: Path) -> None:
    numbers = random.Random(3)
    for folder in range(60):
        (source / f"d{folder % 7}" / f"e{folder}").mkdir(parents=True)
        for number in range(30):
            content = numbers.randbytes(numbers.randrange(3000)) if number % 3 else b"same again"
            (source / f"d{folder % 7}" / f"e{folder}" / f"f{number}").write_bytes(content)
    restic.run("backup", str(source))
    result = run_restore(restic.repository, tmp_path / "target", readers=4)
    assert describe_tree(landed(tmp_path / "target", source)) == describe_tree(source)
    assert result.counters.files_done == result.counters.files_new == 1800
    assert result.counters.bytes_done == sum(path.stat().st_size for path in source.rglob("f*"))


def test_a_very_large_directory_is_shared_out(
    restic: Restic, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visiting, "SLICE_ENTRIES", 20)
    for number in range(300):
        (source / f"file {number}").write_bytes(b"%d" % number)
    (source / "below").mkdir()
    (source / "below" / "x").touch()
    restic.run("backup", str(source))
    run_restore(restic.repository, tmp_path / "target", readers=3)
    assert describe_tree(landed(tmp_path / "target", source)) == describe_tree(source)


def test_large_files_are_restored_in_segments_by_all_workers(
    restic: Restic, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGE_BYTES", 3 << 20)
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 2 << 20)
    numbers = random.Random(5)
    (source / "large").write_bytes(numbers.randbytes(25 << 20))
    (source / "holes").write_bytes(numbers.randbytes(1 << 20) + bytes(30 << 20) + b"end" + bytes(5 << 20))
    restic.run("backup", str(source))
    record = Record()
    result = run_restore(restic.repository, tmp_path / "target", readers=3, record=record)
    assert describe_tree(landed(tmp_path / "target", source)) == describe_tree(source)
    assert result.counters.bytes_done == (25 << 20) + (36 << 20) + 3
    holes = (landed(tmp_path / "target", source) / "holes").stat()
    assert holes.st_blocks * 512 < 4 << 20


@pytest.mark.parametrize("sparse", [True, False])
def test_holes_stay_holes_unless_they_are_not_wanted(
    restic: Restic, source: Path, tmp_path: Path, sparse: bool
) -> None:
    with open(source / "sparse", "wb") as file:
        file.write(b"begin")
        file.seek(700_000)
        file.write(b"middle")
        file.truncate(1_500_000)
    restic.run("backup", str(source))
    run_restore(restic.repository, tmp_path / "target", sparse=sparse)
    restored = landed(tmp_path / "target", source) / "sparse"
    assert restored.read_bytes() == (source / "sparse").read_bytes()
    assert (restored.stat().st_blocks * 512 < 100_000) is sparse


def test_hard_links_across_many_directories_become_one_file(restic: Restic, source: Path, tmp_path: Path) -> None:
    for number in range(40):
        (source / f"d{number}").mkdir()
        (source / f"d{number}" / "own").write_bytes(b"%d" % number)
    for number in range(25):
        first = source / f"d{number}" / f"linked {number}"
        first.write_bytes(b"shared %d" % number * 50_000 if number % 5 == 0 else b"shared %d" % number)
        for other in range(40):
            if other != number:
                os.link(first, source / f"d{other}" / f"linked {number}")
    restic.run("backup", str(source))
    run_restore(restic.repository, tmp_path / "target", readers=4)
    assert describe_tree(landed(tmp_path / "target", source)) == describe_tree(source)
    assert leftovers(tmp_path / "target") == []


def test_only_the_chosen_paths_come_back(restic: Restic, source: Path, tmp_path: Path) -> None:
    for name in ("a/x", "a/y", "b/x", "c"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(name.encode())
    restic.run("backup", str(source))
    chosen = tuple(StoredPath(os.fsencode(source / name)) for name in ("a/x", "b"))
    result = run_restore(restic.repository, tmp_path / "target", paths=chosen)
    root = landed(tmp_path / "target", source)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["a", "a/x", "b", "b/x"]
    assert result.counters.files_done == 2


def test_a_prefix_can_be_left_out(restic: Restic, source: Path, tmp_path: Path) -> None:
    (source / "a").mkdir()
    (source / "a" / "x").write_bytes(b"x")
    restic.run("backup", str(source))
    prefix = StoredPath(os.fsencode(source))
    run_restore(restic.repository, tmp_path / "t1", strip_prefix=prefix)
    assert describe_tree(tmp_path / "t1" / "a") == describe_tree(source / "a")
    run_restore(
        restic.repository,
        tmp_path / "t2",
        strip_prefix=StoredPath(prefix + b"/a"),
        paths=(StoredPath(prefix + b"/a/x"),),
    )
    assert [path.name for path in (tmp_path / "t2").iterdir()] == ["x"]


def test_a_restore_in_place_brings_back_what_was_deleted_and_changed(
    restic: Restic, source: Path, tmp_path: Path
) -> None:
    (source / "deleted").write_bytes(b"deleted")
    (source / "changed").write_bytes(b"before")
    (source / "kept").write_bytes(b"kept")
    before = describe_tree(source)
    restic.run("backup", str(source))
    (source / "deleted").unlink()
    (source / "changed").write_bytes(b"after!")
    (source / "new").write_bytes(b"new")
    run_restore(restic.repository, Path("/"), paths=(StoredPath(os.fsencode(source)),), overwrite=Overwrite.ALWAYS)
    (source / "new").unlink()
    os.utime(source, ns=(0, before[b""].mtime_ns))
    assert describe_tree(source) == before


def test_without_metadata_only_contents_come_back(restic: Restic, source: Path, tmp_path: Path) -> None:
    (source / "run").write_bytes(b"x")
    (source / "run").chmod(0o4711)
    os.utime(source / "run", ns=(1, 1))
    restic.run("backup", str(source))
    run_restore(restic.repository, tmp_path / "target", with_metadata=False)
    restored = (landed(tmp_path / "target", source) / "run").stat()
    assert stat.S_IMODE(restored.st_mode) & 0o7111 == 0
    assert restored.st_mtime_ns > 10**18
    assert stat.S_IMODE(landed(tmp_path / "target", source).stat().st_mode) & 0o1700 == 0o700


def test_a_restore_tells_its_phases_and_its_totals(restic: Restic, source: Path, tmp_path: Path) -> None:
    (source / "x").write_bytes(b"12345")
    restic.run("backup", str(source))
    record = Record()
    result = run_restore(restic.repository, tmp_path / "target", record=record)
    assert record.phases == ["prepare", "restore", "finish"]
    assert record.progress[-1].counters == result.counters
    assert (result.counters.files_total, result.counters.bytes_total) == (1, 5)
    assert not list((restic.repository / "locks").iterdir())
