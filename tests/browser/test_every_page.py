"""Every page: accessible in light and dark, no sideways scrolling at 360 px, nothing on the console."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs.models import BackupCopy, CopyState
from jobs.services.schedules import run_schedule_now
from policies.models import AccessNode, FileServer, Media, StoragePolicy
from policies.services import Limits, ensure_repository, set_user_scope
from snapcopy_site.lib.roles import Role
from tests.browser.accessibility import inspect
from tests.browser.conftest import Visit
from tests.browser.world import World, make_world
from tests.factories import make_blackout_window, make_schedule, make_user
from tests.jobs.here import answering_here
from tests.jobs.test_medium_page import dead_pid, write_lock


@pytest.fixture
def world(visit: Visit) -> World:
    return make_world()


def test_pages_of_the_work_are_accessible_and_fit(visit: Visit, world: World) -> None:
    subclient = world.home
    inspect(
        visit,
        "/",
        "/protect/",
        reverse("subclient", args=(subclient.file_server.name, subclient.name)),
        "/jobs/",
        "/jobs/?state=failed",
        "/jobs/?state=killed",
        *(f"/jobs/{job.pk}/" for job in (world.running, world.failed, world.partial, world.waiting)),
        "/restore/",
        reverse("restore-start", args=(world.copied.snapshot_id,)) + "?path=/srv/home",
    )


def test_pages_of_the_configuration_are_accessible_and_fit(visit: Visit, world: World) -> None:
    policy = StoragePolicy.objects.get()
    server, node = FileServer.objects.get(), AccessNode.objects.get(name="backup-1")
    inspect(
        visit,
        "/policies/",
        f"/policies/{policy.pk}/",
        f"/policies/{policy.pk}/edit/",
        f"/policies/{policy.pk}/delete/",
        f"/policies/{policy.pk}/copies/add/",
        f"/policies/{policy.pk}/copies/add/?kind=secondary_snap",
        f"/copies/{world.copy.pk}/edit/",
        f"/copies/{policy.copies.get(kind='primary_snap').pk}/edit/",
        "/policies/add/",
        "/settings/",
        "/media/",
        "/nodes/",
        f"/nodes/{node.pk}/",
        f"/nodes/{node.pk}/edit/",
        "/file-servers/",
        f"/file-servers/{server.pk}/",
        f"/file-servers/{server.pk}/edit/",
        "/subclients/",
        f"/subclients/{world.home.pk}/edit/",
        "/start/",
        "/users/",
        "/users/add/",
        "/activity/",
        "/account/password/",
        "/docs/",
        "/docs/errors/",
    )


def test_pages_of_one_medium_are_accessible_and_fit(visit: Visit, world: World, tmp_path: Path) -> None:
    """With a repository, a lock that a dead process left, and a form whose limits are open."""
    Media.objects.update(options={"path": str(tmp_path / "disk-a"), "create_directory": True}, bandwidth_limit=1 << 20)
    medium = Media.objects.get()
    AccessNode.objects.update(hostname=socket.gethostname())
    ensure_repository(medium).media.close()
    write_lock(medium, host=socket.gethostname(), pid=dead_pid(), age=timedelta(minutes=3))
    below = f"/media/{medium.pk}"
    with answering_here():
        inspect(visit, *(f"{below}/{page}/" for page in ("locks", "attach", "recovery", "edit")))
    inspect(visit, f"{below}/", "/media/attach/", "/media/add/?kind=s3")


def test_pages_of_schedules_are_accessible_and_fit(visit: Visit, world: World) -> None:
    now = timezone.now()
    nightly = make_schedule(world.home, name="nightly-incremental", cron="0 20 * * *", now=now - timedelta(days=2))
    make_schedule(world.home, name="every-quarter-of-an-hour-by-day", cron="*/15 8-18 * * *", time_zone="Europe/Berlin")
    window = make_blackout_window()
    run_schedule_now(nightly, user=None)
    inspect(
        visit,
        "/schedules/",
        "/schedules/calendar/",
        f"/schedules/{nightly.pk}/",
        "/schedules/add/",
        f"/schedules/{nightly.pk}/edit/",
        f"/schedules/{nightly.pk}/delete/",
        "/schedules/blackouts/",
        f"/schedules/blackouts/{window.pk}/edit/",
        "/jobs/waiting/",
        "/jobs/restarts/",
        "/jobs/restarts/backup_copy/edit/",
    )


def test_pages_of_alarms_and_scopes_are_accessible_and_fit(visit: Visit, world: World) -> None:
    BackupCopy.objects.filter(state=CopyState.TO_BE_COPIED).update(selected_at=timezone.now() - timedelta(days=20))
    person = make_user(Role.OPERATOR, username="somebody")
    set_user_scope(person, Limits(file_servers=[world.home.file_server], subclients=[world.home]), user=None)
    inspect(visit, "/", f"/users/{person.pk}/", f"/users/{person.pk}/edit/", "/users/")


def test_the_first_page_of_an_empty_installation_is_accessible_and_fits(visit: Visit) -> None:
    inspect(visit, "/", "/protect/", "/jobs/", "/restore/", "/media/", "/policies/", "/nodes/")


def test_pages_for_strangers_are_accessible_and_fit(visit: Visit) -> None:
    inspect(visit, "/sign-in/", "/sign-in/no-such-link/", role=None, expected=("410",))


def test_pages_that_refuse_are_accessible_and_fit(visit: Visit) -> None:
    inspect(visit, "/users/", "/no/such/page/", role=Role.VIEWER, expected=("403", "404"))
