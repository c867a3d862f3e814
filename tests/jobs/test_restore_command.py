"""``snapcopy restore``: which point, where to, what a dry run says, and the documented exit codes (RULES V1, V2)."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.utils import timezone

from jobs.management import cli
from jobs.models import Job, Snapshot, SnapshotState
from jobs.services import launch_backup_copy, launch_snapshot
from policies.models import Subclient
from tests.job_factories import make_node
from tests.jobs.farm import configure, picture
from tests.jobs.here import run, work_off
from tests.jobs.test_commands import as_json, command


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    """Two snapshots an hour apart, the first of them on media as well."""
    make_node()
    made = configure(tmp_path)
    (tmp_path / "source" / "plan").write_text("first")
    run(launch_snapshot(made))
    run(launch_backup_copy(made))
    Snapshot.objects.update(taken_at=timezone.now() - timedelta(hours=1))
    (tmp_path / "source" / "plan").write_text("second")
    run(launch_snapshot(made))
    return made


@pytest.fixture
def waiting_is_working(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--wait`` in this process: instead of sleeping, the queued jobs are carried out."""
    monkeypatch.setattr(cli, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _seconds: work_off()))


def landed(target: Path, subclient: Subclient) -> str:
    return Path(target, subclient.content_paths[0][1:], "plan").read_text()


@pytest.mark.usefixtures("waiting_is_working")
def test_V1_the_point_is_the_latest_or_the_one_of_a_time_a_name_or_a_copy(subclient: Subclient, tmp_path: Path) -> None:
    first, _second = Snapshot.objects.order_by("taken_at")
    ago = (timezone.now() - timedelta(minutes=30)).isoformat()
    cases = (
        ((), "second", "snapshot"),
        (("--at", ago), "first", "snapshot"),
        (("--snapshot", first.name), "first", "snapshot"),
        (("--copy", "backup"), "first", "media"),
    )
    for number, (words, text, kind) in enumerate(cases):
        target = tmp_path / f"back {number}"
        code, lines = command("restore", subclient.path, "--to", str(target), "--wait", "--json", *words)
        assert code == 0, picture()
        assert landed(target, subclient) == text, words
        (told,) = as_json(lines)
        assert Job.objects.get(pk=told["job"]).parameters["source"] == kind


@pytest.mark.usefixtures("waiting_is_working")
def test_V2_in_place_with_a_dry_run_before(subclient: Subclient, tmp_path: Path) -> None:
    plan = tmp_path / "source" / "plan"
    plan.write_text("damaged")
    in_place = ("restore", subclient.path, "--in-place", "--path", str(plan), "--overwrite")
    code, lines = command(*in_place, "if-newer", "--dry-run")
    assert code == 0, picture()
    assert "0 new, 0 replaced, 1 stay" in "\n".join(lines)
    assert f"kept: {plan} (newer there)" in "\n".join(lines)
    assert any("is a snapshot, and snapshots go before media" in line or "only copy" in line for line in lines)
    code, lines = command(*in_place, "always", "--dry-run", "--json")
    found = as_json(lines)[0]["result"]["preview"]
    assert (code, found["conflicts_total"], found["conflicts"][0]["fate"]) == (0, 1, "replaced")
    assert plan.read_text() == "damaged"
    assert command(*in_place, "always", "--wait")[0] == 0, picture()
    assert plan.read_text() == "second"


@pytest.mark.usefixtures("waiting_is_working")
def test_3_and_1_what_could_not_be_restored(subclient: Subclient, tmp_path: Path) -> None:
    (tmp_path / "back" / subclient.content_paths[0][1:] / "plan" / "in the way").mkdir(parents=True)
    assert command("restore", subclient.path, "--to", str(tmp_path / "back"), "--wait")[0] == 3, picture()
    assert command("restore", subclient.path, "--to", "/tmp/x", "--path", "/not/there", "--wait")[0] == 1


def test_2_wrong_command_line(subclient: Subclient) -> None:
    for words in (
        ("--in-place", "--strip", "/srv"),
        ("--to", "/x", "--at", "yesterday"),
        ("--to", "/x", "--node", "nowhere"),
        ("--to", "/x", "--copy", "nowhere"),
    ):
        assert command("restore", subclient.path, *words)[0] == 2, words


def test_4_refused(subclient: Subclient) -> None:
    before = Job.objects.count()
    for words in (
        ("--to", "/x", "--at", "2001-01-01"),
        ("--to", "/x", "--snapshot", "no-such"),
        ("--to", "relative"),
    ):
        assert command("restore", subclient.path, *words)[0] == 4, words
    Snapshot.objects.update(state=SnapshotState.DELETED)
    assert command("restore", subclient.path, "--to", "/x", "--copy", "snapshot")[0] == 4
    assert Job.objects.count() == before
