"""The commands for scripts: what they print, and the documented exit codes."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from jobs.management.commands.snapshot import Command
from jobs.models import Job, JobState
from jobs.runner.demo_tree import kept_by_another
from policies.models import Secret, Subclient
from tests.job_factories import make_job, make_node
from tests.jobs.farm import Farm, backup_copy_of, configure, picture
from tests.jobs.here import work_off


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    made = configure(tmp_path)
    for number in range(5):
        (tmp_path / "source" / f"file-{number}").write_text(f"text {number}")
    return made


def command(*words: str) -> tuple[int, list[str]]:
    """(exit code, lines) of a command."""
    output = StringIO()
    code = 0
    try:
        call_command(*words, stdout=output, stderr=StringIO())
    except SystemExit as end:
        code = int(end.code or 0)
    except CommandError as error:
        code = error.returncode
    return code, output.getvalue().splitlines()


def as_json(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def test_snapshot_copy_and_restore_to_the_end(farm: Farm, subclient: Subclient, tmp_path: Path) -> None:
    code, lines = command("snapshot", subclient.path, "--wait", "--json")
    assert code == 0, picture()
    (snapped,) = as_json(lines)
    assert (snapped["state"], snapped["operation"], snapped["ran_level"]) == ("completed", "snapshot", "full")
    assert Job.objects.get().initiator == "script"

    code, lines = command("copy", subclient.path, "--wait", "--json", "--copy", "backup")
    assert code == 0, picture()
    (copied,) = as_json(lines)
    assert (copied["files"], copied["exceptions"], copied["media"]) == (5, 0, "disk-tree")

    code, lines = command("restore", subclient.path, "--to", str(tmp_path / "back"), "--wait")
    assert code == 0, picture()
    assert "completed" in lines[0]
    assert (tmp_path / "back" / str(tmp_path)[1:] / "source" / "file-3").read_text() == "text 3"


def test_without_wait_it_is_started_and_0(farm: Farm, subclient: Subclient) -> None:
    code, lines = command("snapshot", subclient.path)
    assert code == 0
    assert lines[0].startswith("job ")


def test_3_completed_with_errors(farm: Farm, subclient: Subclient, tmp_path: Path) -> None:
    with kept_by_another(tmp_path / "source" / "file-0"):
        code, _lines = command("snapshot", subclient.path, "--wait")
    assert code == 3, picture()
    code, lines = command("copy", subclient.path, "--wait", "--json")
    assert code == 3, picture()
    assert as_json(lines)[0]["exceptions"] == 1


def test_1_failed(farm: Farm, subclient: Subclient) -> None:
    command("snapshot", subclient.path, "--wait")
    Secret.objects.all().delete()
    code, lines = command("copy", subclient.path, "--wait", "--json")
    assert code == 1, picture()
    assert as_json(lines)[0]["error"]["code"] == "secret-missing"


def test_2_wrong_command_line(subclient: Subclient) -> None:
    assert command("snapshot", "nobody/nothing")[0] == 2
    assert command("copy", subclient.path, "--copy", "nowhere")[0] == 2
    assert command("jobs", "--kill")[0] == 2
    assert command("jobs", "999999")[0] == 2


def test_4_refused(subclient: Subclient) -> None:
    assert command("copy", subclient.path, "--wait")[0] == 4
    assert command("restore", subclient.path, "--to", "/tmp/x")[0] == 4
    Subclient.objects.update(is_active=False)
    assert command("snapshot", subclient.path, "--wait")[0] == 4
    assert not Job.objects.exists()


def test_B1_a_policy_or_a_file_server_is_snapped_and_copied_as_a_whole(subclient: Subclient) -> None:
    make_node()
    code, lines = command("copy", "--policy", subclient.policy.name)
    assert (code, lines) == (0, ["Nothing new: no job was started."])
    code, lines = command("snapshot", "--policy", subclient.policy.name, "--level", "differential", "--json")
    (snapped,) = as_json(lines)
    assert (code, snapped["asked_level"], snapped["initiator"]) == (0, "differential", "script")
    assert command("snapshot", "--policy", subclient.policy.name)[0] == 4, "a snapshot is being taken already"
    work_off()
    code, lines = command("copy", "--file-server", subclient.file_server.name, "--json")
    (copied,) = as_json(lines)
    assert (code, copied["operation"], copied["initiator"]) == (0, "backup_copy", "script")


def test_2_a_scope_is_named_once_and_exists(subclient: Subclient) -> None:
    assert command("copy")[0] == 2
    assert command("copy", subclient.path, "--policy", subclient.policy.name)[0] == 2
    assert command("copy", "--policy", "nobody")[0] == 2
    assert command("copy", "--policy", subclient.policy.name, "--copy", "nowhere")[0] == 2
    assert command("copy", "--file-server", subclient.file_server.name, "--copy", "backup")[0] == 2


def test_5_killed(subclient: Subclient) -> None:
    make_node()
    job = make_job(subclient=subclient, state=JobState.QUEUED)
    code, lines = command("jobs", str(job.pk), "--kill", "--json")
    assert code == 0
    assert as_json(lines)[0]["state"] == "killed"
    with pytest.raises(SystemExit) as end:
        Command(stdout=StringIO()).run_job(job, wait=True, as_json=True)
    assert end.value.code == 5
    assert command("jobs", str(job.pk), "--kill")[0] == 4, "it is over already"


def test_every_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("snapshot", "copy", "restore", "jobs", "demo"):
        with pytest.raises(SystemExit) as end:
            call_command(name, "--help")
        assert end.value.code == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert "3 completed with errors, 4 refused: nothing was started, 5 killed" in printed


def test_the_list_of_jobs_filters(subclient: Subclient) -> None:
    make_job(subclient=subclient, state=JobState.COMPLETED)
    active = make_job(subclient=subclient, state=JobState.PENDING, copy=backup_copy_of(subclient))
    assert len(command("jobs")[1]) == 2
    assert [one["job"] for one in as_json(command("jobs", "--active", "--json")[1])] == [active.pk]
    assert command("jobs", "--state", "failed")[1] == []
