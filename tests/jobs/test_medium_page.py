"""The page of a medium: its figures and forecast, and the locks on its repository with their clearing (J3, D3)."""

from __future__ import annotations

import os
import socket
import subprocess
from datetime import timedelta

import orjson
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from jobs.engine.errors import RepositoryLocked
from jobs.engine.repository.layout import FileKind
from jobs.engine.repository.lock import locked
from jobs.engine.repository.repository import Repository
from jobs.models import JobState, Operation
from jobs.selectors_pages.medium import figures_of
from jobs.services.locks import clear_lock, locks_on
from policies.models import AuditEntry, Copy, Media, Subclient
from policies.resolve import media_password, resolve_media
from policies.services import ensure_repository
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.job_factories import make_job, make_node
from tests.jobs.farm import backup_copy_of
from tests.jobs.here import answering_here

DAY = timedelta(days=1)


@pytest.fixture
def medium(subclient: Subclient) -> Media:
    """With a repository, reached by a node on this host."""
    make_node(hostname=socket.gethostname())
    copy = backup_copy_of(subclient)
    assert copy.media is not None
    ensure_repository(copy.media).media.close()
    copy.media.refresh_from_db()
    return copy.media


def grown(copy: Copy, *sizes: int, free: int) -> Media:
    """A copy each day, the last one now."""
    now = timezone.now()
    for number, size in enumerate(sizes):
        make_job(
            operation=Operation.BACKUP_COPY,
            state=JobState.COMPLETED,
            copy=copy,
            finished_at=now - DAY * (len(sizes) - 1 - number),
            bytes_stored=size,
        )
    assert copy.media is not None
    Media.objects.filter(pk=copy.media.pk).update(total_bytes=10 * free, free_bytes=free)
    return Media.objects.get(pk=copy.media.pk)


@pytest.mark.django_db
def test_d3_growth_is_what_copies_added_and_pruning_took_and_forecasts_when_it_is_full(subclient: Subclient) -> None:
    """RULES D3."""
    copy = backup_copy_of(subclient)
    media = grown(copy, 1000, 100, 100, 100, 100, free=50_000)
    figures = figures_of(media)
    assert [size for _, size in figures.growth] == [1000, 1100, 1200, 1300, 1400]
    assert figures.growth_per_day == pytest.approx(100, rel=0.01)
    assert figures.days_to_full == 500
    make_job(
        operation=Operation.PRUNE,
        state=JobState.COMPLETED,
        media=media,
        finished_at=timezone.now(),
        result={"bytes_after": 600, "freed_bytes": 800},
    )
    pruned = figures_of(media)
    assert pruned.growth[-1][1] == 600
    assert pruned.days_to_full is None, "it shrank"
    assert figures.writes == 5 * 4 + 1


@pytest.mark.django_db
def test_a_short_history_forecasts_nothing(subclient: Subclient) -> None:
    figures = figures_of(grown(backup_copy_of(subclient), 1000, 100, free=500))
    assert (figures.growth_per_day, figures.days_to_full, figures.dedup, figures.packs) == (None, None, None, None)


def write_lock(media: Media, *, host: str, pid: int, age: timedelta) -> str:
    driver = resolve_media(media)
    repository = Repository.open(driver, media_password(media))
    value = {
        "time": (timezone.now() - age).isoformat(),
        "exclusive": False,
        "hostname": host,
        "username": "somebody",
        "pid": pid,
    }
    lock_id = repository.write_file(FileKind.LOCK, orjson.dumps(value))
    driver.close()
    return lock_id


def dead_pid() -> int:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    return gone.pid


@pytest.mark.django_db(transaction=True)
def test_j3_locks_are_shown_with_their_job_and_only_dead_ones_are_cleared(medium: Media) -> None:
    """RULES J3."""
    running = make_job(state=JobState.RUNNING, lease_node="one", lease_pid=os.getpid(), lease_boot_id="x")
    driver = resolve_media(medium)
    repository = Repository.open(driver, media_password(medium))
    with answering_here(), locked(repository, exclusive=False) as mine:
        dead = write_lock(medium, host=socket.gethostname(), pid=dead_pid(), age=timedelta(minutes=1))
        old = write_lock(medium, host="long-gone", pid=7, age=timedelta(hours=2))
        elsewhere = write_lock(medium, host="another", pid=7, age=timedelta(minutes=1))
        found = {lock.id: lock for lock in locks_on(medium)}
        assert {lock_id: lock.verdict for lock_id, lock in found.items()} == {
            dead: "dead",
            old: "expired",
            elsewhere: "elsewhere",
            mine.id: "alive",
        }
        assert [lock.job for lock in found.values() if lock.job] == [running]
        assert found[str(mine.id)].job == running
        for lock_id in (elsewhere, str(mine.id)):
            with pytest.raises(RepositoryLocked, match="is not removed"):
                clear_lock(medium, lock_id, user=None)
        assert not AuditEntry.objects.filter(sentence__contains="lock").exists()

        operator = Client()
        operator.force_login(make_user(Role.OPERATOR))
        page = operator.get(reverse("media-locks", args=[medium.pk])).content.decode()
        assert f'value="{dead}"' in page
        assert f'value="{elsewhere}"' not in page
        for lock_id in (dead, old):
            operator.post(reverse("media-locks-clear", args=[medium.pk]), {"lock": lock_id})
        refused = operator.post(reverse("media-locks-clear", args=[medium.pk]), {"lock": elsewhere}, follow=True)
        assert "nobody here can tell that its process is dead" in refused.content.decode()
        assert {lock.id for lock in locks_on(medium)} == {elsewhere, mine.id}
        assert AuditEntry.objects.filter(sentence__startswith="A dead lock was cleared").count() == 2
        assert clear_lock(medium, dead, user=None) is None, "one that is gone is no error"
    driver.close()


@pytest.mark.django_db
def test_the_page_says_that_nobody_answers(medium: Media, client: Client) -> None:
    client.force_login(make_user(Role.OPERATOR))
    make_node(is_online=False)
    page = client.get(reverse("media-locks", args=[medium.pk])).content.decode()
    assert "node-silent" in page or "online" in page


@pytest.mark.django_db
def test_the_page_of_a_medium_costs_as_many_queries_as_ever(
    medium: Media, subclient: Subclient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    grown(backup_copy_of(subclient), 1000, 100, 100, free=50_000)
    client = Client()
    client.force_login(make_user(Role.ADMIN))
    page = reverse("policies:media_detail", args=[medium.pk])
    client.get(page)
    with django_assert_num_queries(19):
        client.get(page)


@pytest.mark.django_db
def test_the_page_of_a_medium_has_its_figures(subclient: Subclient, client: Client) -> None:
    media = grown(backup_copy_of(subclient), 1000, 100, 100, 100, 100, free=500)
    client.force_login(make_user(Role.VIEWER))
    page = client.get(reverse("policies:media_detail", args=[media.pk])).content.decode()
    assert "Growth of the repository" in page
    assert "At this pace it is full in 5 days" in page
    assert "are not counted" in page
