"""Reverting a btrfs subvolume at one moment, on a real mount: when it is exchanged, what a kill leaves (S6)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.engine.events import FreeRun
from jobs.engine.snapshots.btrfs.engine import BtrfsEngine, BtrfsOptions
from tests.odd_tree import build_odd_tree, describe_tree

from .snapshot_drivers import INSTALL, named
from .test_snapshot_revert import plan, spoil_content, written

pytestmark = pytest.mark.system

RUN = FreeRun()
CHECKOUT = Path(__file__).parents[2]


def btrfs(*arguments: str | Path) -> None:
    subprocess.run(["btrfs", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def volume(btrfs_mount: Path) -> Path:
    """A subvolume that is no mount point, as one made for a share."""
    btrfs("subvolume", "create", btrfs_mount / "share")
    return btrfs_mount / "share"


def make(volume: Path) -> BtrfsEngine:
    return BtrfsEngine(BtrfsOptions(volume=volume), INSTALL)


def test_S6_a_subvolume_is_exchanged_at_one_moment_with_all_its_snapshots(volume: Path) -> None:
    engine = make(volume)
    build_odd_tree(volume)
    before = describe_tree(volume)
    engine.create(named(9), [str(volume)], RUN)
    ref = engine.create(named(1), [str(volume)], RUN)
    spoil_content(volume)
    later = engine.create(named(2), [str(volume)], RUN)
    told = plan(engine, ref)
    assert told.is_exchanged
    assert told.removed >= 6
    done = engine.revert(ref, RUN)
    assert done.is_exchanged
    assert not done.warnings
    got = describe_tree(volume)
    assert {path for path in got if not path.startswith(b".snapcopy")} == set(before)
    assert all(got[path] == before[path] for path in before if path)
    assert sorted(one.name for one in engine.list()) == [named(1), named(2), named(9)]
    assert sorted(os.listdir(volume.parent)) == ["share"]
    assert engine.was_exchanged_since(later)
    (volume / "written").write_text("it can be written to")
    fresh = engine.create(named(3), [str(volume)], RUN)
    assert not engine.was_exchanged_since(fresh)
    engine.revert(later, RUN)
    assert (volume / "new directory" / "below" / "file").read_text() == "came later"


KILLED_EXCHANGE = """
import os, signal, sys
from pathlib import Path
from jobs.engine.events import FreeRun
from jobs.engine.snapshots.btrfs import revert as btrfs_revert
from jobs.engine.snapshots.btrfs.engine import BtrfsEngine, BtrfsOptions

def die(*_arguments, **_names):
    os.kill(os.getpid(), signal.SIGKILL)

volume, install, name, where = sys.argv[1:]
engine = BtrfsEngine(BtrfsOptions(volume=Path(volume)), install)
(ref,) = [ref for ref in engine.list() if ref.name == name]
if where == "before the exchange":
    btrfs_revert._exchange = die
elif where == "before the area moved":
    os.rename = die
else:
    engine._progs.delete = die
engine.revert(ref, FreeRun())
"""


@pytest.mark.parametrize("where", ["before the exchange", "before the area moved", "before the old one went"])
def test_S6_an_exchange_killed_anywhere_loses_nothing_and_is_settled_by_whoever_comes_next(
    volume: Path, where: str
) -> None:
    engine = make(volume)
    (volume / "file").write_text("before")
    ref = engine.create(named(1), [str(volume)], RUN)
    (volume / "file").write_text("after")
    command = [sys.executable, "-c", KILLED_EXCHANGE, str(volume), INSTALL, ref.name, where]
    assert subprocess.run(command, check=False, cwd=CHECKOUT).returncode == -signal.SIGKILL
    assert len(os.listdir(volume.parent)) == 2
    assert [one.name for one in make(volume).list()] == [ref.name]
    assert os.listdir(volume.parent) == ["share"]
    assert (volume / "file").read_text() == ("after" if where == "before the exchange" else "before")
    engine.revert(ref, RUN)
    assert (volume / "file").read_text() == "before"


@pytest.mark.parametrize("why", ["a mount point", "a subvolume inside it", "is open in", "a part of the subvolume"])
def test_what_cannot_be_exchanged_safely_is_reverted_file_by_file_and_says_why(volume: Path, why: str) -> None:
    engine, content = make(volume), volume
    (volume / "data").mkdir()
    (volume / "data" / "file").write_text("before")
    if why == "a mount point":
        (volume.parent / "elsewhere").mkdir()
        subprocess.run(["mount", "--bind", str(volume), str(volume.parent / "elsewhere")], check=True)
    elif why == "a subvolume inside it":
        btrfs("subvolume", "create", volume / "data" / "inner")
        (volume / "data" / "inner" / "own").write_text("its own")
    elif why == "a part of the subvolume":
        content = volume / "data"
    ref = engine.create(named(1), [str(content)], RUN)
    (volume / "data" / "file").write_text("after")
    with written(volume / "data" / "file", "r") if why == "is open in" else written(Path("/dev/null")):
        assert any(why in warning for warning in plan(engine, ref).warnings)
        done = engine.revert(ref, RUN)
    assert not done.is_exchanged
    assert done.replaced == 1
    assert (volume / "data" / "file").read_text() == "before"
    if why == "a subvolume inside it":
        assert (volume / "data" / "inner" / "own").read_text() == "its own"
    assert engine.was_exchanged_since(ref) is False
