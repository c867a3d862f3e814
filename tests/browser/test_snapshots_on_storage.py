"""A snapshot on its storage, with a real node: browsed, mounted, reverted to after a preview, reconciled (V4, S6)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import expect

from jobs.models import Job, JobState, MountState, Operation, Snapshot, SnapshotMount, SnapshotState
from jobs.services import launch_snapshot
from snapcopy_site.lib.home import Home
from snapcopy_site.lib.roles import Role
from tests.browser.accessibility import inspect
from tests.browser.conftest import Visit
from tests.browser.test_journeys import JOB_MS, expect_end, real_node
from tests.job_factories import make_node
from tests.jobs.farm import configure, picture, wait
from tests.jobs.here import answering_here
from tests.loopmounts import unmount


@pytest.fixture
def tidy() -> Iterator[None]:
    """Nothing stays mounted after the test."""
    yield
    unmount(Home.current().path / "mounts")


@pytest.mark.slow
@pytest.mark.system
def test_V4_browsed_mounted_unmounted_and_reverted_with_a_preview(
    visit: Visit, redis_url: str, tmp_path: Path, tidy: None
) -> None:
    subclient = configure(tmp_path)
    live = tmp_path / "source"
    (live / "reports").mkdir()
    (live / "reports" / "annual.txt").write_text("the year was good\n")
    visitor = visit(Role.ADMIN)
    with real_node(key_file=Path(settings.SNAPCOPY_KEY_FILE)):
        assert wait(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
        snapshot = Snapshot.objects.get()
        chain = reverse("subclient", args=("server-tree", "tree"))

        page = visitor.open(chain)
        page.locator(f"#browse-live-{snapshot.pk}").click()
        expect(page.locator(".lede")).to_contain_text("read from the snapshot on its storage")
        page.get_by_role("link", name="reports", exact=True).click()
        expect(page.get_by_text("annual.txt")).to_be_visible()

        page = visitor.open(chain)
        page.locator(f"#mount-{snapshot.pk}").click()
        page.get_by_label("For how long").select_option("8")
        page.get_by_role("button", name="Mount the snapshot").click()
        expect_end(page, "Completed")
        mount = SnapshotMount.objects.get()
        mounted = Path(mount.path + subclient.content_paths[0]) / "reports" / "annual.txt"
        assert mounted.read_text() == "the year was good\n"
        page = visitor.open(chain)
        expect(page.get_by_text(mount.path)).to_be_visible()
        page.get_by_role("link", name="where it is mounted").click()
        expect(page.get_by_role("heading", name="Mounted snapshots")).to_be_visible()
        page.get_by_role("button", name="Keep a day").click()
        expect(page.get_by_text("It stays mounted until")).to_be_visible()
        page.get_by_role("button", name="Unmount").click()
        expect_end(page, "Completed")
        mount.refresh_from_db()
        assert (mount.state, mounted.exists()) == (MountState.UNMOUNTED, False)

        (live / "reports" / "annual.txt").write_text("overwritten by mistake\n")
        (live / "later.txt").write_text("new\n")
        page = visitor.open(chain)
        page.locator(f"#revert-{snapshot.pk}").click()
        expect(page.get_by_text("is replaced")).to_be_visible()
        expect(page.get_by_text("is removed")).to_be_visible()
        visitor.expected = ("422",)
        page.get_by_label("Name of the subclient").fill("wrong")
        page.get_by_role("button", name="Revert the live data").click()
        expect(page.get_by_text("This is not its name. Type “tree”.")).to_be_visible()
        page.get_by_label("Name of the subclient").fill("tree")
        page.get_by_role("button", name="Revert the live data").click()
        expect_end(page, "Completed")
        assert (live / "reports" / "annual.txt").read_text() == "the year was good\n"
        assert not (live / "later.txt").exists()
        safety = Snapshot.objects.exclude(pk=snapshot.pk).get()
        assert safety.is_pinned

        shutil.move(tmp_path / "snapshots" / snapshot.name, tmp_path / "aside")
        page = visitor.open(chain)
        page.get_by_role("button", name="Reconcile now").click()
        expect_end(page, "Completed")
        expect(page.get_by_role("cell", name="Skipped (missing) towards backup.")).to_be_visible(timeout=JOB_MS)
        snapshot.refresh_from_db()
        assert snapshot.state == SnapshotState.MISSING
        page = visitor.open(chain)
        expect(page.locator(".chain")).to_contain_text("it was deleted outside")
    assert Job.objects.get(operation=Operation.RECONCILE).state == JobState.COMPLETED, picture()


@pytest.mark.slow
@pytest.mark.system
def test_the_pages_are_accessible_and_fit(visit: Visit, redis_url: str, tmp_path: Path) -> None:
    subclient = configure(tmp_path)
    live = tmp_path / "source"
    (live / "file").write_text("one")
    with real_node(key_file=Path(settings.SNAPCOPY_KEY_FILE)):
        wait(launch_snapshot(subclient))
    snapshot = Snapshot.objects.get()
    (live / "file").write_text("two")
    found = {
        "name": "sc-abcd-9-1",
        "taken_at": "2026-03-04T05:06:07+00:00",
        "content": [*subclient.content_paths, "/srv/a/rather/long/path/that/does/not/fit/into/a/narrow/window"],
        "subclient": "",
        "subclient_id": None,
        "was_deleted": False,
        "is_replica": False,
    }
    lost = {"name": "sc-abcd-8-1", "subclient": subclient.path, "taken_at": "2026-03-01T05:06:07+00:00", "where": ""}
    job = Job.objects.create(
        operation=Operation.RECONCILE,
        state=JobState.COMPLETED,
        started_at=snapshot.taken_at,
        finished_at=snapshot.taken_at,
        file_server_label="server-tree",
        parameters={"file_server": subclient.file_server_id},
        result={
            "file_server": "server-tree",
            "listed": 2,
            "recorded": 2,
            "agrees": False,
            "missing": [lost | {"means": "Skipped (missing) towards backup."}],
            "missing_count": 1,
            "returned_count": 0,
            "unknown": [found],
            "unknown_count": 1,
            "doubted": ["sc-abcd-8-1", "sc-abcd-7-1"],
            "doubted_count": 2,
        },
    )
    SnapshotMount.objects.create(
        snapshot=snapshot,
        state=MountState.MOUNTED,
        path="/var/lib/snapcopy/mounts/server-tree/tree/2026-03-04T05-06-07Z",
        node_label="here",
        mounted_at=snapshot.taken_at,
        expires_at=snapshot.taken_at.replace(year=snapshot.taken_at.year + 1),
    )
    make_node(name="here")
    with answering_here():
        inspect(
            visit,
            reverse("job", args=[job.pk]),
            reverse("policies:file_server_detail", args=[subclient.file_server_id]),
            reverse("subclient", args=("server-tree", "tree")),
            reverse("mount-list"),
            reverse("snapshot-mount", args=[snapshot.pk]),
            reverse("snapshot-revert", args=[snapshot.pk]),
            reverse("snapshot-delete", args=[snapshot.pk]),
            f"{reverse('storage-delete', args=[subclient.file_server_id])}?name=sc-abcd-9-1",
        )
