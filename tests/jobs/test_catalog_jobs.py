"""Catalog jobs over real snapshots and repositories: inline, deferred, skipped, rebuilt, and forgotten (RULES S4)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.catalog.loading import load
from jobs.catalog.names import to_bytes
from jobs.models import BackupCopy, CatalogState, CatalogVersion, Initiator, Job, JobState, Operation, Snapshot
from jobs.runner.orders import MustStop
from jobs.services import (
    CannotLaunch,
    NothingNew,
    forget_lost,
    launch_backup_copy,
    launch_catalog,
    launch_catalogs,
    launch_snapshot,
    launch_snapshot_deletion,
    run_schedule_now,
)
from policies.models import CatalogMode, ScheduledOperation, StoragePolicy, Subclient
from snapcopy_site.lib.roles import Role
from tests.catalog.histories import all_rows, found_at
from tests.factories import make_schedule, make_user
from tests.job_factories import make_node
from tests.jobs.farm import configure
from tests.jobs.here import run, work_off

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small tree with odd names."""
    folder = tmp_path / "source"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "one").write_text("1")
    (folder / "a" / "two").write_text("22")
    (folder / os.fsdecode(b"n\xffn utf8")).write_text("odd")
    (folder / "link").symlink_to("a/one")
    return folder


@pytest.fixture
def subclient(source: Path, tmp_path: Path, redis_url: str) -> Subclient:
    make_node()
    return configure(tmp_path)


def catalogued(subclient: Subclient, mode: str, *, is_inline: bool = False) -> None:
    StoragePolicy.objects.filter(pk=subclient.policy_id).update(catalog=mode, is_inline=is_inline)
    subclient.policy.refresh_from_db()


def snap(subclient: Subclient, *, initiator: str = Initiator.PERSON) -> Snapshot:
    job = run(launch_snapshot(subclient, initiator=initiator))
    assert job.state == JobState.COMPLETED, list(job.events.values_list("sentence", flat=True))
    return Snapshot.objects.get(job=job)


def copied(subclient: Subclient) -> Job:
    job = run(launch_backup_copy(subclient))
    assert job.state == JobState.COMPLETED, list(job.events.values_list("sentence", flat=True))
    return job


def held(snapshot: Snapshot) -> dict[bytes, tuple[str, int]]:
    """What the catalog says is in the content of a snapshot, by path below it: kind and size."""
    (content,) = (os.fsencode(path) for path in snapshot.content)
    rows = found_at(snapshot.subclient_id, snapshot.taken_at)
    return {path[len(content) + 1 :]: row[:2] for path, row in rows.items() if path.startswith(content + b"/")}


TREE = {
    b"a": ("d", 3),
    b"a/one": ("f", 1),
    b"a/two": ("f", 2),
    b"n\xffn utf8": ("f", 3),
    b"link": ("l", 0),
}


def test_s4_inline_is_a_phase_of_the_snapshot_job(subclient: Subclient, source: Path) -> None:
    catalogued(subclient, CatalogMode.INLINE)
    snapshot = snap(subclient)
    assert snapshot.catalog_state == CatalogState.DONE
    assert held(snapshot) == TREE
    assert snapshot.job is not None
    phases = list(snapshot.job.phases.values_list("name", flat=True))
    assert phases == ["prepare", "snapshot", "catalog", "finish"]
    (source / "a" / "two").unlink()
    assert held(snap(subclient)) == {name: row for name, row in TREE.items() if name != b"a/two"} | {b"a": ("d", 1)}


def test_s4_an_inline_copy_catalogues_what_it_wrote_without_a_look_at_the_source(
    subclient: Subclient, source: Path
) -> None:
    catalogued(subclient, CatalogMode.INLINE, is_inline=True)
    first = snap(subclient)
    copy = Job.objects.get(operation=Operation.BACKUP_COPY)
    assert list(copy.phases.values_list("name", flat=True))[-1] == "catalog"
    assert (copy.files_done, copy.bytes_done) == (3, 6), "the copy's own figures stay"
    assert held(first) == TREE
    assert "All trees of its backup copy were read" in Snapshot.objects.get().catalog_reason
    (source / "new").write_text("new")
    second = snap(subclient)
    second.refresh_from_db()
    assert held(second) == TREE | {b"new": ("f", 3)}
    assert "were compared with those of the catalogued one before" in second.catalog_reason


def test_s4_a_deferred_catalog_is_a_job_of_a_schedule_and_takes_the_oldest_first(
    subclient: Subclient, source: Path
) -> None:
    catalogued(subclient, CatalogMode.DEFERRED)
    first = snap(subclient)
    (source / "a" / "one").write_text("longer")
    second = snap(subclient)
    assert {first.catalog_state, second.catalog_state} == {CatalogState.PENDING}
    assert not CatalogVersion.objects.exists()
    (job,) = launch_catalogs(scope=subclient.policy, initiator=Initiator.SCHEDULE).jobs
    assert run(job).state == JobState.COMPLETED
    assert held(first) == TREE
    assert held(second) == TREE | {b"a/one": ("f", 6), b"a": ("d", 8)}
    assert job.result | {"snapshots": 2, "failed": 0} == job.result
    with pytest.raises(NothingNew):
        launch_catalog(subclient)


def test_s4_skipped_snapshots_and_those_of_which_only_a_copy_is_left_can_be_catalogued_later(
    subclient: Subclient, source: Path
) -> None:
    first = snap(subclient)
    copied(subclient)
    (source / "a" / "two").unlink()
    second = snap(subclient)
    copied(subclient)
    run(launch_snapshot_deletion(first))
    with pytest.raises(NothingNew):
        launch_catalog(subclient)
    assert run(launch_catalog(subclient, everything=True)).state == JobState.COMPLETED
    assert held(first) == TREE
    assert held(second) == {name: row for name, row in TREE.items() if name != b"a/two"} | {b"a": ("d", 1)}


def test_s4_rebuilt_from_the_repositories_alone_it_is_what_it_was(subclient: Subclient, source: Path) -> None:
    catalogued(subclient, CatalogMode.INLINE)
    for text in ("", "more", "much more"):
        (source / "changing").write_text(text)
        snap(subclient)
        copied(subclient)
    before = all_rows(subclient.pk)
    assert len(before) > len(TREE)
    CatalogVersion.objects.all().delete()
    Path(subclient.file_server.options["area"]).rename(source.parent / "the storage is away")
    job = run(launch_catalog(subclient, rebuild=True, media_only=True))
    assert job.state == JobState.COMPLETED, list(job.events.values_list("sentence", flat=True))
    assert all_rows(subclient.pk) == before


def test_s4_what_cannot_be_catalogued_is_told_and_stops_no_other(subclient: Subclient, source: Path) -> None:
    catalogued(subclient, CatalogMode.DEFERRED)
    first, second = snap(subclient), snap(subclient)
    shutil.rmtree(Path(subclient.file_server.options["area"]) / first.name)
    job = run(launch_catalog(subclient))
    assert job.state == JobState.COMPLETED_WITH_ERRORS
    first.refresh_from_db()
    assert first.catalog_state == CatalogState.FAILED
    assert first.catalog_reason
    assert held(second) == TREE


def test_s4_a_failed_catalog_phase_never_fails_the_copy(
    subclient: Subclient, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    catalogued(subclient, CatalogMode.INLINE, is_inline=True)
    monkeypatch.setattr("jobs.runner.cataloguing.load_index", full)
    run(launch_snapshot(subclient))
    row = BackupCopy.objects.get()
    assert row.state == "copied"
    assert Job.objects.get(operation=Operation.BACKUP_COPY).state == JobState.COMPLETED_WITH_ERRORS
    assert Snapshot.objects.get().catalog_state == CatalogState.FAILED
    monkeypatch.undo()
    snapshot = snap(subclient)
    assert [held(one) for one in Snapshot.objects.all()] == [TREE, TREE]
    assert snapshot.is_present


def test_r4_what_is_neither_on_the_storage_nor_on_media_leaves_the_catalog(subclient: Subclient, source: Path) -> None:
    catalogued(subclient, CatalogMode.INLINE)
    first = snap(subclient)
    (source / "a" / "two").unlink()
    second = snap(subclient)
    copied(subclient)
    run(launch_snapshot_deletion(first))
    assert forget_lost() == 0
    now = timezone.now()
    BackupCopy.objects.filter(snapshot=first).update(state="aged", aged_at=now)
    assert forget_lost() == 1
    assert Snapshot.objects.get(pk=first.pk).catalog_state == CatalogState.AGED
    assert held(second) == {name: row for name, row in TREE.items() if name != b"a/two"} | {b"a": ("d", 1)}
    assert b"two" not in {to_bytes(name) for name in CatalogVersion.objects.values_list("name", flat=True)}


def test_only_one_job_catalogues_a_subclient(subclient: Subclient) -> None:
    catalogued(subclient, CatalogMode.DEFERRED)
    snap(subclient)
    running = launch_catalog(subclient)
    with pytest.raises(CannotLaunch, match=f"Job {running.pk} is already cataloguing"):
        launch_catalog(subclient)
    work_off()


def test_s4_a_schedule_launches_the_deferred_catalog(subclient: Subclient) -> None:
    catalogued(subclient, CatalogMode.DEFERRED)
    snap(subclient)
    schedule = make_schedule(subclient, name="catalog", operation=ScheduledOperation.CATALOG)
    run_schedule_now(schedule, user=None)
    work_off()
    assert Job.objects.get(operation=Operation.CATALOG).state == JobState.COMPLETED


def test_the_command_makes_what_is_missing_and_all_of_it_anew(
    subclient: Subclient, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = snap(subclient)
    call_command("catalog", "build", subclient.path)
    work_off()
    assert held(snapshot) == TREE
    call_command("catalog", "build", "--policy", subclient.policy.name)
    assert "Nothing new" in capsys.readouterr().out
    call_command("catalog", "rebuild", "--all")
    work_off()
    assert held(snapshot) == TREE
    with pytest.raises(CommandError, match="goes with nothing else"):
        call_command("catalog", "build", subclient.path, "--all")


def test_a_killed_rebuild_goes_on_where_it_was(
    subclient: Subclient, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogued(subclient, CatalogMode.INLINE)
    first = snap(subclient)
    (source / "a" / "two").unlink()
    second = snap(subclient)
    before = all_rows(subclient.pk)
    real, seen = load, []

    def die_at_the_second(*arguments: object, **named: object) -> object:
        seen.append(arguments)
        if len(seen) == 2:
            raise MustStop("the node stops", lost=False)
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("jobs.runner.cataloguing.load", die_at_the_second)
    job = run(launch_catalog(subclient, rebuild=True))
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert [arguments[1] for arguments in seen] == [first.taken_at, second.taken_at, second.taken_at]
    assert all_rows(subclient.pk) == before


def test_a_page_offers_to_catalogue_what_is_not(subclient: Subclient, source: Path, client: Client) -> None:
    client.force_login(make_user(Role.OPERATOR))
    page = reverse("subclient", args=(subclient.file_server.name, subclient.name))
    snapshot = snap(subclient)
    assert "Catalog now" in client.get(page).content.decode()
    client.post(reverse("catalog-now", args=(subclient.file_server.name, subclient.name)))
    work_off()
    assert held(snapshot) == TREE
    assert "Catalog now" not in client.get(page).content.decode()
