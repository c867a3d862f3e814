"""What of CephFS can be held without a cluster: that nothing else is taken for it, and what its refusals mean.

With one, ``SNAPCOPY_TEST_CEPHFS=/mount`` adds it to the contract of all engines (:mod:`snapshot_drivers`).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jobs.engine.errors import EngineError, EngineUnsupported, InvalidOptions, NoSpace, SnapshotNotOurs, StorageBusy
from jobs.engine.events import FreeRun
from jobs.engine.ids import SnapshotName
from jobs.engine.snapshots import cephfs
from jobs.engine.snapshots.base import SnapshotRef
from jobs.engine.snapshots.cephfs import CephfsEngine, CephfsOptions
from jobs.engine.snapshots.registry import ENGINES

from .snapshot_drivers import INSTALL, named

RUN = FreeRun()


@pytest.fixture
def engine(tmp_path: Path) -> CephfsEngine:
    return CephfsEngine(CephfsOptions(directory=tmp_path), INSTALL)


def test_another_file_system_is_not_taken_for_cephfs(engine: CephfsEngine, tmp_path: Path) -> None:
    with pytest.raises(EngineUnsupported, match="not CephFS"):
        engine.create(named(1), [str(tmp_path)], RUN)
    report = engine.test()
    assert [(step.name, step.ok) for step in report.steps] == [("storage", False)]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["_daily_1099511627776", "daily", "sc-otherone-7-1", f"_sc-{INSTALL}-7-1_1"])
def test_O2_snapshots_of_others_and_of_directories_above_are_not_ours(engine: CephfsEngine, name: str) -> None:
    with pytest.raises(SnapshotNotOurs):
        engine.delete(SnapshotRef(name=SnapshotName(name), engine="cephfs", taken_at_ns=0, content=("/x",)))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EMLINK, NoSpace),
        (errno.EPERM, InvalidOptions),
        (errno.EACCES, InvalidOptions),
        (errno.EEXIST, StorageBusy),
    ],
)
def test_refusals_of_mkdir_become_errors_of_ours_and_leave_nothing(
    engine: CephfsEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[EngineError]
) -> None:
    """A fake in this much: the directory is said to be on CephFS, and mkdir in .snap is refused as Ceph's MDS does."""
    mkdir = os.mkdir

    def refuses(path: os.PathLike[str], mode: int = 0o777) -> None:
        if ".snap/" in str(path):
            raise OSError(number, os.strerror(number))
        mkdir(path, mode)

    monkeypatch.setattr(cephfs, "file_system_type", lambda _device: "ceph")
    monkeypatch.setattr(os, "mkdir", refuses)
    with pytest.raises(kind) as failure:
        engine.create(named(1), [str(tmp_path)], RUN)
    assert type(failure.value) is kind
    assert failure.value.hint
    assert os.listdir(tmp_path / ".snapcopy") == []


def test_R8_the_limit_of_a_directory_is_known() -> None:
    assert ENGINES["cephfs"].snapshot_limit == 100
