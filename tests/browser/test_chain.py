"""The chain of a subclient with every state a snapshot can have: accessible, it fits, and the keyboard is enough."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from jobs.models import BackupCopy, CopyState, Mark, Snapshot, SnapshotState
from policies.models import Subclient
from snapcopy_site.lib.roles import Role
from tests.browser.accessibility import violations
from tests.browser.conftest import Visit
from tests.factories import backup_copy_of, make_media, make_policy, make_subclient
from tests.job_factories import make_backup_copy, make_node, make_snapshot

STATES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (CopyState.COPIED, "", {"level_number": 0, "ran_level": "full", "retain_reason": "30 days and 1 cycle."}),
    (CopyState.PARTIAL, "2 files could not be read", {"level_number": 1, "ran_level": "incremental"}),
    (CopyState.SKIPPED, "Source offline. The source was offline at 10 attempts.", {"failures": 3}),
    (CopyState.PREVENTED, "Prevented by hand.", {"mark": Mark.PREVENT}),
    (CopyState.NOT_SELECTED, "Only fulls are copied.", {}),
    (CopyState.CANDIDATE, "The last full of its week so far: decided when the week ends.", {"due": 3}),
    (CopyState.FAILED, "The medium “disk-a” is full.", {"failures": 2}),
    (CopyState.TO_BE_COPIED, "Every snapshot is copied. Deferred by 5 days.", {"due": 5}),
    (CopyState.TO_BE_COPIED, "Picked by hand.", {"mark": Mark.PICK}),
)


@pytest.fixture
def subclient(visit: Visit) -> Subclient:
    make_node()
    made = make_subclient(policy=make_policy(name="weekly", media=make_media()))
    copy, now = backup_copy_of(made.policy), timezone.now()
    for number, (state, reason, given) in enumerate(STATES):
        values = dict(given)
        if days := values.pop("due", 0):
            values["due_at"] = now + timedelta(days=days)
        snapshot = make_snapshot(
            made, n=number, level_number=number, ran_level="full" if number == 0 else "incremental"
        )
        make_backup_copy(snapshot, copy, state=state, state_reason=reason, **values)
    newest = made.snapshots.order_by("-pk")[0]
    Snapshot.objects.filter(pk=newest.pk).update(
        is_pinned=True,
        pinned_until=now + timedelta(days=90),
        retain_until=now + timedelta(days=90),
        retain_reason="It is pinned.",
    )
    oldest = made.snapshots.order_by("pk")[0]
    Snapshot.objects.filter(pk=oldest.pk).update(
        state=SnapshotState.DELETED, aged_at=now, aged_reason="Spool copy: a newer snapshot is copied."
    )
    return made


def address(subclient: Subclient) -> str:
    return reverse("subclient", args=(subclient.file_server.name, subclient.name))


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_every_state_is_accessible_and_fits(visit: Visit, subclient: Subclient, width: int, is_dark: bool) -> None:
    page = visit(Role.ADMIN, width=width, dark=is_dark).open(address(subclient))
    assert violations(page, "wcag2a", "wcag2aa", "wcag22aa", "best-practice") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_B4_two_are_prevented_at_once_by_keyboard(visit: Visit, subclient: Subclient) -> None:
    page = visit(Role.OPERATOR).open(address(subclient))
    for row in BackupCopy.objects.filter(state=CopyState.TO_BE_COPIED):
        page.locator(f"#chosen-{row.snapshot_id}").press("Space")
    page.get_by_label("With the chosen snapshots").select_option("prevent")
    page.get_by_role("button", name="Apply").press("Enter")
    expect(page.get_by_text("2 snapshots are prevented from being copied.")).to_be_visible()
    assert BackupCopy.objects.filter(state=CopyState.PREVENTED).count() == 3


def test_B4_one_is_left_to_the_rules_again_without_javascript(visit: Visit, subclient: Subclient) -> None:
    page = visit(Role.OPERATOR, java_script_enabled=False).open(address(subclient))
    row = BackupCopy.objects.get(state=CopyState.PREVENTED)
    page.locator(f'button[value="rule:{row.snapshot_id}:{row.copy_id}"]').click()
    expect(page.get_by_text("1 snapshot is left to the rules.")).to_be_visible()
    row.refresh_from_db()
    assert row.mark == Mark.NONE
    assert row.state != CopyState.PREVENTED


def test_what_is_chosen_stays_while_the_page_follows_a_job(visit: Visit, subclient: Subclient) -> None:
    page = visit(Role.OPERATOR).open(address(subclient))
    box = page.locator(f"#chosen-{subclient.snapshots.order_by('-pk')[0].pk}")
    box.check()
    page.evaluate(f"htmx.ajax('GET', '{address(subclient)}live/', {{target: '#subclient', swap: 'outerHTML'}})")
    expect(page.locator("#subclient.htmx-swapping, #subclient.htmx-settling")).to_have_count(0)
    expect(box).to_be_checked()
