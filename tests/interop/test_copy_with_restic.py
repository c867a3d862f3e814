"""Backup copies judged by stock restic: check, restore, and both ways of going on from each other's snapshots."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.operations import restore
from jobs.engine.plan import CopyResult, RestorePlan, SourceRoot, StoredPath, Trust
from tests.engine.copying import Copier, grow_tree
from tests.engine.repositories import PASSWORD, disk_at
from tests.interop.restic import Restic
from tests.odd_tree import DEEP_LEVELS, Described, build_odd_tree, describe_tree

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("restic") is None, reason="stock restic is not installed"),
]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="devices, owners and capabilities need root")


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    return Copier(tmp_path)


@pytest.fixture
def restic(copier: Copier) -> Restic:
    return Restic(repository=copier.path)


ODD_TIMES = {
    b"before 1970": -86_400_000_000_000 * 9000 - 123_456_789,
    b"just before 1970": -1,
    b"nanoseconds": 1_700_000_000_123_456_789,
    b"trailing zeros": 1_700_000_000_120_000_000,
    b"whole second": 1_700_000_000_000_000_000,
    b"in 2242": 8_600_000_000_123_000_000,
    b"in 2413": 14_000_000_000_123_456_789,
}
"""The last is beyond what stock restic 0.14 can set (2262)."""


def _set_odd_times(root: Path) -> None:
    for name, ns in ODD_TIMES.items():
        os.utime(os.path.join(os.fsencode(root), b"times", name), ns=(ns, ns))


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "odd"
    root.mkdir()
    for directory in ("times", "wide"):
        (root / directory).mkdir()
    for name in ODD_TIMES:
        (root / "times" / os.fsdecode(name)).write_bytes(b"t")
    for number in range(10_000):
        (root / "wide" / f"entry {number}").touch()
    build_odd_tree(root)
    _set_odd_times(root)
    yield root
    shutil.rmtree(root, ignore_errors=True)


def _comparable(described: dict[bytes, Described], *, by_stock: bool) -> dict[bytes, Described]:
    """No sockets, no links of links; for stock 0.14 nothing below PATH_MAX, no raw target, no time after 2262."""
    hidden = {b"kinds/socket"}
    if by_stock:
        hidden |= {b"kinds/link", b"kinds/hard link to the link", b"times/in 2413"}
    deep = b"00 " + b"d" * 120
    return {
        path: replace(entry, link_group=b"") if stat.S_ISLNK(entry.mode) else entry
        for path, entry in described.items()
        if path not in hidden and not (by_stock and path.startswith(deep))
    }


@needs_root
def test_the_odd_tree_is_checked_and_restored_by_stock_restic(
    odd: Path, copier: Copier, restic: Restic, tmp_path: Path
) -> None:
    result = copier.copy(odd)
    assert result.counters.exceptions == 0
    assert copier.sink.notices == ["sockets-left-out"]
    restic.judge()
    target = tmp_path / "stock"
    stock = restic.attempt(
        "restore", "latest", "--target", str(target), "--exclude", str(odd / ("00 " + "d" * 120) / "*")
    )
    assert "times" in os.listdir(target / odd.relative_to("/")), stock.stderr
    restored = describe_tree(target / odd.relative_to("/"))
    expected = describe_tree(odd)
    assert _comparable(restored, by_stock=True) == _comparable(expected, by_stock=True)


@needs_root
def test_the_odd_tree_comes_back_from_our_own_restore(odd: Path, copier: Copier, tmp_path: Path) -> None:
    result = copier.copy(odd)
    target = tmp_path / "ours"
    target.mkdir()
    plan = RestorePlan(snapshot_file_id=result.snapshot_file_id, target=target)
    restore.run(plan, disk_at(copier.path), PASSWORD, NullSink(), FreeRun(), SystemClock())
    restored = describe_tree(target / odd.relative_to("/"))
    assert _comparable(restored, by_stock=False) == _comparable(describe_tree(odd), by_stock=False)
    assert sum(path.count(b"/") >= DEEP_LEVELS for path in restored) == 1


@needs_root
@pytest.mark.parametrize("trust", list(Trust))
@pytest.mark.parametrize("with_state", [True, False])
def test_a_second_copy_of_the_odd_tree_reads_nothing_and_stores_nothing(
    odd: Path, copier: Copier, restic: Restic, trust: Trust, with_state: bool
) -> None:
    first = copier.copy(odd, trust=trust, with_state=with_state)
    time.sleep(0.03)
    second = copier.copy(odd, trust=trust, with_state=with_state)
    if trust is Trust.FULL:
        assert second.counters.bytes_read == 0
        assert second.counters.files_unmodified == first.counters.files_done
    assert _below(restic, first, odd) == _below(restic, second, odd)
    restic.judge()


def _below(restic: Restic, result: CopyResult, path: Path) -> list[str]:
    listing = restic.run("ls", "--long", result.snapshot_file_id, str(path))
    return [line for line in listing.splitlines() if line.startswith(("-", "d", "l", "L"))]


def test_stock_restic_goes_on_from_our_copy_without_reading(copier: Copier, restic: Restic, tmp_path: Path) -> None:
    source = tmp_path / "source"
    files = grow_tree(source)
    ours = copier.copy(source)
    summary = [
        line
        for line in restic.run("backup", "--json", "--parent", ours.snapshot_file_id, str(source)).splitlines()
        if '"summary"' in line
    ]
    assert f'"files_unmodified":{files}' in summary[-1]
    assert '"data_blobs":0' in summary[-1]
    restic.judge()


@pytest.mark.parametrize("trust", list(Trust))
def test_we_go_on_from_a_copy_of_stock_restic_without_reading(
    copier: Copier, restic: Restic, tmp_path: Path, trust: Trust
) -> None:
    source = tmp_path / "source"
    files = grow_tree(source)
    time.sleep(0.03)
    restic.run("backup", str(source))
    copier.last = restic.json("snapshots")[-1]["id"]
    result = copier.copy(source, trust=trust)
    if trust is Trust.FULL:
        assert result.counters.files_unmodified == files
        assert result.counters.bytes_read == 0
    assert result.parent_used is not None
    restic.judge()


def test_several_roots_are_one_snapshot_file(copier: Copier, restic: Restic, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    grow_tree(one, directories=3, files=3)
    grow_tree(two, directories=3, files=3)
    elsewhere = SourceRoot(directory=two, stored_as=StoredPath("/srv/ümlaut dir/data".encode()))
    copier.copy(one, elsewhere)
    snapshot = restic.json("snapshots")[-1]
    assert snapshot["paths"] == ["/srv/ümlaut dir/data", str(one)]
    assert snapshot["hostname"] == "server"
    assert snapshot["tags"] == ["a tag"]
    target = tmp_path / "target"
    restic.run("restore", "latest", "--target", str(target))
    assert describe_tree(target / "srv/ümlaut dir/data") == describe_tree(two)
    assert describe_tree(target / one.relative_to("/")) == describe_tree(one)
    restic.judge()


def test_a_root_stored_as_the_whole_file_system_has_no_chain_above_it(
    copier: Copier, restic: Restic, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    grow_tree(source, directories=3, files=2)
    copier.copy(SourceRoot(directory=source, stored_as=StoredPath(b"/")))
    assert "/a0/b0/c0/f1" in restic.run("ls", "latest")
    assert restic.json("snapshots")[-1]["paths"] == ["/"]
    restic.judge()


@pytest.mark.slow
def test_large_files_and_holes_are_restored_byte_for_byte(copier: Copier, restic: Restic, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "random").write_bytes(os.urandom(40 << 20))
    (source / "zeros").write_bytes(bytes(24 << 20))
    (source / "text").write_bytes(b"the same line again and again\n" * (1 << 20))
    with open(source / "sparse", "wb") as file:
        file.truncate(200 << 20)
        file.seek(150 << 20)
        file.write(os.urandom(5 << 20))
    (source / "exactly a window").write_bytes(os.urandom(4 << 20) * 5)
    first = copier.copy(source)
    assert first.counters.bytes_stored < 80 << 20
    sparse = os.stat(source / "sparse")
    assert first.counters.bytes_read < first.counters.bytes_done - sparse.st_size + sparse.st_blocks * 512 + (20 << 20)
    restic.run("restore", "latest", "--target", str(tmp_path / "stock"))
    assert describe_tree(tmp_path / "stock" / source.relative_to("/")) == describe_tree(source)
    (tmp_path / "ours").mkdir()
    plan = RestorePlan(snapshot_file_id=first.snapshot_file_id, target=tmp_path / "ours")
    restore.run(plan, disk_at(copier.path), PASSWORD, NullSink(), FreeRun(), SystemClock())
    restored = tmp_path / "ours" / source.relative_to("/")
    assert describe_tree(restored) == describe_tree(source)
    assert os.stat(restored / "sparse").st_blocks * 512 < 12 << 20
    restic.judge()
