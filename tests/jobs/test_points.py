"""Points of file servers that are read as dumps: snapshot jobs that only record, and what is refused in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.engine.errors import EngineUnsupported
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp import values as v
from jobs.models import CopyState, Job, JobState, Operation, Snapshot, SnapshotState
from jobs.restore_sources import choose_source
from jobs.rules.restore_source import NoSource
from jobs.selectors import sessions_of_file_server
from jobs.services import CannotLaunch, launch_backup_copy, launch_snapshot, launch_snapshot_deletion, launch_test
from jobs.services.live_folder import live_folder
from jobs.services.mounts import launch_mount
from jobs.services.reconcile import launch_reconcile, storages_of
from jobs.services.revert import launch_revert
from policies.models import Subclient
from policies.resolve import facts_found
from policies.services import create_copy, update_file_server, update_policy
from snapcopy_site.lib.roles import Role
from tests.engine.ndmp.filer import HOME, PASSWORD, Filer, Script, filer
from tests.factories import backup_copy_of, make_media, make_policy, make_subclient, make_user
from tests.filers import make_filer
from tests.job_factories import make_backup_copy, make_job, make_node, make_snapshot
from tests.jobs.farm import picture
from tests.jobs.here import answering_here, run


@pytest.fixture
def server() -> Iterator[Filer]:
    with filer(Script()) as one:
        yield one


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, server: Filer) -> Subclient:
    """Copies are made later, by nobody."""
    make_node()
    where = make_filer(host=HOME, port=server.port, profile="generic", password=PASSWORD)
    return make_subclient(file_server=where, policy=make_policy(media=make_media()), paths=("/vol/vol1",))


def point(subclient: Subclient) -> Snapshot:
    made = make_snapshot(subclient)
    make_backup_copy(made, backup_copy_of(subclient.policy), state=CopyState.TO_BE_COPIED)
    return made


def enter(role: Role = Role.OPERATOR) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def test_a_snapshot_job_records_a_point_with_its_level_and_touches_nothing(subclient: Subclient, server: Filer) -> None:
    for expected in ((0, "full"), (1, "incremental")):
        make_node()
        job = run(launch_snapshot(subclient))
        assert job.state == JobState.COMPLETED, picture()
        assert (job.level_number, job.ran_level) == expected
    first, second = Snapshot.objects.order_by("pk")
    assert (first.engine, first.content, first.state) == ("ndmp", ["/vol/vol1"], SnapshotState.PRESENT)
    assert first.taken_at < second.taken_at
    assert not [name for name in server.asked if name.startswith("DATA")]


def test_the_test_button_runs_on_a_node_and_its_page_shows_what_was_found(subclient: Subclient, server: Filer) -> None:
    job = run(launch_test(file_server=subclient.file_server))
    assert job.state == JobState.COMPLETED, picture()
    assert "NetApp Data ONTAP 9.16" in picture()
    subclient.file_server.refresh_from_db()
    assert facts_found(subclient.file_server)["vendor"] == "NetApp"
    assert (
        "ONTAP"
        in enter(Role.ADMIN)
        .get(reverse("policies:file_server_detail", args=[subclient.file_server_id]))
        .content.decode()
    )


@pytest.mark.parametrize("way", [launch_mount, partial(launch_revert, confirmation="home")], ids=["mount", "revert"])
def test_what_needs_a_snapshot_on_a_storage_is_refused_for_a_point(
    subclient: Subclient, way: Callable[[Snapshot], object]
) -> None:
    with pytest.raises(CannotLaunch, match="keeps no snapshots") as refused:
        way(point(subclient))
    assert "backup copies" in refused.value.hint


def test_v4_there_is_nothing_to_reconcile(subclient: Subclient) -> None:
    with pytest.raises(CannotLaunch, match="keeps no snapshots"):
        launch_reconcile(subclient.file_server)
    assert not storages_of(subclient).exists()
    page = enter().get(reverse("subclient", args=["filer1", "home"])).content.decode()
    assert "Reconcile now" not in page


def test_v1_a_point_serves_no_restore_and_no_node_is_asked_for_its_folders(subclient: Subclient) -> None:
    made = point(subclient)
    answer = choose_source(made)
    assert isinstance(answer, NoSource)
    assert "nothing of it lies on the file server" in answer.reason
    with answering_here(), pytest.raises(EngineUnsupported, match="keeps no snapshots"):
        live_folder(made, b"/vol/vol1")
    page = enter().get(reverse("browse", args=[made.pk])).content.decode()
    assert "known once it is catalogued" in page
    assert "copy it first" in page


def test_files_of_dumps_are_not_downloaded(subclient: Subclient) -> None:
    made = make_snapshot(subclient)
    make_backup_copy(made, backup_copy_of(subclient.policy))
    answer = enter().get(reverse("download-file", args=[made.pk]) + "?path=/vol/vol1/a", follow=True)
    assert "which only a file server reads" in answer.content.decode()


def test_deleting_a_point_deletes_nothing_and_says_so(subclient: Subclient, server: Filer) -> None:
    run(launch_snapshot(subclient))
    made, asked = Snapshot.objects.get(), list(server.asked_by_all())
    page = enter(Role.ADMIN).get(reverse("snapshot-delete", args=[made.pk])).content.decode()
    assert "nothing on the file server is deleted" in page
    job = run(launch_snapshot_deletion(made, forced_reason="a test"))
    assert job.state == JobState.COMPLETED, picture()
    made.refresh_from_db()
    assert made.state == SnapshotState.DELETED
    assert server.asked_by_all() == asked


def test_the_page_of_its_subclient_speaks_of_points_and_offers_nothing_that_cannot_be(subclient: Subclient) -> None:
    made = point(subclient)
    page = enter(Role.ADMIN).get(reverse("subclient", args=["filer1", "home"])).content.decode()
    assert "Points and their copies" in page
    assert "holds the files of that moment" in page, "the policy copies later"
    for address in ("mount", "revert", "browse"):
        assert f'id="{address}-{made.pk}"' not in page
    assert f'id="browse-live-{made.pk}"' not in page
    update_policy(subclient.policy, user=None, is_inline=True, catalog="inline")
    page = enter(Role.OPERATOR).get(reverse("subclient", args=["filer1", "home"])).content.decode()
    assert "holds the files of that moment" not in page


def test_n5_a_file_server_that_is_busy_is_asked_again_later(subclient: Subclient, server: Filer) -> None:
    server.script.greeting = m.ConnectionStatus(v.ConnectionReason.REFUSED, 4, "too many sessions")
    job = run(launch_snapshot(subclient))
    assert job.state == JobState.PENDING, picture()
    assert "takes no further NDMP session: too many sessions" in f"{job.state_reason} {job.error_sentence}"


def test_b11_dumps_and_restores_share_the_sessions_of_a_file_server_and_fed_copies_take_none(
    subclient: Subclient,
) -> None:
    policy, server = subclient.policy, subclient.file_server
    node = make_node(slots=8)
    fed = create_copy(policy, user=None, name="fed", media=make_media(name="other"), source=backup_copy_of(policy))
    make_job(operation=Operation.BACKUP_COPY, subclient=subclient, copy=fed, node=node)
    make_job(
        operation=Operation.RESTORE,
        subclient=subclient,
        node=node,
        parameters={"file_server": {"id": server.pk, "name": server.name}},
    )
    update_file_server(server, user=None, max_sessions=2)
    point(subclient)
    assert launch_backup_copy(subclient).state == JobState.QUEUED
    assert sessions_of_file_server(server.pk) == 2
    Job.objects.filter(operation=Operation.BACKUP_COPY, copy=backup_copy_of(policy)).update(
        state=JobState.KILLED, finished_at=timezone.now()
    )
    update_file_server(server, user=None, max_sessions=1)
    waiting = launch_backup_copy(subclient)
    assert (waiting.state, waiting.state_reason) == (JobState.WAITING, "filer1 already has 1 of 1 NDMP sessions.")
