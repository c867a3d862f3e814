"""Processes die in the middle of a dump: the session at the file server ends, nothing advances, the next attempt dumps.

The file server is the scripted one: it sends a part, and then nothing until its client is gone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.values import ErrorCode
from jobs.models import BackupCopy, CopyState, DumpDate, Job, JobState
from jobs.services import kill_job, launch_backup_copy, launch_snapshot
from policies.models import Subclient
from tests.engine.ndmp.filer import HOME, PASSWORD, Filer, Script, filer
from tests.jobs.farm import Farm, configure, picture, reach, until, wait
from tests.jobs.test_crashes import assert_good, kill_node, kill_worker
from tests.jobs.test_dump_copies import over

pytestmark = [pytest.mark.slow, pytest.mark.interop]
IMAGE: Final = random.Random(5).randbytes(40 << 20)
SENT_BYTES: Final = 36 << 20
"""Enough for a pack to be written before it stops."""


@pytest.fixture
def server() -> Iterator[Filer]:
    with filer(Script(refuses={m.GET_FS_INFO: ErrorCode.NOT_SUPPORTED}, environment=())) as one:
        yield one


@pytest.fixture
def dumping(farm: Farm, server: Filer, tmp_path: Path) -> Job:
    """An incremental dump on a full that was copied; its image has come in part."""
    subclient = over(configure(tmp_path), HOME, server.port, password=PASSWORD, content="/vol/vol1")
    for level in ("full", "incremental"):
        assert wait(launch_snapshot(subclient, level=level)).state == JobState.COMPLETED, picture()
        if level == "full":
            assert wait(launch_backup_copy(subclient)).state == JobState.COMPLETED, picture()
    server.script.image, server.script.hangs_after = IMAGE, SENT_BYTES
    job = launch_backup_copy(subclient)
    until(server.reached.is_set, what="the file server stops sending")
    packs = tmp_path / "media" / "data"
    until(lambda: len([path for path in packs.rglob("*") if path.is_file()]) > 2, what="a part of it is on the medium")
    server.script.hangs_after = None
    return reach(job, lambda row: row.state == JobState.RUNNING)


def on_media() -> list[tuple[str, int | None]]:
    return list(BackupCopy.objects.order_by("snapshot__taken_at").values_list("state", "level_number"))


def expect_nothing_advanced() -> None:
    (full, running) = BackupCopy.objects.order_by("snapshot__taken_at")
    assert (full.state, full.level_number) == (CopyState.COPIED, 0)
    assert (running.level_number, running.tokens, running.snapshot_file_id) == (None, {}, None)
    assert list(DumpDate.objects.values_list("level", "is_committed")) == [(0, True), (1, False)]


@pytest.mark.parametrize("disaster", [kill_worker, kill_node])
def test_L4_a_dump_whose_process_is_killed_ends_at_the_file_server_and_is_made_again(
    disaster: Callable[[Job, Farm], None], dumping: Job, farm: Farm, server: Filer, tmp_path: Path
) -> None:
    expect_nothing_advanced()
    disaster(dumping, farm)
    ended = wait(dumping)
    assert server.asked_by_all().count("DATA_START_BACKUP") == 3, "and no session is left open"
    attempts = list(ended.attempts.values_list("number", "state"))
    assert attempts == [(1, "interrupted"), (2, "completed")], picture()
    assert on_media() == [(CopyState.COPIED, 0), (CopyState.COPIED, 1)]
    assert list(DumpDate.objects.values_list("level", "is_committed")) == [(0, True), (1, True)]
    assert ended.bytes_done == len(IMAGE)
    assert_good(tmp_path)


def test_a_dump_that_is_cancelled_is_aborted_and_then_closed(
    dumping: Job, farm: Farm, server: Filer, tmp_path: Path
) -> None:
    kill_job(dumping)
    ended = wait(dumping)
    assert ended.state == JobState.KILLED, picture()
    assert server.asked_by_all()[-3:] == ["DATA_ABORT", "DATA_STOP", "CONNECT_CLOSE"]
    expect_nothing_advanced()
    assert on_media()[1] == (CopyState.TO_BE_COPIED, None)
    assert_good(tmp_path)
    again = wait(launch_backup_copy(Subclient.objects.get()))
    assert again.state == JobState.COMPLETED, picture()
    assert on_media() == [(CopyState.COPIED, 0), (CopyState.COPIED, 1)]
