"""Copies of a policy: what each kind may be, what stands in the way of a change, and what an edit would delete."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from policies import previews, services
from policies.errors import CannotDelete
from policies.models import AuditEntry, Copy, Media, StoragePolicy
from policies.previews import Deletion
from policies.selectors.copy_tree import Branch, copy_tree
from tests.factories import backup_copy_of, make_file_server, make_media, make_policy, make_subclient
from tests.job_factories import make_backup_copy, make_snapshot

pytestmark = pytest.mark.django_db

EXTENDED: dict[str, Any] = {"period": "month", "pick": "last", "days": 365}


@pytest.fixture
def policy() -> StoragePolicy:
    """With a primary snap copy and a primary backup copy."""
    return make_policy(media=make_media())


def add(policy: StoragePolicy, **values: Any) -> Copy:
    values.setdefault("name", f"copy{policy.copies.count()}")
    return services.create_copy(policy, user=None, **values)


def vault(policy: StoragePolicy, name: str = "vault", **values: Any) -> Copy:
    return add(policy, name=name, kind="secondary_snap", target_server=make_file_server(name=name), **values)


def fields_of(write: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refusal:
        write()
    return refusal.value.message_dict


def test_o1_a_policy_has_one_primary_snap_copy_and_one_primary_backup_copy(policy: StoragePolicy) -> None:
    other = make_media(name="other")
    assert "kind" in fields_of(lambda: add(policy, kind="primary_snap"))
    assert "kind" in fields_of(lambda: add(policy, kind="primary_backup", media=other))


def test_o1_backup_copies_read_from_one_secondary_snap_copy_of_their_policy(policy: StoragePolicy) -> None:
    foreign = vault(make_policy(name="silver"), "far")
    update = services.update_policy
    for wrong in (foreign, backup_copy_of(policy), policy.copies.get(kind="primary_snap")):
        assert "backup_source" in fields_of(lambda wrong=wrong: update(policy, user=None, backup_source=wrong))
    off = vault(policy, "off", is_active=False)
    assert "is inactive" in fields_of(lambda: update(policy, user=None, backup_source=off))["backup_source"][0]
    source = vault(policy)
    update(policy, user=None, backup_source=source)
    assert "is_active" in fields_of(lambda: services.update_copy(source, user=None, is_active=False))
    with pytest.raises(CannotDelete, match="read from this copy"):
        services.delete_copy(source, user=None)


def test_a_secondary_backup_copy_is_fed_from_a_backup_copy_of_the_same_policy(policy: StoragePolicy) -> None:
    snap, foreign = (
        policy.copies.get(kind="primary_snap"),
        backup_copy_of(make_policy(name="x", media=make_media("/x", name="x"))),
    )
    for wrong in (snap, foreign):
        refused = fields_of(lambda wrong=wrong: add(policy, media=make_media(name="b"), source=wrong))
        assert list(refused) == ["source"]
        Media.objects.filter(name="b").delete()
    assert add(policy, media=make_media(name="b"), source=backup_copy_of(policy)).kind == "secondary_backup"


def test_copies_never_feed_each_other_in_a_circle(policy: StoragePolicy) -> None:
    one = add(policy, name="one", media=make_media(name="b"), source=backup_copy_of(policy))
    two = add(policy, name="two", media=make_media(name="c"), source=one)
    assert "circle" in fields_of(lambda: services.update_copy(one, user=None, source=two))["source"][0]
    assert "circle" in fields_of(lambda: services.update_copy(one, user=None, source=one))["source"][0]


def test_a_secondary_snap_copy_goes_to_another_file_server_of_the_same_engine(policy: StoragePolicy) -> None:
    subclient = make_subclient(policy=policy)
    btrfs = make_file_server(name="btrfs", engine="btrfs", volume="/vol")
    for wrong in (None, btrfs, subclient.file_server):
        refused = fields_of(lambda wrong=wrong: add(policy, kind="secondary_snap", target_server=wrong))
        assert list(refused) == ["target_server"]
    copy = vault(policy)
    twice = fields_of(lambda: add(policy, kind="secondary_snap", target_server=copy.target_server))
    assert "already" in twice["target_server"][0]


def test_a_subclient_of_another_engine_cannot_come_under_a_policy_that_replicates(policy: StoragePolicy) -> None:
    vault(policy)
    btrfs = make_file_server(name="btrfs", engine="btrfs", volume="/vol")
    refused = fields_of(lambda: make_subclient(file_server=btrfs, policy=policy))
    assert "another snapshot engine" in refused["policy"][0]


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        ("primary_backup", {"retention": "days", "retention_days": 3}, "retention"),
        ("primary_backup", {"retention": "basic", "retention_days": 3}, "retention_cycles"),
        ("primary_backup", {"retention": "basic", "retention_days": 0, "retention_cycles": 0}, "retention_days"),
        ("primary_snap", {"retention": "basic", "retention_days": 3, "retention_cycles": 1}, "retention"),
        ("primary_snap", {"retention": "days"}, "retention_days"),
        ("primary_snap", {"retention": "count", "retention_count": 0}, "retention_count"),
        ("primary_snap", {"extended": [EXTENDED]}, "extended"),
        ("primary_backup", {"extended": [EXTENDED]}, "retention"),
    ],
)
def test_r1_r2_a_retention_that_does_not_fit_is_told_at_its_field(
    policy: StoragePolicy, kind: str, values: dict[str, Any], field: str
) -> None:
    copy = policy.copies.get(kind=kind)
    assert list(fields_of(lambda: services.update_copy(copy, user=None, **values))) == [field]


def test_r2_figures_of_another_retention_are_dropped(policy: StoragePolicy) -> None:
    copy = policy.copies.get(kind="primary_snap")
    services.update_copy(copy, user=None, retention="days", retention_days=7, retention_count=3)
    services.update_copy(copy, user=None, retention="spool")
    assert (copy.retention, copy.retention_days, copy.retention_count) == ("spool", None, None)


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ([EXTENDED | {"days": 30}], "extended_1_days"),
        ([EXTENDED, EXTENDED], "extended_2_period"),
        ([EXTENDED | {"period": "decade"}], "extended_1_period"),
        ([EXTENDED | {"period": period} for period in ("day", "week", "month", "year")], "extended"),
    ],
)
def test_r3_extended_rules_are_three_each_longer_than_the_basic(
    policy: StoragePolicy, rules: list[Any], field: str
) -> None:
    basic: dict[str, Any] = {"retention": "basic", "retention_days": 30, "retention_cycles": 1}
    copy = backup_copy_of(policy)
    assert list(fields_of(lambda: services.update_copy(copy, user=None, **basic, extended=rules))) == [field]
    right: list[Any] = [EXTENDED, EXTENDED | {"period": "year", "days": None}]
    services.update_copy(copy, user=None, **basic, extended=right)
    assert [rule.period for rule in copy.extended.all()] == ["month", "year"]
    entry = AuditEntry.objects.filter(action="changed").first()
    assert entry is not None
    assert entry.changes["extended"][1][0] == "last full of each month: 365 days"
    # a longer basic would overtake the rule that is stored
    assert list(fields_of(lambda: services.update_copy(copy, user=None, retention_days=400))) == ["extended_1_days"]


def test_o3_a_copy_that_holds_data_stays_and_says_that_it_can_be_made_inactive(policy: StoragePolicy) -> None:
    copy = backup_copy_of(policy)
    make_backup_copy(make_snapshot(make_subclient(policy=policy)), copy)
    with pytest.raises(CannotDelete, match="Data lies on the copy") as refusal:
        services.delete_copy(copy, user=None)
    assert "Make it inactive" in refusal.value.hint
    services.update_copy(copy, user=None, is_active=False)


@pytest.mark.parametrize("state", ["to_be_copied", "failed", "skipped", "not_selected"])
def test_a_medium_whose_only_copy_never_succeeded_can_be_taken_off_and_deleted(
    policy: StoragePolicy, state: str
) -> None:
    copy = backup_copy_of(policy)
    make_backup_copy(make_snapshot(make_subclient(policy=policy)), copy, state=state)
    services.delete_copy(copy, user=None)
    services.delete_media(Media.objects.get(), user=None)
    assert not Media.objects.exists()


def test_what_only_waits_follows_the_copy_to_another_medium(policy: StoragePolicy) -> None:
    copy, other = backup_copy_of(policy), make_media(name="other")
    row = make_backup_copy(make_snapshot(make_subclient(policy=policy)), copy, state="to_be_copied")
    services.update_copy(copy, user=None, media=other)
    row.refresh_from_db()
    assert row.media == other


def test_v1_snap_copies_come_before_backup_copies_wherever_one_is_put(policy: StoragePolicy) -> None:
    copy = vault(policy)
    offsite = add(policy, name="offsite", media=make_media(name="b"))
    assert names(policy) == ["snapshot", "vault", "backup", "offsite"]
    services.place_copy(offsite, precedence=3, user=None)
    assert names(policy) == ["snapshot", "vault", "offsite", "backup"]
    for copied, place in ((offsite, 1), (copy, 4), (copy, 1)):
        assert "precedence" in fields_of(lambda c=copied, p=place: services.place_copy(c, precedence=p, user=None))


def test_the_picture_follows_the_data(policy: StoragePolicy) -> None:
    source = vault(policy)
    services.update_policy(policy, user=None, backup_source=source)
    add(policy, name="offsite", media=make_media(name="b"), source=backup_copy_of(policy))
    tree = copy_tree(StoragePolicy.objects.get(pk=policy.pk))
    assert tree is not None
    assert outline(tree) == "snapshot(vault(backup(offsite())))"


def names(policy: StoragePolicy) -> list[str]:
    return list(policy.copies.order_by("precedence").values_list("name", flat=True))


def outline(branch: Branch) -> str:
    return f"{branch.copy.name}({','.join(map(outline, branch.branches))})"


@pytest.fixture
def deletions() -> Iterator[list[Deletion]]:
    """What an edit would delete, as the preview says."""
    found: list[Deletion] = []
    before = previews._provider[0]
    previews.set_provider(lambda _copy, changes: list(found) if changes["retention_days"] == 3 else [])
    yield found
    previews.set_provider(before)


def gone(number: int) -> Deletion:
    at = datetime(2026, 1, number, 20, tzinfo=UTC)
    return Deletion(kind="backup copy", label=f"fs1/home of day {number}", at=at, reason="older than 3 days")


def test_r9_an_edit_that_would_delete_is_saved_only_after_the_list_was_seen(
    admin: Client, policy: StoragePolicy, deletions: list[Deletion]
) -> None:
    copy, address = backup_copy_of(policy), reverse("policies:copy_edit", args=[backup_copy_of(policy).pk])
    typed = {"name": "renamed", "media": copy.media_id, "precedence": "2", "is_active": "on", "ages": "on"}
    typed |= {"retention": "basic", "retention_days": "3", "retention_cycles": "1"}
    deletions.append(gone(1))
    asked = admin.post(address, typed)
    shown = asked.content.decode()
    assert "fs1/home of day 1" in shown
    assert "older than 3 days" in shown
    copy.refresh_from_db()
    assert copy.name == "backup"
    seen = dict(asked.context["typed"]) | {"seen": asked.context["seen"]}
    deletions.append(gone(2))
    assert "day 2" in admin.post(address, seen).content.decode(), "the list grew since it was read"
    deletions.pop()
    assert "renamed" in admin.post(address, seen | {"switch": "1"}).content.decode(), "back to the form, nothing lost"
    assert admin.post(address, seen).status_code == 302
    copy.refresh_from_db()
    assert (copy.name, copy.retention_days) == ("renamed", 3)


def test_r9_a_refused_edit_shows_its_fault_before_any_question(
    admin: Client, policy: StoragePolicy, deletions: list[Deletion]
) -> None:
    deletions.append(gone(1))
    copy = backup_copy_of(policy)
    typed = {"name": "two words", "media": copy.media_id, "precedence": "2", "retention": "basic"}
    typed |= {"retention_days": "3", "retention_cycles": "1"}
    shown = admin.post(reverse("policies:copy_edit", args=[copy.pk]), typed).content.decode()
    assert "Use letters, digits" in shown
    assert "day 1" not in shown


def test_P4_the_form_of_the_snap_copy_says_what_a_spool_copy_does(admin: Client, policy: StoragePolicy) -> None:
    copy = policy.copies.get(kind="primary_snap")
    shown = admin.get(reverse("policies:copy_edit", args=[copy.pk])).content.decode()
    assert "Spool copy (no retention)" in shown
    assert "wants it to stay turns this off first" in shown
