"""The whole product over media that are no disks: copy, verification, restore and prune, judged by stock restic."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.models import BackupCopy, JobState
from jobs.services import launch_backup_copy, launch_prune, launch_restore, launch_snapshot, launch_verify
from policies.models import Media, Subclient
from policies.services.media import update_media
from tests.contracts.media_drivers import DRIVERS
from tests.interop.stock_ways import WAYS
from tests.jobs.farm import PASSWORD, Farm, configure, picture, wait

KINDS = ("rest", "sftp", "rclone", "s3")
"""Azure and Google go through the same host as S3: their copies are judged without jobs (tests/interop)."""


@pytest.fixture(params=[driver for driver in DRIVERS if driver.name in KINDS], ids=lambda driver: driver.name)
def kind(request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path) -> str:
    """A subclient whose copies go to a medium of that kind."""
    driver = request.param
    subclient = configure(tmp_path)
    for number in range(12):
        (tmp_path / "source" / f"file-{number}").write_bytes(os.urandom(300_000))
    place = tmp_path / "media"
    place.mkdir(exist_ok=True)
    medium = Media.objects.get()
    update_media(medium, user=None, kind=driver.name, options=driver.values(place), secrets=dict(driver.secrets()))
    assert Subclient.objects.get() == subclient
    return str(driver.name)


@pytest.mark.interop
def test_a_copy_over_it_is_restored_verified_pruned_and_read_by_stock_restic(
    kind: str, farm: Farm, tmp_path: Path
) -> None:
    subclient = Subclient.objects.get()
    wait(launch_snapshot(subclient))
    copied = wait(launch_backup_copy(subclient))
    assert copied.state == JobState.COMPLETED, picture()
    restic = WAYS[kind].restic(tmp_path / "media", password=PASSWORD)
    restic.judge()
    row = BackupCopy.objects.get()
    assert [found["id"] for found in restic.json("snapshots")] == [row.snapshot_file_id]

    verified = wait(launch_verify(media=row.media, percent=100))
    assert verified.state == JobState.COMPLETED, picture()
    restored = wait(launch_restore(row.snapshot, row.copy, target=str(tmp_path / "back")))
    assert restored.state == JobState.COMPLETED, picture()
    source = tmp_path / "source"
    for path in source.iterdir():
        assert (tmp_path / "back" / str(source)[1:] / path.name).read_bytes() == path.read_bytes()

    pruned = wait(launch_prune(media=row.media))
    assert pruned.state == JobState.COMPLETED, picture()
    restic.judge()
