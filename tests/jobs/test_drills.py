"""Drill jobs: files of the newest copies restored to scratch and compared, an alarm where they differ."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs import tasks
from jobs.engine.operations import restore
from jobs.models import BackupCopy, DrillComparison, DrillResult, Job, JobState, Operation, Snapshot
from jobs.runner import drill
from jobs.selectors import holds_on, jobs_needing_attention
from jobs.services import (
    CannotLaunch,
    NothingNew,
    launch_backup_copy,
    launch_drill,
    launch_prune,
    launch_snapshot,
    resubmit_job,
    tick,
)
from jobs.services.dispatch import dispatch
from jobs.services.removal import retire_snapshot
from policies.models import Media, Subclient
from policies.services import create_copy
from snapcopy_site.lib.home import Home
from snapcopy_site.lib.roles import Role
from tests.factories import make_media, make_schedule, make_user
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot
from tests.jobs.farm import backup_copy_of, configure, picture
from tests.jobs.here import run, work_off
from tests.jobs.test_commands import as_json, command


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    make_node(name="here")
    made = configure(tmp_path)
    for number in range(10):
        (tmp_path / "source" / f"file-{number}").write_bytes(os.urandom(50_000))
    return made


@pytest.fixture
def row(subclient: Subclient) -> BackupCopy:
    assert run(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
    assert run(launch_backup_copy(subclient)).state == JobState.COMPLETED, picture()
    return BackupCopy.objects.get()


def scratch() -> list[Path]:
    place = Home.current().path / "drills"
    return list(place.iterdir()) if place.is_dir() else []


def test_files_are_compared_byte_for_byte_with_the_held_snapshot_and_nothing_stays(
    subclient: Subclient, row: BackupCopy
) -> None:
    job = run(launch_drill(subclient, files=4))
    assert job.state == JobState.COMPLETED, picture()
    (told,) = job.result["copies"]
    assert (job.result["ok"], told["files"], told["bytes"], told["compared_with"]) == (True, 4, 200_000, "snapshot")
    assert (told["copy"], told["snapshot"], len(told["paths"])) == ("backup", row.snapshot.name, 4)
    kept = DrillResult.objects.get()
    assert (kept.job, kept.backup_copy, kept.files, kept.differences) == (job, row, 4, 0)
    assert kept.compared_with == DrillComparison.SNAPSHOT
    assert not scratch()

    again = run(launch_drill(subclient, files=4, seed=job.parameters["seed"]))
    assert again.result["copies"][0]["paths"] == told["paths"], "the seed is kept with the job"


def test_without_the_snapshot_the_stored_hashes_are_compared_and_the_job_says_so(
    subclient: Subclient, row: BackupCopy
) -> None:
    Snapshot.objects.update(state="deleted")
    job = run(launch_drill(subclient))
    assert (job.state, job.result["copies"][0]["compared_with"]) == (JobState.COMPLETED, "hashes"), picture()
    assert "compared with the stored hashes" in " ".join(job.events.values_list("sentence", flat=True))
    assert DrillResult.objects.get().compared_with == DrillComparison.HASHES


def test_a_deletion_that_was_decided_before_a_drill_began_is_not_held_up_by_it(
    subclient: Subclient, row: BackupCopy
) -> None:
    deletion = retire_snapshot(row.snapshot, reason="days")
    assert deletion is not None
    job = launch_drill(subclient)
    tasks.run(job.pk, job.attempt)
    job.refresh_from_db()
    assert (job.state, job.result["copies"][0]["compared_with"]) == (JobState.COMPLETED, "hashes"), picture()
    assert "the snapshot is to be deleted" in job.events.get(code="drill-by-hashes").sentence
    launch_drill(subclient)
    tasks.run(deletion.pk, deletion.attempt)
    deletion.refresh_from_db()
    assert deletion.state == JobState.COMPLETED, picture()
    assert run(Job.objects.latest("pk")).state == JobState.COMPLETED, picture()


def test_a_drill_holds_the_snapshots_of_all_copies_that_it_looks_at(subclient: Subclient, row: BackupCopy) -> None:
    second = create_copy(subclient.policy, name="second", media=make_media(name="other"), user=None)
    older = make_backup_copy(make_snapshot(subclient, n=-1), second).snapshot
    job = launch_drill(subclient)
    for snapshot in (row.snapshot, older):
        assert f"job {job.pk} works on it" in holds_on(snapshot)
        assert retire_snapshot(snapshot, reason="days") is None


def test_J1_a_drill_that_does_not_get_back_what_was_copied_calls_for_a_person(
    subclient: Subclient, row: BackupCopy, tmp_path: Path
) -> None:
    packs = [path for path in (tmp_path / "media" / "data").rglob("*") if path.is_file()]
    victim = max(packs, key=lambda path: path.stat().st_size)
    victim.chmod(0o600)
    with victim.open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    job = run(launch_drill(subclient, files=10))
    assert (job.state, job.error_code) == (JobState.FAILED, "drill-failed"), picture()
    (told,) = job.result["copies"]
    assert told["differences"] == len(told["problems"]) >= 1
    named = {problem["path"] for problem in told["problems"]}
    assert all(path.startswith(str(tmp_path / "source" / "file-")) for path in named)
    assert set(job.exceptions.values_list("display_path", flat=True)) == named
    assert job in jobs_needing_attention()
    assert DrillResult.objects.get().differences == told["differences"]
    assert not scratch()
    again = run(resubmit_job(job))
    assert again.result["copies"][0]["paths"] == told["paths"], "the same files again"


def test_a_file_that_differs_from_its_snapshot_is_named(subclient: Subclient, row: BackupCopy, tmp_path: Path) -> None:
    (held,) = (path for path in (tmp_path / "snapshots").rglob("file-3"))
    held.parent.chmod(0o700)
    held.chmod(0o600)
    held.write_bytes(b"somebody wrote to the snapshot")
    job = run(launch_drill(subclient, files=10))
    assert job.state == JobState.FAILED, picture()
    assert [one["path"] for one in job.result["copies"][0]["problems"]] == [str(tmp_path / "source" / "file-3")]
    assert "the snapshot has 30" in job.error_sentence


def test_a_drill_does_not_fill_the_node(subclient: Subclient, row: BackupCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=3 * 50_000 * 2))
    job = run(launch_drill(subclient, files=10))
    assert (job.state, job.result["bytes"]) == (JobState.COMPLETED, 150_000), picture()
    assert job.result["copies"][0]["too_large"] == 7


def test_what_a_killed_drill_left_is_removed_and_what_runs_is_left_alone(subclient: Subclient) -> None:
    running = make_job(operation=Operation.DRILL, state=JobState.RUNNING, subclient=subclient, attempt=2)
    place = Home.current().path / "drills"
    for name in (f"{running.pk}-2-7", f"{running.pk}-1-7", "999999-1-7", "nonsense"):
        (place / name / "srv").mkdir(parents=True)
    assert drill.clear_leftovers() == 3
    assert [path.name for path in scratch()] == [f"{running.pk}-2-7"]
    shutil.rmtree(place)


def test_one_drill_at_a_time_of_what_was_copied_within_bounds(subclient: Subclient) -> None:
    with pytest.raises(NothingNew):
        launch_drill(subclient)
    for files, mib in ((0, 1), (10_001, 1), (1, 0)):
        with pytest.raises(CannotLaunch, match="A drill restores 1 to"):
            launch_drill(subclient, files=files, mib=mib)


def test_while_a_drill_waits_its_snapshot_is_held_and_no_prune_begins(subclient: Subclient, row: BackupCopy) -> None:
    job = launch_drill(subclient)
    with pytest.raises(CannotLaunch, match=f"Job {job.pk} already drills"):
        launch_drill(subclient)
    assert f"job {job.pk} works on it" in holds_on(row.snapshot)
    prune = launch_prune(media=Media.objects.get())
    assert dispatch(prune.pk).state_reason.startswith(f"disk-tree is in use by job {job.pk} (restore drill)")
    work_off()
    prune.refresh_from_db()
    assert prune.state == JobState.COMPLETED, picture()


def test_a_schedule_drills_within_its_bounds(subclient: Subclient, row: BackupCopy) -> None:
    made = make_schedule(subclient, name="drills", operation="drill", drill_files=3, drill_mib=2)
    tick(now=timezone.now() + timedelta(hours=2))
    job = Job.objects.get(operation=Operation.DRILL)
    assert (job.parameters["files"], job.parameters["mib"], job.initiator) == (3, 2, "schedule")
    assert job.schedule_run is not None
    assert job.schedule_run.schedule == made
    assert run(job).result["files"] == 3


def test_a_drill_by_script(subclient: Subclient, row: BackupCopy) -> None:
    code, lines = command("drill", subclient.path, "--files", "2", "--mib", "1", "--seed", "5", "--json")
    (told,) = as_json(lines)
    job = Job.objects.get(pk=int(str(told["job"])))
    assert (code, job.parameters["files"], job.parameters["seed"], job.initiator) == (0, 2, 5, "script")
    assert command("drill", subclient.path)[0] == 4, "one is at it"
    assert command("drill", subclient.path, "--snapshot", "nothing")[0] == 2
    assert command("drill", "--policy", subclient.policy.name, "--copy", "backup")[0] == 2
    work_off()
    assert command("drill", "--policy", subclient.policy.name)[0] == 0
    assert command("drill", subclient.path, "--copy", backup_copy_of(subclient).name)[0] == 4


def test_an_operator_drills_from_the_page_and_sees_what_was_compared(subclient: Subclient, row: BackupCopy) -> None:
    address = reverse("drill-now", args=[subclient.file_server.name, subclient.name])
    viewer, operator = Client(), Client()
    viewer.force_login(make_user(Role.VIEWER))
    operator.force_login(make_user(Role.OPERATOR))
    assert viewer.post(address).status_code == 403
    assert "is no number of files" in operator.post(address, {"files": "many"}, follow=True).content.decode()
    assert not Job.objects.filter(operation=Operation.DRILL).exists()
    operator.post(address, {"files": "3", "mib": "5"})
    job = run(Job.objects.get(operation=Operation.DRILL))
    assert (job.parameters["files"], job.parameters["mib"]) == (3, 5)
    page = viewer.get(reverse("job", args=[job.pk])).content.decode()
    for words in ("As it was copied", "the held snapshot, byte for byte", f"seed {job.result['seed']}", "file-"):
        assert words in page


def test_scratch_is_removed_whatever_goes_wrong(
    subclient: Subclient, row: BackupCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_values: object) -> None:
        raise RuntimeError("whatever")

    monkeypatch.setattr(restore, "run_opened", broken)
    job = run(launch_drill(subclient))
    assert job.state == JobState.FAILED
    assert not scratch()
