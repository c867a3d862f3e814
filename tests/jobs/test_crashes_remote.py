"""``kill -9`` amid a copy to a medium behind a network: it goes on, stock restic is content, no lock is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from jobs.models import JobState
from jobs.services import launch_backup_copy, launch_snapshot
from policies.models import Media, Subclient
from policies.services.media import update_media
from tests.contracts.media_drivers import S3, SFTP, Driver
from tests.interop.stock_ways import WAYS
from tests.jobs.conftest import HeldCopies
from tests.jobs.farm import PASSWORD, Farm, is_copying, picture, reach, until, wait

pytestmark = [pytest.mark.slow, pytest.mark.interop, pytest.mark.usefixtures("held_copies")]


@pytest.mark.parametrize("driver", [S3, SFTP], ids=lambda driver: driver.name)
def test_a_copy_to_a_remote_medium_survives_the_death_of_its_process(
    driver: Driver, large_subclient: Subclient, farm: Farm, tmp_path: Path, held_copies: HeldCopies
) -> None:
    place = tmp_path / tmp_path.name
    stored = driver.file(place, "")
    stored.mkdir()
    medium = Media.objects.get()
    update_media(medium, user=None, kind=driver.name, options=driver.values(place), secrets=dict(driver.secrets()))
    assert wait(launch_snapshot(large_subclient)).state == JobState.COMPLETED, picture()
    copying = reach(launch_backup_copy(large_subclient), is_copying)
    assert copying.lease_pid
    until(lambda: list(stored.glob("locks/*")), what="it has its lock")
    os.kill(copying.lease_pid, signal.SIGKILL)
    held_copies.go_on()
    ended = wait(copying)
    assert (ended.state, ended.attempt, ended.files_done) == (JobState.COMPLETED, 2, 2_000), picture()
    assert list(ended.attempts.values_list("state", flat=True)) == ["interrupted", "completed"], picture()
    until(lambda: not list(stored.glob("locks/*")), what="no lock is left")
    checked = WAYS[driver.name].restic(place, password=PASSWORD).attempt("check", "--read-data")
    assert checked.returncode == 0, f"{checked.stdout}\n{checked.stderr}"
    assert "no errors were found" in checked.stdout, "packs that no index names yet are left to the next pruning"
