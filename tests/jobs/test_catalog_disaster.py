"""A catalog that is lost as a whole comes back from the media alone, row by row, also when its rebuild is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs import tasks
from jobs.catalog.loading import load
from jobs.engine.plan import Secret
from jobs.models import (
    BackupCopy,
    CatalogFolder,
    CatalogOwner,
    CatalogState,
    CatalogVersion,
    Job,
    JobState,
    Operation,
    Snapshot,
)
from jobs.services import forget_lost, launch_backup_copy, launch_snapshot, launch_snapshot_deletion
from jobs.services.sweep import sweep
from policies import services as configuration
from policies.models import AccessNode, Copy, FileServer, Subclient
from policies.secrets import REPOSITORY_PASSWORD
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.forks import fork
from tests.job_factories import make_node
from tests.jobs.farm import _forget_inherited_connections, configure, is_let_go, picture, until
from tests.jobs.here import run, work_off
from tests.jobs.test_commands import as_json, command

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(tmp_path: Path, redis_url: str) -> dict[str, Subclient]:
    """Three subclients with histories: odd names, moved folders, aged points, snapshots that are gone, two copies."""
    make_node(slots=4)
    made = {}
    for name in ("first", "second", "off"):
        made[name] = configure(tmp_path / name, name=name, catalog="inline")
    second = configuration.create_media(
        name="vault",
        kind="disk",
        options={"path": str(tmp_path / "vault"), "create_directory": True, "fsync": False},
        secrets={REPOSITORY_PASSWORD: Secret("another")},
        user=None,
    )
    first_copy = Copy.objects.get(policy=made["second"].policy, kind="primary_backup")
    configuration.create_copy(
        made["second"].policy, name="vault", kind="secondary_backup", source=first_copy, media=second, user=None
    )
    for name, subclient in made.items():
        _live(subclient, tmp_path / name / "source", points=1 if name == "off" else 4)
    _age(made["first"], which=1)
    _age(made["second"], which=0, only_from_the_first_copy=True)
    run(launch_snapshot_deletion(made["first"].snapshots.earliest("taken_at")))
    Subclient.objects.filter(pk=made["off"].pk).update(is_active=False)
    return made


def _live(subclient: Subclient, source: Path, *, points: int) -> None:
    """Each point with other files, and copied."""
    (source / "a" / "deep").mkdir(parents=True)
    (source / "a" / "one").write_text("1")
    (source / "a" / "deep" / os.fsdecode(b"n\xffn utf8")).write_text("odd")
    (source / "link").symlink_to("a/one")
    (source / "large").write_bytes(b"so that the source guard sees no loss" * 100)
    _point(subclient)
    if points == 1:
        return
    (source / "a" / "one").write_text("longer")
    (source / "briefly").write_text("in one point only")
    _point(subclient)
    (source / "briefly").unlink()
    (source / "a" / "deep").rename(source / "moved")
    _point(subclient)
    (source / "a" / "one").unlink()
    (source / "a").rmdir()
    (source / "a").write_text("a file now")
    _point(subclient)


def _point(subclient: Subclient) -> None:
    assert run(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
    for copy in Copy.objects.filter(policy=subclient.policy, media__isnull=False).order_by("precedence"):
        assert run(launch_backup_copy(subclient, copy)).state == JobState.COMPLETED, picture()


def _age(subclient: Subclient, *, which: int, only_from_the_first_copy: bool = False) -> None:
    """A point whose retention is over; where it is left in another copy, the catalog keeps it."""
    snapshot = list(subclient.snapshots.order_by("taken_at"))[which]
    rows = BackupCopy.objects.filter(snapshot=snapshot)
    if only_from_the_first_copy:
        rows = rows.filter(copy__kind="primary_backup")
    rows.update(state="aged", aged_at=timezone.now())
    run(launch_snapshot_deletion(snapshot))
    forget_lost()
    snapshot.refresh_from_db()
    assert (snapshot.catalog_state == CatalogState.AGED) != only_from_the_first_copy


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all catalog tables by value, without the numbers of rows; and what snapshots say of themselves."""
    owner = ("owner__uid", "owner__gid", "owner__user", "owner__group")
    version = ("kind", "size", "files", "mtime_ns", "mode", *owner, "link_target", "first_at", "until_at")
    tables = {
        "owners": CatalogOwner.objects.values_list("uid", "gid", "user", "group"),
        "folders": CatalogFolder.objects.values_list("subclient", "path", "name", "depth", "parent__path"),
        "versions": CatalogVersion.objects.values_list("subclient", "folder__path", "name", *version),
        "snapshots": Snapshot.objects.values_list("name", "catalog_state"),
    }
    return {name: sorted(rows, key=str) for name, rows in tables.items()}


def lose_the_catalog() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE jobs_catalogversion, jobs_catalogfolder, jobs_catalogowner")
    assert not CatalogFolder.objects.exists()


def storages_are_away() -> None:
    """Nothing of the file servers can be read any more."""
    for server in FileServer.objects.all():
        area = Path(str(server.options["area"]))
        area.rename(area.with_name("away"))


def test_s4_a_lost_catalog_comes_back_from_the_media_row_by_row_also_when_its_rebuild_is_killed(
    world: dict[str, Subclient], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything()
    assert len(before["versions"]) > 30
    assert {subclient for subclient, *_ in before["folders"]} == {one.pk for one in world.values()}
    lose_the_catalog()
    storages_are_away()
    code, lines = command("catalog", "rebuild", "--all", "--from-media", "--json")
    assert (code, [job["subclient"] for job in as_json(lines)]) == (0, sorted(one.path for one in world.values()))

    AccessNode.objects.update(last_seen_at=timezone.now())
    sweep()
    queued = Job.objects.filter(operation=Operation.CATALOG, state=JobState.QUEUED).order_by("pk")
    killed = [job for job in queued if job.subclient != world["off"]]
    assert len(killed) == 2
    for job in killed:
        _killed_at_the_third_snapshot(job, monkeypatch)
    half = Job.objects.get(pk=killed[0].pk)
    assert (half.state, half.checkpoint["snapshots"]) == (JobState.RUNNING, 3)
    client = Client()
    client.force_login(make_user(Role.VIEWER))
    assert "of 3 snapshots" in client.get(reverse("job", args=[half.pk])).content.decode()

    work_off()
    for job in Job.objects.filter(operation=Operation.CATALOG):
        assert (job.state, job.attempt) == (JobState.COMPLETED, 2 if job in killed else 1), picture()
        assert job.checkpoint["looked_at"] == job.checkpoint["snapshots"]
        assert (job.result["snapshots"] < job.checkpoint["snapshots"]) == (job in killed), "what was in stays in"
    assert everything() == before


def _killed_at_the_third_snapshot(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """``kill -9`` of the process that works on it, in the middle of a transaction."""
    child = fork()
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        until(lambda: is_let_go(job), what="its lock is free")
        return
    try:
        _forget_inherited_connections()
        real, loaded = load, list[object]()

        def load_and_die(*arguments: object, **named: object) -> object:
            loaded.append(real(*arguments, **named))  # type: ignore[arg-type]
            if len(loaded) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return loaded[-1]

        monkeypatch.setattr("jobs.runner.cataloguing.load", load_and_die)
        tasks.run(job.pk, job.attempt)
    finally:
        os._exit(0)


def test_s4_what_was_never_copied_is_named_where_only_the_media_are_left(tmp_path: Path, redis_url: str) -> None:
    make_node()
    subclient = configure(tmp_path, catalog="inline")
    (tmp_path / "source" / "file").write_text("something")
    _point(subclient)
    run(launch_snapshot(subclient))
    newest = subclient.snapshots.latest("taken_at")
    lose_the_catalog()
    command("catalog", "rebuild", subclient.path, "--from-media")
    (job,) = work_off()
    assert (job.state, job.result["failed"]) == (JobState.COMPLETED_WITH_ERRORS, 1)
    assert newest.name in " ".join(job.events.values_list("sentence", flat=True))
