"""A bandwidth limit in the middle of a running copy: kept to, shown on the card, changed, told in the story."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from jobs.models import Job, JobState
from jobs.selectors_pages.bandwidth import limits_in_force
from jobs.services import launch_backup_copy, launch_snapshot
from jobs.services.medium_turns import jobs_using
from policies.models import Media
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.jobs.farm import Farm, configure, picture, until, wait

pytestmark = pytest.mark.interop
SLOW = 512 << 10


def test_a_limit_counts_for_a_running_job_and_so_does_its_end(
    farm: Farm, transactional_db: None, tmp_path: Path
) -> None:
    subclient = configure(tmp_path)
    (tmp_path / "source" / "large").write_bytes(os.urandom(64 << 20))
    Media.objects.update(bandwidth_limit=SLOW)
    assert wait(launch_snapshot(subclient, level="full")).state == JobState.COMPLETED, picture()
    job = launch_backup_copy(subclient)
    until(lambda: job.events.filter(code="bandwidth", sentence__contains="limited to 512 KiB/s").exists())
    running = Job.objects.get(pk=job.pk)
    assert jobs_using(Media.objects.get().pk) == 1
    (shown,) = limits_in_force(running)
    assert (shown.text, shown.sharing) == ("limited to 512 KiB/s", 1)
    client = Client()
    client.force_login(make_user(Role.VIEWER))
    assert f"{shown.medium} is limited to 512 KiB/s" in client.get(reverse("job", args=[job.pk])).content.decode()
    Media.objects.update(bandwidth_limit=None)
    done = wait(job, seconds=60)
    assert done.state == JobState.COMPLETED, picture()
    assert done.events.filter(code="bandwidth", sentence__contains="not limited").exists()
    assert limits_in_force(done) == []
