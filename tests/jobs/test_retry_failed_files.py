"""RULES J6: a copy that could not read everything is run again for just that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from jobs.models import BackupCopy, CopyState, Job, JobState, Snapshot
from jobs.runner import demo_tree
from jobs.runner.references import ref_from_row
from jobs.services import launch_backup_copy, launch_snapshot, resubmit_job
from policies.models import Subclient
from policies.resolve import build_engine
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.interop.restic import Restic
from tests.job_factories import make_node
from tests.jobs.farm import PASSWORD, configure, picture
from tests.jobs.here import run

FILES, SIZE = 40, 5000


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    make_node()
    made = configure(tmp_path)
    for number in range(FILES):
        (tmp_path / "source" / f"file-{number}").write_bytes(os.urandom(SIZE))
    run(launch_snapshot(made))
    return made


def copy_with_one_file_away(subclient: Subclient) -> Job:
    """The copy of the one snapshot, while ``file-7`` in it is kept by another program."""
    ref = ref_from_row(Snapshot.objects.get())
    with build_engine(subclient.file_server).open(ref) as (root,):
        held = root.directory / "file-7"
        with demo_tree.kept_by_another(held) as is_unreadable:
            if not is_unreadable:
                pytest.skip("this file system has no leases and root reads every file")
            job = run(launch_backup_copy(subclient))
    assert job.state == JobState.COMPLETED_WITH_ERRORS, picture()
    assert [one.display_path for one in job.exceptions.all()] == [f"{subclient.content_paths[0]}/file-7"]
    return job


@pytest.mark.interop
def test_J6_a_retry_takes_only_the_files_that_failed(subclient: Subclient, tmp_path: Path) -> None:
    job = copy_with_one_file_away(subclient)
    assert BackupCopy.objects.get().state == CopyState.PARTIAL
    again = run(resubmit_job(job))
    assert again.state == JobState.COMPLETED, picture()
    assert again.bytes_read == SIZE
    assert again.files_done == FILES
    assert again.events.filter(code="only-the-failed").exists()
    assert BackupCopy.objects.get().state == CopyState.COPIED
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    restic.judge()
    restic.run("restore", BackupCopy.objects.get().snapshot_file_id or "", "--target", str(tmp_path / "restored"))
    source = Path(subclient.content_paths[0])
    restored = tmp_path / "restored" / source.relative_to("/")
    assert demo_tree.fingerprint(restored) == demo_tree.fingerprint(source)


def test_J6_the_page_of_such_a_job_offers_it(subclient: Subclient, client: Client) -> None:
    job = copy_with_one_file_away(subclient)
    client.force_login(make_user(Role.OPERATOR))
    assert "Retry the failed files" in client.get(reverse("job", args=[job.pk])).content.decode()
    again = run(resubmit_job(job))
    assert "Retry the failed files" not in client.get(reverse("job", args=[again.pk])).content.decode()
