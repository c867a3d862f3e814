"""Pick, prevent, copy again, pin, as services and on the page: RULES B4, B11 and R6."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Job, Mark, Snapshot, SnapshotState
from jobs.selectors import holds_on
from jobs.services import (
    CannotLaunch,
    launch_backup_copy,
    mark_copies,
    pin_snapshots,
    recopy,
    recopy_all,
    refresh_selection,
    unpin_snapshots,
)
from policies.models import AuditEntry, Selection, Subclient
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.job_factories import make_backup_copy, make_node, make_snapshot
from tests.jobs.farm import backup_copy_of, configure


@pytest.fixture
def subclient(db: None, redis_url: str, tmp_path: Path) -> Subclient:
    """Of a policy that copies fulls only."""
    make_node()
    return configure(tmp_path, selection=Selection.FULLS)


@pytest.fixture
def row(subclient: Subclient) -> BackupCopy:
    """Of an incremental that the rule leaves out."""
    make_snapshot(subclient, ran_level="incremental")
    refresh_selection(subclient)
    return BackupCopy.objects.get()


def enter(role: Role) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def page(subclient: Subclient, name: str = "subclient") -> str:
    return reverse(name, args=(subclient.file_server.name, subclient.name))


def said(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def test_B4_a_pick_beats_the_rule_and_is_audited(row: BackupCopy) -> None:
    assert row.state == CopyState.NOT_SELECTED
    user = make_user(Role.OPERATOR)
    assert mark_copies([row], mark=Mark.PICK, user=user).changed == 1
    row.refresh_from_db()
    assert (row.state, row.state_reason, row.mark) == (CopyState.TO_BE_COPIED, "Picked by hand.", Mark.PICK)
    entry = AuditEntry.objects.get(action=AuditEntry.Action.OPERATED)
    assert (entry.user, entry.sentence) == (user, f"Picked: {row.snapshot.name} towards backup")


def test_B4_prevent_beats_pick_and_releases_the_snapshot(row: BackupCopy) -> None:
    mark_copies([row], mark=Mark.PICK)
    assert holds_on(row.snapshot) == ["it is still to be copied to backup"]
    mark_copies([row], mark=Mark.PREVENT)
    row.refresh_from_db()
    assert (row.state, row.selected_at) == (CopyState.PREVENTED, None)
    assert holds_on(row.snapshot) == [], "R5: held until copied or prevented"
    with pytest.raises(CannotLaunch, match="prevented"):
        launch_backup_copy(row.snapshot.subclient, snapshot=row.snapshot)


def test_B4_without_a_mark_the_rule_decides_again(row: BackupCopy) -> None:
    mark_copies([row], mark=Mark.PREVENT)
    assert mark_copies([row], mark=Mark.NONE).changed == 1
    row.refresh_from_db()
    assert (row.state, row.state_reason) == (CopyState.NOT_SELECTED, "Only fulls are copied.")


def test_B4_a_picked_snapshot_that_was_skipped_is_tried_from_the_beginning(row: BackupCopy) -> None:
    mark_copies([row], mark=Mark.PICK)
    BackupCopy.objects.update(state=CopyState.SKIPPED, failures=10, offline_attempts=10, offline_since=timezone.now())
    assert mark_copies([row], mark=Mark.PICK).changed == 1
    row.refresh_from_db()
    assert (row.state, row.failures, row.offline_attempts) == (CopyState.TO_BE_COPIED, 0, 0)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (CopyState.COPIED, "copied already"),
        (CopyState.PARTIAL, "copied already"),
        (CopyState.COPYING, "being copied now"),
        (CopyState.AGED, "retention is over"),
    ],
)
def test_B4_what_is_copied_or_on_its_way_takes_no_mark(subclient: Subclient, state: str, sentence: str) -> None:
    aged = {"aged_at": timezone.now()} if state == CopyState.AGED else {}
    made = make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient), state=state, **aged)
    marked = mark_copies([made], mark=Mark.PREVENT)
    assert (marked.changed, len(marked.refused)) == (0, 1)
    assert sentence in marked.refused[0]
    made.refresh_from_db()
    assert (made.state, made.mark) == (state, Mark.NONE)


def test_B4_a_snapshot_that_is_gone_cannot_be_picked(row: BackupCopy) -> None:
    Snapshot.objects.update(state=SnapshotState.DELETED)
    assert "not on the storage" in mark_copies([row], mark=Mark.PICK).refused[0]


def test_B4_what_a_queued_job_is_about_to_copy_is_not_prevented_behind_its_back(subclient: Subclient) -> None:
    job = launch_backup_copy(subclient, snapshot=make_snapshot(subclient))
    assert job.backup_copy is not None
    marked = mark_copies([job.backup_copy], mark=Mark.PREVENT)
    assert (marked.changed, marked.refused[0].startswith(f"Job {job.pk} is about to copy")) == (0, True)


def test_B4_only_a_recopy_copies_again_and_B11_one_at_a_time(subclient: Subclient) -> None:
    copy = backup_copy_of(subclient)
    rows = [make_backup_copy(make_snapshot(subclient, n=number), copy) for number in range(3)]
    waiting = make_backup_copy(make_snapshot(subclient, n=3), copy, state=CopyState.TO_BE_COPIED)
    with pytest.raises(CannotLaunch, match="already copied"):
        launch_backup_copy(subclient, snapshot=rows[0].snapshot)
    jobs, marked = recopy_all([rows[2], waiting, rows[0]])
    assert (marked.changed, len(marked.refused)) == (2, 1)
    assert jobs[0] == jobs[1] == Job.objects.get(operation="backup_copy"), "the second attaches to the first"
    assert jobs[0].snapshot == rows[0].snapshot, "oldest first"
    assert Job.objects.get(operation="backup_copy").parameters["then"] == [rows[2].pk]


def test_B4_what_is_aged_is_not_copied_again(subclient: Subclient) -> None:
    made = make_backup_copy(
        make_snapshot(subclient), backup_copy_of(subclient), state=CopyState.AGED, aged_at=timezone.now()
    )
    with pytest.raises(CannotLaunch, match="retention"):
        recopy(made)


def test_R6_a_pin_holds_until_its_day_and_an_unpin_ends_it(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient)
    until = timezone.now() + timedelta(days=1)
    assert pin_snapshots([snapshot], until=until).changed == 1
    assert pin_snapshots([snapshot], until=until).changed == 0, "it was so already"
    snapshot.refresh_from_db()
    assert holds_on(snapshot) == ["it is pinned"]
    Snapshot.objects.update(pinned_until=timezone.now() - timedelta(seconds=1))
    snapshot.refresh_from_db()
    assert holds_on(snapshot) == []
    assert unpin_snapshots([snapshot]).changed == 1
    snapshot.refresh_from_db()
    assert (snapshot.is_pinned, snapshot.pinned_until) == (False, None)
    sentences = list(AuditEntry.objects.filter(action="operated").order_by("pk").values_list("sentence", flat=True))
    assert [sentence.split(":")[0] for sentence in sentences] == ["Pinned", "Unpinned"]


def test_R6_a_pin_into_the_past_or_of_what_is_gone_is_refused(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient)
    assert "later" in pin_snapshots([snapshot], until=timezone.now()).refused[0]
    Snapshot.objects.update(state=SnapshotState.MISSING, missing_at=timezone.now())
    assert "not on the storage" in pin_snapshots([snapshot], until=None).refused[0]
    assert not Snapshot.objects.get().is_pinned


def test_a_viewer_may_mark_nothing(subclient: Subclient) -> None:
    client = enter(Role.VIEWER)
    assert client.post(page(subclient, "subclient-marks")).status_code == 403
    assert 'id="marks"' not in client.get(page(subclient)).content.decode()


def test_B4_many_are_prevented_from_the_page_without_javascript(subclient: Subclient) -> None:
    snapshots = [make_snapshot(subclient, n=number) for number in range(3)]
    client = enter(Role.OPERATOR)
    html = client.get(page(subclient)).content.decode()
    boxes = re.findall(r'name="snapshots" value="(\d+)" form="marks"', html)
    assert sorted(map(int, boxes)) == [one.pk for one in snapshots]
    answer = client.post(page(subclient, "subclient-marks"), {"snapshots": boxes[:2], "action": "prevent", "copy": ""})
    assert (answer.status_code, said(answer)) == (302, ["2 snapshots are prevented from being copied."])
    assert BackupCopy.objects.filter(state=CopyState.PREVENTED).count() == 2
    html = client.get(page(subclient)).content.decode()
    assert html.count("Prevented by hand.") == 2


def test_B4_a_button_of_one_row_marks_only_that(subclient: Subclient) -> None:
    first, second = (make_snapshot(subclient, n=number) for number in range(2))
    copy = backup_copy_of(subclient)
    client = enter(Role.OPERATOR)
    values = {"snapshots": [first.pk, second.pk], "action": "pin", "one": f"prevent:{second.pk}:{copy.pk}"}
    client.post(page(subclient, "subclient-marks"), values)
    assert BackupCopy.objects.get(state=CopyState.PREVENTED).snapshot == second
    assert not Snapshot.objects.filter(is_pinned=True).exists()


def test_R6_a_pin_until_a_day_lasts_to_its_end_where_the_installation_is(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient)
    day = timezone.now().date() + timedelta(days=40)
    values = {"snapshots": [snapshot.pk], "action": "pin", "until": day.isoformat()}
    enter(Role.OPERATOR).post(page(subclient, "subclient-marks"), values)
    snapshot.refresh_from_db()
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    assert snapshot.pinned_until == end


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"action": "pick"}, "Choose at least one snapshot"),
        ({"action": "pin", "until": "soon"}, "Pin until a day such as"),
        ({"action": "dance"}, "dance"),
        ({"one": "pick:999999:"}, "not of this subclient"),
    ],
)
def test_a_wrong_request_names_the_remedy_and_keeps_what_was_chosen(
    subclient: Subclient, values: dict[str, str], sentence: str
) -> None:
    snapshot = make_snapshot(subclient)
    is_about_others = "one" in values or values["action"] == "pick"
    chosen = {} if is_about_others else {"snapshots": str(snapshot.pk)}
    answer = enter(Role.OPERATOR).post(page(subclient, "subclient-marks"), values | chosen)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in html
    ticked = re.search(rf'value="{snapshot.pk}"[^>]* checked>', html)
    assert bool(ticked) == (not is_about_others)
    assert not AuditEntry.objects.filter(action="operated").exists()


def test_what_cannot_be_done_is_said_and_the_rest_is_done(subclient: Subclient) -> None:
    copied = make_snapshot(subclient, n=0)
    make_backup_copy(copied, backup_copy_of(subclient))
    other = make_snapshot(subclient, n=1)
    values = {"snapshots": [copied.pk, other.pk], "action": "prevent"}
    answer = enter(Role.OPERATOR).post(page(subclient, "subclient-marks"), values)
    done, refused = said(answer)
    assert done == "1 snapshot is prevented from being copied."
    assert "copied already" in refused


def test_copy_again_from_the_page_launches_a_job(subclient: Subclient) -> None:
    row = make_backup_copy(make_snapshot(subclient), backup_copy_of(subclient))
    client = enter(Role.OPERATOR)
    client.post(page(subclient, "subclient-marks"), {"one": f"recopy:{row.snapshot_id}:{row.copy_id}"})
    assert Job.objects.get(operation="backup_copy").backup_copy == row
    assert AuditEntry.objects.filter(sentence__startswith="Copied again").exists()


def test_L3_the_page_says_when_an_incremental_will_be_converted(subclient: Subclient) -> None:
    make_snapshot(subclient, level_number=7, ran_level="incremental")
    subclient.file_server.max_incrementals = 9
    subclient.file_server.save()
    client = enter(Role.VIEWER)
    assert "2 more incrementals, then one is converted" in client.get(page(subclient)).content.decode()
    Snapshot.objects.update(level_number=9)
    assert "The next incremental is converted" in client.get(page(subclient)).content.decode()


def test_S1_a_level_that_does_not_exist_is_refused_on_the_page(subclient: Subclient) -> None:
    client = enter(Role.OPERATOR)
    answer = client.post(page(subclient, "snapshot-now"), {"level": "synthetic"})
    assert "There is no level" in said(answer)[0]
    client.post(page(subclient, "snapshot-now"), {"level": "differential"})
    assert Job.objects.get(operation="snapshot").asked_level == "differential"
