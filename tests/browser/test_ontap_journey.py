"""A user protects a volume of NetApp ONTAP by clicks: form, Test, snapshot, copy, restore, revert with its cost, spool.

A real node drives NetApp's own client against an emulated cluster, whose files are those of a real btrfs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, expect

from jobs.models import Initiator, Job, JobState, Snapshot
from jobs.services import launch_backup_copy, launch_snapshot
from policies.models import Copy, FileServer, Retention, Subclient
from snapcopy_site.lib.roles import Role
from tests.arrays.ontap_clusters import Clusters
from tests.arrays.ontap_emulator import ACCOUNT, PASSWORD, OntapCluster
from tests.browser.accessibility import inspect
from tests.browser.array_clicks import add_subclient, press_test, restore_in_place
from tests.browser.conftest import Visit
from tests.browser.test_journeys import JOB_MS, expect_end, real_node
from tests.jobs.farm import configure, picture, wait
from tests.loopmounts import LoopMount

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture
def cluster(loop_mount: LoopMount) -> Iterator[OntapCluster]:
    clusters = Clusters(loop_mount("btrfs"))
    made = clusters()
    for name in ("vol1", "vol2"):
        made.add_volume(name)
    (made.volumes[0].directory / "reports").mkdir()
    (made.volumes[0].directory / "reports" / "annual.txt").write_text("the year was good\n")
    made.volumes[1].filler = 830
    yield made
    clusters.stop()


def test_S6_P2_a_volume_is_protected_restored_and_reverted_by_clicks(
    visit: Visit, redis_url: str, tmp_path: Path, cluster: OntapCluster
) -> None:
    policy = configure(tmp_path, catalog="inline").policy
    Subclient.objects.all().delete()
    live = cluster.volumes[0].directory
    visitor = visit(Role.ADMIN)
    with real_node(key_file=Path(settings.SNAPCOPY_KEY_FILE)):
        page = visitor.open(reverse("policies:file_server_create"))
        _add_cluster(page, cluster)
        _press_test(page, cluster)
        add_subclient(page, "vol1", live)
        page.get_by_role("button", name="Snapshot now").click()
        expect_end(page, "Completed")
        target = Snapshot.objects.get()
        assert [one.name for one in cluster.volumes[0].snapshots] == [target.name]
        chain = reverse("subclient", args=("cluster1", "vol1"))
        visitor.open(chain).get_by_role("button", name="Copy now").click()
        expect_end(page, "Completed")

        (live / "reports" / "annual.txt").unlink()
        restore_in_place(visitor.open(reverse("browse", args=(target.pk,))))
        assert (live / "reports" / "annual.txt").read_text() == "the year was good\n"

        (live / "reports" / "annual.txt").write_text("overwritten by mistake\n")
        subclient = Subclient.objects.get()
        assert wait(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
        cluster.take(cluster.volumes[0], "hourly.2026-01-01_0005")
        visitor.open(chain).locator(f"#revert-{target.pk}").click()
        _revert(page, newer=Snapshot.objects.latest("pk").name)
        assert (live / "reports" / "annual.txt").read_text() == "the year was good\n"
        assert [one.name for one in cluster.volumes[0].snapshots] == [target.name]

        Copy.objects.filter(policy=policy, kind="primary_snap").update(retention=Retention.SPOOL)
        assert wait(launch_snapshot(subclient, initiator=Initiator.SCHEDULE)).state == JobState.COMPLETED, picture()
        copied = wait(launch_backup_copy(subclient, initiator=Initiator.SCHEDULE))
        visitor.open(reverse("job", args=(copied.pk,)))
        expect(page.locator("#job")).to_contain_text("so exactly one is retained")
    inspect(visit, reverse("policies:file_server_detail", args=[FileServer.objects.latest("pk").pk]))
    assert cluster.volumes[0].snapshots[-1].name == Snapshot.objects.latest("pk").name


def _add_cluster(page: Page, cluster: OntapCluster) -> None:
    page.get_by_label("NetApp ONTAP", exact=False).first.check()
    page.get_by_label("Management address").fill("127.0.0.1")
    page.get_by_label("Name", exact=True).fill("cluster1")
    page.get_by_label("Port (optional)").fill(str(cluster.server.port))
    page.get_by_label("Storage VM").fill(cluster.svm)
    page.get_by_label("Account (optional)").fill(ACCOUNT)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Mounted at").fill(str(cluster.root))
    page.get_by_role("button", name="Add the file server").click()
    expect(page.get_by_role("heading", level=1, name="cluster1")).to_be_visible()


def _press_test(page: Page, cluster: OntapCluster) -> None:
    """The certificate is nobody's that this node trusts: its fingerprint is told, compared, and put in."""
    report = page.locator("#test-server")
    press_test(page)
    expect(report).to_contain_text("Nothing that this node trusts has signed", timeout=JOB_MS)
    told = str(report.text_content()).split("SHA-256 fingerprint ")[1].split(".")[0]
    assert told.replace(":", "").lower() == cluster.server.certificate.fingerprint
    Job.objects.filter(state=JobState.FAILED).delete()  # as it was meant to
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Fingerprint").fill(told)
    page.get_by_role("button", name="Save").click()
    press_test(page)
    expect(report).to_contain_text("The probe snapshot is gone", timeout=JOB_MS, ignore_case=True)
    expect(report).to_contain_text("Near the limit of 1,023 snapshots: vol2.")
    expect(report.get_by_role("row", name=str(cluster.volumes[1].directory))).to_contain_text("830")


def _revert(page: Page, *, newer: str) -> None:
    """What it costs is shown first: ours by name, those of others in words."""
    expect(page.get_by_text(newer)).to_be_visible(timeout=JOB_MS)
    expect(page.get_by_text("lost, too: hourly.2026-01-01_0005.")).to_be_visible()
    expect(page.get_by_text("No safety snapshot is possible.")).to_be_visible()
    page.get_by_label("Name of the subclient").fill("vol1")
    page.get_by_role("button", name="Revert the live data").click()
    expect_end(page, "Completed")
