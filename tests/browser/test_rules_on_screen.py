"""Spool copies, the base that an engine keeps, the limit of incrementals: in a browser, with the reasons on screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from jobs import services
from jobs.engine.snapshots.base import Capability
from jobs.engine.snapshots.directory import DirectoryEngine, DirectoryOptions
from jobs.engine.snapshots.registry import ENGINES, EngineKind
from jobs.models import CopyState, Job, JobState, Level, Operation, Snapshot, SnapshotState
from policies import services as configuration
from policies.models import AccessNode, CatalogMode, Retention, StoragePolicy, Subclient
from snapcopy_site.lib.roles import Role
from tests.browser.conftest import Visit
from tests.jobs.farm import Farm, configure, until, wait

JOB_MS: Final = 60_000
LIMIT: Final = 9


class BaseKeepingEngine(DirectoryEngine):
    """A real engine that declares what arrays declare: it keeps the snapshot that the next copy is compared with."""

    name = "keeps-base"
    label = "Directory that keeps its base"
    capabilities = DirectoryEngine.capabilities | {Capability.KEEPS_BASE_SNAPSHOT}


@pytest.fixture
def start_farm(visit: Visit, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A node and a scheduler, forked when everything is configured, so that they know the declared engine."""
    kind = EngineKind(
        name=BaseKeepingEngine.name,
        label=BaseKeepingEngine.label,
        summary=BaseKeepingEngine.summary,
        capabilities=BaseKeepingEngine.capabilities,
        options=DirectoryOptions,
        build=BaseKeepingEngine,
    )
    monkeypatch.setitem(ENGINES, kind.name, kind)
    farm = Farm()

    def start() -> None:
        farm.start_node()
        farm.start_scheduler()
        until(
            lambda: AccessNode.objects.filter(last_seen_at__isnull=False).exists(), seconds=60, what="the node reports"
        )

    try:
        yield start
    finally:
        farm.close()


@pytest.mark.slow
def test_P1_a_spool_policy_deletes_its_snapshot_and_says_so(
    visit: Visit, start_farm: Callable[[], None], tmp_path: Path
) -> None:
    subclient = _spool(configure(tmp_path, is_inline=True))
    _write(tmp_path, "the first")
    start_farm()
    page = visit(Role.OPERATOR).open(_address(subclient))
    page.get_by_role("button", name="Snapshot now").click()
    _expect_end(page, "Completed")
    until(lambda: _states(subclient) == [SnapshotState.DELETED], seconds=60, what="the snapshot goes")
    copy = Job.objects.get(operation=Operation.BACKUP_COPY)
    page = _open(page, f"/jobs/{copy.pk}/")
    expect(page.locator("#job")).to_contain_text("Spool copy: it is copied.")
    page = _open(page, _address(subclient))
    link = page.locator(".link").first
    expect(link).to_contain_text("Deleted")
    expect(link).to_contain_text("Spool copy: it is copied.")
    expect(link).to_contain_text("Copied")


@pytest.mark.slow
def test_P2_an_engine_that_keeps_its_base_keeps_exactly_one_snapshot(
    visit: Visit, start_farm: Callable[[], None], tmp_path: Path
) -> None:
    subclient = _spool(configure(tmp_path, is_inline=True), catalog=CatalogMode.INLINE)
    server = subclient.file_server
    configuration.update_file_server(server, user=None, engine=BaseKeepingEngine.name, options=server.options)
    start_farm()
    for number in range(1, 4):
        _write(tmp_path, f"change {number}")
        _scheduled_now(subclient, number)
        until(partial(_are_copied, subclient, number), seconds=60, what=f"copy {number}")
        until(_nothing_runs, seconds=60, what="everything ends")
    assert _states(subclient) == [SnapshotState.PRESENT, SnapshotState.DELETED, SnapshotState.DELETED]
    newest = Job.objects.filter(operation=Operation.BACKUP_COPY).latest("pk")
    page = visit(Role.OPERATOR).open(f"/jobs/{newest.pk}/")
    story = page.locator("#job")
    expect(story).to_contain_text("stays. The newest copied snapshot is kept: the next one is compared with it.")
    expect(story).to_contain_text("started by a schedule and the policy has a catalog, so exactly one is retained.")
    expect(story).to_contain_text("Spool copy: a newer snapshot is copied.")
    page = _open(page, _address(subclient))
    links = page.locator(".link")
    expect(links.nth(0)).to_contain_text("Kept: The newest copied snapshot is kept")
    for older in (1, 2):
        expect(links.nth(older)).to_contain_text("Deleted")
        expect(links.nth(older)).to_contain_text("Spool copy: a newer snapshot is copied.")


@pytest.mark.slow
def test_L3_the_tenth_incremental_runs_as_a_differential_and_says_why(
    visit: Visit, start_farm: Callable[[], None], tmp_path: Path
) -> None:
    subclient = configure(tmp_path, is_inline=True)
    configuration.update_file_server(subclient.file_server, user=None, max_incrementals=LIMIT)
    start_farm()
    for number in range(1 + LIMIT):
        _write(tmp_path, f"change {number}")
        wait(services.launch_snapshot(subclient, level=Level.INCREMENTAL))
    numbers = Snapshot.objects.order_by("taken_at").values_list("level_number", flat=True)
    assert list(numbers) == list(range(1 + LIMIT))
    page = visit(Role.OPERATOR).open(_address(subclient))
    page.get_by_role("button", name="Snapshot now").click()
    _expect_end(page, "Completed")
    expect(page.locator("#job")).to_contain_text(f"Converted: limit of {LIMIT} incrementals reached.")
    copy = Job.objects.filter(operation=Operation.BACKUP_COPY).latest("pk")
    assert (copy.ran_level, copy.level_number) == (Level.DIFFERENTIAL, 1)
    page = _open(page, f"/jobs/{copy.pk}/")
    expect(page.locator("#job")).to_contain_text(f"Converted: limit of {LIMIT} incrementals reached.")
    page = _open(page, _address(subclient))
    link = page.locator(".link").first
    expect(link).to_contain_text("Differential, level 1")
    expect(link).to_contain_text(f"Incremental was asked. Converted: limit of {LIMIT} incrementals reached.")


def _spool(subclient: Subclient, *, catalog: str = CatalogMode.SKIP) -> Subclient:
    """The policy becomes a spool."""
    snap = subclient.policy.copies.get(kind="primary_snap")
    configuration.update_copy(snap, user=None, retention=Retention.SPOOL)
    StoragePolicy.objects.filter(pk=subclient.policy_id).update(catalog=catalog)
    return subclient


def _scheduled_now(subclient: Subclient, number: int) -> None:
    """A schedule whose only slot of this hour has just passed: the scheduler catches it up at once (RULES P2)."""
    past = timezone.now() - timedelta(minutes=1)
    configuration.create_schedule(
        user=None,
        now=past - timedelta(minutes=1),
        name=f"hourly-{number}",
        operation="snapshot",
        subclient=subclient,
        cron=f"{past.minute} * * * *",
        time_zone="UTC",
    )


def _write(folder: Path, text: str) -> None:
    (folder / "source" / "annual.txt").write_text(text)


def _states(subclient: Subclient) -> list[str]:
    return list(subclient.snapshots.order_by("-taken_at").values_list("state", flat=True))


def _are_copied(subclient: Subclient, number: int) -> bool:
    return subclient.snapshots.filter(backup_copies__state=CopyState.COPIED).count() == number


def _nothing_runs() -> bool:
    return not Job.objects.exclude(state__in=(JobState.COMPLETED, JobState.FAILED)).exists()


def _address(subclient: Subclient) -> str:
    return f"/protect/{subclient.path}/"


def _open(page: Page, path: str) -> Page:
    """Another page of the same server, from a job's page."""
    page.goto(f"{page.url.split('/jobs/')[0]}{path}")
    return page


def _expect_end(page: Page, state: str) -> None:
    """The job's page, watched live until the job is over."""
    expect(page.locator("#job")).to_be_visible()
    expect(page.locator(".job-card .badge").first).to_have_text(state, timeout=JOB_MS)
