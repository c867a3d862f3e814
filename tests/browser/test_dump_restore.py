"""RULES L6, V: files of a filer, from a point of a chain of dumps through the basket to another path of the filer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import expect

from jobs.models import JobState, Snapshot
from jobs.services import launch_snapshot
from snapcopy_site.lib.roles import Role
from tests.browser.accessibility import inspect
from tests.browser.conftest import Visit
from tests.browser.test_journeys import JOB_MS, expect_end, real_node
from tests.engine.dumps import picture as tree
from tests.jobs.farm import configure, picture, wait
from tests.jobs.test_dump_restores import ndmp_server, over
from tests.ndmp_server import ACCOUNT, PORT, NdmpHost


def fill(root: Path) -> None:
    (root / "docs" / "plans").mkdir(parents=True)
    for number in range(5):
        (root / "docs" / "plans" / f"plan {number}.txt").write_bytes(os.urandom(3000))
    (root / "docs" / "caf\udce9.txt").write_text("no UTF-8")
    (root / "other").write_text("not asked for")


@pytest.mark.slow
@pytest.mark.system
def test_L6_a_basket_of_a_dumped_point_goes_to_another_path_of_the_filer(
    visit: Visit, redis_url: str, tmp_path: Path, ndmp_filer: NdmpHost
) -> None:
    visitor = visit(Role.OPERATOR)
    root, target = ndmp_filer.root, tmp_path / "restored"
    subclient = configure(tmp_path, is_inline=True, catalog="inline")
    over(subclient, ndmp_server("filer1", ndmp_filer.address, PORT, ACCOUNT), str(root))
    fill(root)
    with real_node(key_file=Path(settings.SNAPCOPY_KEY_FILE)):
        assert wait(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
        (root / "docs" / "plans").rename(root / "docs" / "renamed")
        (root / "docs" / "new.txt").write_text("later")
        assert wait(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
        expected = tree(root / "docs")
        point = Snapshot.objects.latest("pk")
        page = visitor.open(reverse("browse", args=(point.pk,)))
        expect(page.get_by_role("button", name="zip")).to_have_count(0)
        page.get_by_label("Choose docs").check()
        page.get_by_role("button", name="Put in the basket").click()
        page.get_by_role("link", name="Restore the basket").click()
        expect(page.get_by_text("The file server overwrites what is in the way.")).to_be_visible()
        expect(page.get_by_text("A file that is already there")).to_have_count(0)
        expect(page.get_by_role("button", name="Preview")).to_have_count(0)
        page.get_by_label("To another path of filer1").check()
        page.get_by_label("Target path").fill(str(target))
        page.get_by_label(f"Leave out “{root}”").check()
        expect(page.get_by_label("Direct access")).to_be_checked()
        page.get_by_role("button", name="Restore", exact=True).click()
        expect_end(page, "Completed")
        expect(page.get_by_text("Overwritten by the file server")).to_be_visible(timeout=JOB_MS)
        expect(page.get_by_text("Restored from the dumps of level 0, 1, in this order.")).to_be_visible()
        assert tree(target / "docs") == expected
        assert not (target / "other").exists()
        inspect(visit, reverse("restore-start", args=(point.pk,)) + f"?path={root}/docs")
