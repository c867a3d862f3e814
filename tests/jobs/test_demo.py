"""Try with sample data: everything it promises, through real workers, also as root, within its minute."""

from __future__ import annotations

import os

import pytest

from jobs.models import BackupCopy, CopyState, Job, JobState
from jobs.services import launch_demo
from policies.models import Media
from policies.resolve import media_password
from snapcopy_site.lib.home import Home
from tests.factories import make_user
from tests.interop.restic import Restic
from tests.jobs.farm import Farm, picture, wait

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def seconds_of_processor() -> float:
    """That the processes needed which have ended, and theirs."""
    times = os.times()
    return times.children_user + times.children_system


def test_the_sample_data_shows_everything_once(farm: Farm) -> None:
    before = seconds_of_processor()
    job = wait(launch_demo(user=make_user()), seconds=240)
    assert job.state == JobState.COMPLETED, picture()
    farm.close()
    assert seconds_of_processor() - before < 60, "what else a machine has to do does not count"

    rows = BackupCopy.objects.order_by("snapshot__taken_at")
    assert [row.state for row in rows] == [CopyState.COPIED, CopyState.COPIED, CopyState.PARTIAL]
    failed = job.children.filter(state=JobState.COMPLETED_WITH_ERRORS)
    assert sorted(failed.values_list("operation", flat=True)) == ["backup_copy", "snapshot"], picture()
    for one in failed:
        (exception,) = one.exceptions.all()
        assert exception.display_path.endswith("finance/ledger-open.db")
    assert job.result["verified_files"] > 900
    assert {child.started_by_label for child in job.children.all()} == {"viewer"}
    assert job.children.filter(operation="restore", state=JobState.COMPLETED).count() == 1

    assert job.children.filter(operation="test", state=JobState.COMPLETED).count() == 2
    assert Media.objects.get().last_test["ok"]  # type: ignore[index]
    password = media_password(Media.objects.get()).reveal()
    restic = Restic(repository=Home.current().demo / "media", password=password)
    restic.judge()
    assert len(restic.json("snapshots")) == 3
    assert Job.objects.exclude(state__in=[JobState.COMPLETED, JobState.COMPLETED_WITH_ERRORS]).count() == 0
