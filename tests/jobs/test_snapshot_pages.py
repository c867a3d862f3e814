"""Mounting and reverting in the browser and by script: what is shown before, who may, what is launched (V4, S6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from jobs.models import Job, JobState, MountState, Operation, Snapshot, SnapshotMount
from jobs.runner import mounting
from jobs.services import launch_backup_copy, launch_snapshot, resubmit_job
from jobs.services.revert import ACCEPTED, SAFETY
from policies.models import AuditEntry, Subclient
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.job_factories import make_node
from tests.jobs import reverting_engine
from tests.jobs.farm import Farm, configure, picture, until
from tests.jobs.here import answering_here, run, work_off
from tests.jobs.test_commands import as_json, command
from tests.loopmounts import unmount


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    make_node()
    made = configure(tmp_path)
    (tmp_path / "source" / "file").write_text("one")
    return made


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this test's mounts go; none of them outlives it."""
    monkeypatch.setattr(mounting, "_base", lambda: tmp_path / "mounts")
    yield tmp_path / "mounts"
    unmount(tmp_path / "mounts")


@pytest.fixture
def answered() -> Iterator[None]:
    with answering_here():
        yield


def enter(role: Role) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def snap(subclient: Subclient) -> Snapshot:
    make_node()
    job = run(launch_snapshot(subclient))
    assert job.state == JobState.COMPLETED, picture()
    return Snapshot.objects.get(job=job)


@pytest.mark.system
def test_V4_a_snapshot_is_mounted_kept_and_unmounted_in_the_browser(subclient: Subclient, base: Path) -> None:
    snapshot = snap(subclient)
    client = enter(Role.OPERATOR)
    here = [snapshot.pk]
    form = client.get(reverse("snapshot-mount", args=here)).content.decode()
    assert "mounts/server-tree/tree" in form
    wrong = client.post(reverse("snapshot-mount", args=here), {"hours": "9999"})
    assert (wrong.status_code, Job.objects.filter(operation=Operation.MOUNT).exists()) == (422, False)
    answer = client.post(reverse("snapshot-mount", args=here), {"hours": "8"})
    job = Job.objects.get(operation=Operation.MOUNT)
    assert answer["Location"] == reverse("job", args=[job.pk])
    make_node()
    assert run(job).state == JobState.COMPLETED, picture()
    mount = SnapshotMount.objects.get()
    for page in (reverse("mount-list"), reverse("subclient", args=["server-tree", "tree"])):
        assert mount.path in client.get(page).content.decode()
    assert "It is mounted already." in client.get(reverse("snapshot-mount", args=here)).content.decode()
    before = mount.expires_at
    client.post(reverse("snapshot-keep-mounted", args=here))
    mount.refresh_from_db()
    assert mount.expires_at > before
    client.post(reverse("snapshot-unmount", args=here))
    make_node()
    work_off()
    mount.refresh_from_db()
    assert mount.state == MountState.UNMOUNTED, picture()
    assert "Nothing is mounted" in client.get(reverse("mount-list")).content.decode()
    assert client.post(reverse("snapshot-unmount", args=here)).status_code == 404
    told = [entry.sentence.split(":")[0] for entry in AuditEntry.objects.filter(user__username="operator")]
    assert len([one for one in told if one.startswith(("Mounted", "Kept mounted", "Unmounted"))]) == 3


@pytest.mark.system
def test_V4_the_commands_mount_list_and_unmount(subclient: Subclient, base: Path) -> None:
    snapshot = snap(subclient)
    assert command("mount", subclient.path, "--snapshot", "sc-nowhere")[0] == 2
    assert command("unmount", snapshot.name)[0] == 2
    code, lines = command("mount", subclient.path, "--hours", "2", "--json")
    (told,) = as_json(lines)
    assert (code, told["operation"], told["snapshot"]) == (0, "mount", snapshot.name)
    make_node()
    work_off()
    code, lines = command("mount", "--json")
    (listed,) = as_json(lines)
    assert (listed["snapshot"], listed["state"], listed["node"]) == (snapshot.name, "mounted", "one"), picture()
    assert command("mount", subclient.path)[0] == 4
    assert command("unmount", snapshot.name)[0] == 0
    make_node()
    work_off()
    assert command("mount")[1] == ["Nothing is mounted."]


def test_S6_the_preview_shows_what_changes_and_a_wrong_name_is_told(subclient: Subclient, answered: None) -> None:
    snapshot = snap(subclient)
    live = Path(subclient.content_paths[0])
    (live / "file").write_text("two")
    (live / "later").write_text("x")
    client = enter(Role.ADMIN)
    address = reverse("snapshot-revert", args=[snapshot.pk])
    page = client.get(address).content.decode()
    for words in ("is replaced", "is removed", str(live / "later"), "safety snapshot", "Revert the live data"):
        assert words in page
    wrong = client.post(address, {"confirmation": "other", "with_safety_snapshot": "on"})
    assert wrong.status_code == 422
    assert "This is not its name. Type “tree”." in wrong.content.decode()
    assert not Job.objects.filter(operation=Operation.REVERT).exists()
    client.post(address, {"confirmation": "tree", "with_safety_snapshot": "on"})
    job = Job.objects.get(operation=Operation.REVERT)
    assert (job.parameters[ACCEPTED], job.parameters[SAFETY]) == ([], True)
    make_node()
    assert run(job).state == JobState.COMPLETED, picture()
    assert (live / "file").read_text() == "one"
    with pytest.raises(Exception, match="A revert is not run again unseen"):
        resubmit_job(job)


def test_S6_newer_snapshots_that_would_be_lost_are_shown_with_their_jobs_and_accepted(
    subclient: Subclient, answered: None
) -> None:
    with reverting_engine.registered():
        reverting_engine.use_it(subclient)
        target, copied = snap(subclient), snap(subclient)
        run(launch_backup_copy(subclient))
        waiting = snap(subclient)
        client = enter(Role.ADMIN)
        address = reverse("snapshot-revert", args=[target.pk])
        page = client.get(address).content.decode()
        for words in (
            "Newer snapshots that the storage deletes with it: 2",
            copied.name,
            f"job {waiting.job_id}",
            "its backup copy stays",
            "It is no longer copied to backup.",
            "No safety snapshot is possible.",
        ):
            assert words in page
        client.post(address, {"confirmation": "tree", "accepted": [copied.name, waiting.name]})
        job = Job.objects.get(operation=Operation.REVERT)
        assert (job.parameters[ACCEPTED], job.parameters[SAFETY]) == (sorted([copied.name, waiting.name]), False)
        code, lines = command("revert", subclient.path, "--snapshot", target.name, "--preview", "--json")
        assert (code, lines) == (4, []), "a job is at it"


def test_S6_the_command_previews_and_wants_the_name(subclient: Subclient, answered: None) -> None:
    snapshot = snap(subclient)
    (Path(subclient.content_paths[0]) / "later").write_text("x")
    words = ("revert", subclient.path, "--snapshot", snapshot.name)
    code, lines = command(*words, "--preview", "--json")
    (told,) = as_json(lines)
    assert (code, told["removed"], told["lost"], told["can_be_safe"]) == (0, 1, [], True)
    assert command(*words, "--preview")[1][0] == "0 come back, 0 are replaced, 1 are removed"
    assert command(*words)[0] == 4
    assert command(*words, "--confirm", "tree")[0] == 0
    make_node()
    work_off()
    assert Job.objects.get(operation=Operation.REVERT).state == JobState.COMPLETED, picture()


def test_who_may(subclient: Subclient, answered: None) -> None:
    snapshot = snap(subclient)
    viewer, operator = enter(Role.VIEWER), enter(Role.OPERATOR)
    assert viewer.get(reverse("mount-list")).status_code == 200
    assert viewer.get(reverse("snapshot-mount", args=[snapshot.pk])).status_code == 403
    assert operator.get(reverse("snapshot-revert", args=[snapshot.pk])).status_code == 403
    page = operator.get(reverse("subclient", args=["server-tree", "tree"])).content.decode()
    assert reverse("snapshot-mount", args=[snapshot.pk]) in page
    assert reverse("snapshot-revert", args=[snapshot.pk]) not in page


def test_a_node_that_does_not_answer_is_a_sentence_on_the_page(
    subclient: Subclient, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = snap(subclient)
    monkeypatch.setattr("jobs.services.asking.SECONDS", 1.0)
    page = enter(Role.ADMIN).get(reverse("snapshot-revert", args=[snapshot.pk]))
    assert page.status_code == 503
    assert "The access node one did not answer within 1 s." in page.content.decode()
    assert "Look again" in page.content.decode()


def test_a_real_node_answers_over_the_queue(farm: Farm, subclient: Subclient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.services.asking.SECONDS", 60.0)
    launch_snapshot(subclient)
    until(Snapshot.objects.exists, what="the snapshot is taken")
    until(lambda: not Job.objects.exclude(state=JobState.COMPLETED).exists(), what="its job is over")
    (Path(subclient.content_paths[0]) / "later").write_text("x")
    page = enter(Role.ADMIN).get(reverse("snapshot-revert", args=[Snapshot.objects.get().pk])).content.decode()
    assert "is removed" in page, picture()
