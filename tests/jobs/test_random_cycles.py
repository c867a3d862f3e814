"""Random cycles of copy, age, prune and ``kill -9``: nothing is lost, and stock restic finds nothing wrong.

The suite runs 5 cycles; ``CYCLES=100 python -m pytest tests/jobs/test_random_cycles.py -n0`` runs more, and
``CYCLE_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import random
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.models import BackupCopy, CopyState, Job, JobAttempt, JobState, Operation, Snapshot
from jobs.rules import states
from jobs.services import launch_aging, launch_backup_copy, launch_prune, launch_restore, launch_snapshot
from policies.models import Copy, Media, Subclient
from tests.interop.restic import Restic
from tests.jobs.farm import PASSWORD, Farm, backup_copy_of, configure, picture, wait

CYCLES = int(os.environ.get("CYCLES", "5"))
SEED = int(os.environ.get("CYCLE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)

pytestmark = [pytest.mark.slow, pytest.mark.interop, pytest.mark.timeout(60 + 60 * CYCLES)]


class Life:
    """One subclient and its chances: changes, jobs, kills. What it does follows from the seed."""

    def __init__(self, subclient: Subclient, source: Path, seed: int) -> None:
        self.subclient = subclient
        self.source = source
        self.chance = random.Random(seed)
        self.contents: dict[int, dict[str, bytes]] = {}
        self.incrementals = 0
        self.kills = 0

    def change(self) -> None:
        """A few files come, change and go; more than half always stays."""
        for number in range(self.chance.randrange(1, 6)):
            name = f"file-{self.chance.randrange(40)}"
            (self.source / name).write_bytes(self.chance.randbytes(self.chance.randrange(1, 400_000)))
            if number == 3 and len(list(self.source.iterdir())) > 20:
                (self.source / name).unlink()

    def snapshot(self) -> None:
        """After two incrementals always a full: without a newer one nothing would ever age."""
        is_full = self.chance.random() < 0.5 or self.incrementals == 2
        self.incrementals = 0 if is_full else self.incrementals + 1
        level = "full" if is_full else "incremental"
        assert wait(launch_snapshot(self.subclient, level=level)).state == JobState.COMPLETED, picture()
        self.contents[Snapshot.objects.latest("pk").pk] = read(self.source)

    def copy(self, *, deadly: bool) -> None:
        job = launch_backup_copy(self.subclient)
        if deadly:
            self.shoot(job)
        while True:
            assert wait(job, seconds=90).state == JobState.COMPLETED, picture()
            following = Job.objects.filter(pk=job.result.get("next_job")).first()
            if following is None:
                return
            job = following

    def age(self) -> None:
        """Everything becomes a day older, so that days go by."""
        for snapshot in Snapshot.objects.all():
            Snapshot.objects.filter(pk=snapshot.pk).update(taken_at=snapshot.taken_at - timedelta(days=1))
        assert wait(launch_aging()).state == JobState.COMPLETED, picture()

    def prune(self, *, deadly: bool) -> None:
        job = launch_prune(media=Media.objects.get())
        if deadly:
            self.shoot(job)
        assert wait(job, seconds=90).state == JobState.COMPLETED, picture()

    def shoot(self, job: Job) -> None:
        """``kill -9`` the process of the job, if it has one by then, at a moment nobody knows."""
        moment = time.monotonic() + 10
        while not (job.lease_pid or job.is_over) and time.monotonic() < moment:
            job.refresh_from_db()
        time.sleep(self.chance.uniform(0, 0.7))
        job.refresh_from_db()
        if job.lease_pid and job.state == JobState.RUNNING:
            try:
                os.kill(job.lease_pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            self.kills += 1


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def life(transactional_db: None, tmp_path: Path) -> Life:
    subclient = configure(tmp_path)
    policy = Copy.objects.filter(policy=subclient.policy)
    policy.filter(kind="primary_backup").update(retention="basic", retention_days=2, retention_cycles=1)
    policy.filter(kind="primary_snap").update(retention="count", retention_count=2)
    made = Life(subclient, tmp_path / "source", SEED)
    for number in range(30):
        (made.source / f"file-{number}").write_bytes(made.chance.randbytes(50_000))
    return made


def test_after_random_cycles_of_copy_age_prune_and_kill_the_repository_is_whole(
    farm: Farm, life: Life, tmp_path: Path
) -> None:
    print(f"seed {SEED}, {CYCLES} cycles")
    restic = Restic(repository=tmp_path / "media", password=PASSWORD)
    for number in range(CYCLES):
        life.change()
        life.snapshot()
        life.copy(deadly=life.chance.random() < 0.5)
        life.age()
        life.prune(deadly=life.chance.random() < 0.7)
        if number % 10 == 9:
            restic.judge()
    life.prune(deadly=False)

    restic.judge()
    assert restic.run("list", "locks") == ""
    on_media = BackupCopy.objects.filter(copy=backup_copy_of(life.subclient), state__in=states.ON_MEDIA)
    assert {one["id"] for one in restic.points()} == set(on_media.values_list("snapshot_file_id", flat=True))
    assert not BackupCopy.objects.filter(state=CopyState.AGED, forgotten_at__isnull=True).exists()
    for row in on_media:
        target = tmp_path / f"back-{row.pk}"
        assert wait(launch_restore(row.snapshot, row.copy, target=str(target))).state == JobState.COMPLETED, picture()
        assert read(target / str(life.source)[1:]) == life.contents[row.snapshot_id]
    interrupted = JobAttempt.objects.filter(state="interrupted").count()
    freed = sum(job.result["freed_bytes"] for job in Job.objects.filter(operation=Operation.PRUNE))
    aged = BackupCopy.objects.filter(state=CopyState.AGED).count()
    print(f"{life.kills} kills, {interrupted} interrupted attempts, {aged} aged and pruned, {freed} bytes freed")
    assert interrupted >= min(life.kills, 1)
    assert aged > 0
