"""Commands around the snapshot: RULES S1."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.engine import errors
from jobs.models import Job, JobState, Snapshot
from jobs.runner import commands
from jobs.services import launch_snapshot
from jobs.services.failures import CommandFailed
from jobs.views.card import JobCard
from policies.models import Subclient
from tests.job_factories import make_node
from tests.jobs.farm import configure, is_alive, picture, until
from tests.jobs.here import run


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    make_node()
    made = configure(tmp_path)
    (tmp_path / "source" / "file").write_text("text")
    return made


def snap(subclient: Subclient, *, pre: str = "", post: str = "") -> Job:
    subclient.pre_command, subclient.post_command = pre, post
    subclient.save()
    return run(launch_snapshot(subclient))


def told(job: Job) -> dict[str, str]:
    return {event.code: event.sentence for event in job.events.all()}


class Never:
    """A control that lets everything go on."""

    def check(self) -> None:
        return None


def test_S1_commands_run_around_the_snapshot_and_know_the_job(subclient: Subclient, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\necho "$1 $SNAPCOPY_JOB $SNAPCOPY_SUBCLIENT" >> ' + f"{tmp_path}/log\necho said $1\n")
    script.chmod(0o755)
    job = snap(subclient, pre=f"{script} before", post=f"{script} 'after it'")
    assert job.state == JobState.COMPLETED, picture()
    assert [phase.name for phase in job.phases.all()] == ["prepare", "quiesce", "snapshot", "finish"]
    assert (tmp_path / "log").read_text() == f"before {job.pk} tree\nafter it {job.pk} tree\n"
    assert told(job)["pre-command"] == "The pre command ran: said before."


def test_S1_the_steps_ahead_are_shown_in_their_order(subclient: Subclient) -> None:
    subclient.policy.is_inline = True
    subclient.pre_command = "/bin/true"
    job = Job(operation="snapshot", state=JobState.QUEUED, subclient=subclient)
    assert [step.word for step in JobCard(job, []).steps] == ["Prepare", "Quiesce", "Snapshot", "Copy", "Finish"]


def test_S1_a_failing_pre_command_fails_the_job_and_the_post_command_still_runs(
    subclient: Subclient, tmp_path: Path
) -> None:
    job = snap(subclient, pre="/bin/false", post=f"/bin/touch {tmp_path}/thawed")
    assert (job.state, job.error_code) == (JobState.FAILED, "command-failed")
    assert job.error_sentence == "“/bin/false” ended with code 1."
    assert not Snapshot.objects.exists()
    assert (tmp_path / "thawed").exists()


def test_S1_a_failing_post_command_is_an_exception_of_the_job(subclient: Subclient) -> None:
    job = snap(subclient, post="/nowhere/thaw")
    assert job.state == JobState.COMPLETED_WITH_ERRORS, picture()
    assert Snapshot.objects.count() == 1
    assert "could not be started" in job.exceptions.get().error
    assert "could not be started" in told(job)["post-command-failed"]


def test_S1_a_failing_post_command_is_not_forgotten_by_an_inline_copy(subclient: Subclient) -> None:
    subclient.policy.is_inline = True
    subclient.policy.save()
    job = snap(subclient, post="/bin/false")
    assert job.children.get().state == JobState.COMPLETED, picture()
    assert job.state == JobState.COMPLETED_WITH_ERRORS


def test_S1_no_shell_reads_a_command(tmp_path: Path) -> None:
    said = commands.run("/bin/echo '$HOME; rm -rf /' `id`", facts={}, control=None)
    assert said == "$HOME; rm -rf / `id`"
    with pytest.raises(CommandFailed, match="no command line"):
        commands.run("/bin/echo 'open", facts={}, control=None)


def test_S1_a_command_sees_nothing_of_the_workers_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPCOPY_SECRET_KEY", "very secret")
    said = commands.run("/usr/bin/env", facts={"SNAPCOPY_JOB": "7"}, control=Never())
    assert "SNAPCOPY_JOB=7" in said
    assert "very secret" not in said


def test_S1_a_command_that_takes_too_long_is_killed_with_all_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = tmp_path / "pid"

    def clock() -> float:
        """Its time begins once its child is known."""
        return time.monotonic() if pid_file.exists() and pid_file.read_text().endswith("\n") else 0.0

    monkeypatch.setattr(commands, "time", SimpleNamespace(monotonic=clock))
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {pid_file}\nwait\n")
    script.chmod(0o755)
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="did not end within 1 seconds"):
        commands.run(str(script), facts={}, control=None, seconds=1)
    assert time.monotonic() - began < 60
    until(lambda: not is_alive(int(pid_file.read_text())), what="the child ends")


def test_J3_a_command_ends_when_its_job_is_killed() -> None:
    class Kill:
        def check(self) -> None:
            raise errors.Killed("The job was killed.")

    began = time.monotonic()
    with pytest.raises(errors.Killed):
        commands.run("/bin/sleep 600", facts={}, control=Kill())
    assert time.monotonic() - began < 60


def test_S1_only_the_end_of_much_output_is_kept() -> None:
    said = commands.run("/usr/bin/seq 10000", facts={}, control=None)
    assert said.endswith("10000")
    assert len(said) <= 2000
