"""RULES V2: conflicts and space are looked at on the node and shown before a restore; J6: only what failed, again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs.models import Job, JobState, Operation, Snapshot
from jobs.selectors import jobs_needing_attention
from jobs.services import launch_backup_copy, launch_restore, launch_snapshot, resubmit_job
from policies.models import AuditEntry, Subclient, UserScope
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.job_factories import make_job, make_node, make_snapshot
from tests.jobs.farm import backup_copy_of, configure, picture
from tests.jobs.here import run
from tests.odd_tree import describe_tree


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    """Snapped, with one file in it whose name is not UTF-8."""
    make_node()
    made = configure(tmp_path)
    source = tmp_path / "source"
    for name in (b"lost", b"changed", b"newer", b"same", b"odd \xff"):
        (source / os.fsdecode(name)).write_bytes(name * 100)
        os.utime(source / os.fsdecode(name), (10**9, 10**9))
    run(launch_snapshot(made))
    return made


@pytest.fixture
def source(subclient: Subclient) -> Path:
    """The live data: one file is gone, one was damaged with an old time, one is newer."""
    path = Path(subclient.content_paths[0])
    (path / "lost").unlink()
    (path / "changed").write_bytes(b"damaged")
    os.utime(path / "changed", (10**8, 10**8))
    (path / "newer").write_bytes(b"newer")
    return path


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    return client


def ask(operator: Client, source: Path, **values: object) -> str:
    """Fill in the form for the whole source and ask for a preview; returns the address of the preview."""
    point = Snapshot.objects.get()
    given = {
        "paths": [os.fsencode(source).hex()],
        "where": "in_place",
        "overwrite": "if newer",
        "with_metadata": "on",
        "order": "preview",
    }
    answer = operator.post(reverse("restore-start", args=(point.pk,)), given | values)
    job = Job.objects.get(operation=Operation.RESTORE)
    address = reverse("restore-preview", args=(job.pk,))
    assert answer.headers["Location"] == address
    return address


def test_V2_a_restore_in_place_is_previewed_confirmed_and_carried_out(
    operator: Client, source: Path, subclient: Subclient
) -> None:
    address = ask(operator, source)
    waiting = operator.get(address).content.decode()
    assert "hx-get" in waiting
    assert "<noscript>" in waiting
    preview = run(Job.objects.get(operation=Operation.RESTORE))
    assert preview.state == JobState.COMPLETED, picture()
    with CaptureQueriesContext(connection) as asked:
        page = operator.get(address)
    assert len(asked) <= 8, "the same for any number of conflicts"
    html = page.content.decode()
    assert [(row.name.rpartition("/")[2], row.fate, row.is_newer) for row in page.context["conflicts"]] == [
        ("changed", "replaced", False),
        ("newer", "kept", True),
    ]
    assert "Restore 2 files, replacing 1" in html
    assert "hx-get" not in html.partition('id="preview"')[2]
    assert (source / "changed").read_bytes() == b"damaged", "nothing was written yet"
    answer = operator.post(reverse("restore-previewed", args=(preview.pk,)))
    job = Job.objects.filter(operation=Operation.RESTORE).latest("pk")
    assert answer.headers["Location"] == reverse("job", args=(job.pk,))
    assert (job.parameters["dry_run"], job.parameters["in_place"]) == (False, True)
    assert job.parameters["expected"]["files"] == 5
    entry = AuditEntry.objects.get(sentence__startswith="Restore of 1 path")
    assert f"{subclient.path} in place, existing files: if newer: job {job.pk}" in entry.sentence
    job = run(job)
    assert (job.state, job.files_total) == (JobState.COMPLETED, 5), picture()
    assert {path.name: path.read_bytes() for path in source.iterdir()} == {
        "lost": b"lost" * 100,
        "changed": b"changed" * 100,
        "newer": b"newer",
        "same": b"same" * 100,
        "odd \udcff": b"odd \xff" * 100,
    }


def test_the_form_begins_with_what_was_previewed(operator: Client, source: Path) -> None:
    address = ask(operator, source, where="elsewhere", target="/some/where", overwrite="never", layout="full")
    run(Job.objects.get(operation=Operation.RESTORE))
    change = operator.get(address).context["change"]
    form = operator.get(change).context["form"]
    assert form["target"].value() == "/some/where"
    assert (form["overwrite"].value(), form["where"].value()) == ("never", "elsewhere")


def test_a_preview_that_fails_says_why_and_offers_no_restore(operator: Client, source: Path) -> None:
    address = ask(operator, source, paths=[b"/not/there".hex()])
    assert run(Job.objects.get(operation=Operation.RESTORE)).state == JobState.FAILED
    html = operator.get(address).content.decode()
    assert "is not in this snapshot" in html
    assert 'id="restore-now"' not in html
    assert not jobs_needing_attention().exists(), "what a dry run finds is its answer"


def test_space_that_is_lacking_is_said_first(operator: Client, subclient: Subclient) -> None:
    figures = ("files_new", "files_replaced", "files_alike", "files_same", "files_kept", "existing", "newer", "older")
    found: dict[str, object] = dict.fromkeys((*figures, "conflicts_total"), 0) | {"conflicts": []}
    found |= {"spaces": [{"where": "/srv", "needed_bytes": 2**40, "free_bytes": 2**30}]}
    job = make_job(
        operation=Operation.RESTORE,
        state=JobState.COMPLETED,
        subclient=subclient,
        parameters={"paths": [], "target": "/back", "dry_run": True, "overwrite": "never"},
        result={"preview": found},
    )
    html = operator.get(reverse("restore-preview", args=(job.pk,))).content.decode()
    assert "There is not enough space" in html
    assert "1.00 TiB needed, 1.00 GiB free" in html


def test_a_preview_is_for_operators_who_see_the_subclient(subclient: Subclient, source: Path) -> None:
    point = Snapshot.objects.get()
    preview = launch_restore(point, target="/back", dry_run=True)
    done = make_job(operation=Operation.RESTORE, state=JobState.COMPLETED, subclient=subclient)
    names = ("restore-preview", "restore-preview-live")
    for client, status in ((Client(), 403), (Client(), 404)):
        user = make_user(Role.VIEWER if status == 403 else Role.OPERATOR)
        if status == 404:
            UserScope.objects.create(user=user)
        client.force_login(user)
        assert {client.get(reverse(name, args=(preview.pk,))).status_code for name in names} == {status}
        assert client.post(reverse("restore-previewed", args=(preview.pk,))).status_code == status
    UserScope.objects.all().delete()
    assert client.get(reverse("restore-preview", args=(done.pk,))).status_code == 404, "it is no preview"


def test_in_place_needs_no_target_and_elsewhere_does(operator: Client, subclient: Subclient) -> None:
    point = make_snapshot(subclient, n=1)
    address = reverse("restore-start", args=(point.pk,))
    values = {"paths": [b"/srv".hex()], "overwrite": "always", "where": "elsewhere"}
    assert "target" in operator.post(address, values).context["form"].errors
    assert operator.post(address, values | {"where": "in_place"}).status_code == 302
    assert Job.objects.get(operation=Operation.RESTORE).parameters["target"] == "/"


@pytest.mark.parametrize("kind", ["snapshot", "media"])
def test_J6_a_retry_restores_only_the_paths_that_failed(
    operator: Client, subclient: Subclient, tmp_path: Path, kind: str
) -> None:
    if kind == "media":
        run(launch_backup_copy(subclient))
    copy = backup_copy_of(subclient) if kind == "media" else None
    back = tmp_path / "back" / subclient.content_paths[0][1:]
    for name in ("same", "odd \udcff"):
        (back / name / "in the way").mkdir(parents=True)
    job = run(launch_restore(Snapshot.objects.get(), copy, target=str(tmp_path / "back")))
    assert job.state == JobState.COMPLETED_WITH_ERRORS, picture()
    assert job.exceptions_count == 2
    assert "Retry the failed files" in operator.get(reverse("job", args=[job.pk])).content.decode()
    for name in ("same", "odd \udcff"):
        (back / name / "in the way").rmdir()
        (back / name).rmdir()
    again = run(resubmit_job(job))
    assert again.state == JobState.COMPLETED, picture()
    assert again.files_done == 2
    assert again.events.get(code="only-the-failed").sentence == f"Only the 2 paths that job {job.pk} could not restore."
    assert again.parameters["source"] == kind
    restored, wanted = describe_tree(back), describe_tree(subclient.content_paths[0])
    assert {path: entry for path, entry in restored.items() if path} == {
        path: entry for path, entry in wanted.items() if path
    }
    assert "Retry the failed files" not in operator.get(reverse("job", args=[again.pk])).content.decode()
