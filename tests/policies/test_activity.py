"""The activity page: filtered by the address, paged without gaps, and complete in the Django admin, too."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from policies.models import AuditEntry, Secret
from policies.selectors.activity import ActivityFilter, ActivityPage, activity
from policies.services import update_policy
from snapcopy_site.lib.roles import Role
from tests.factories import make_media, make_policy, make_subclient, make_user

pytestmark = pytest.mark.django_db

PAGE = "policies:activity"


def activity_of_viewer(wanted: ActivityFilter, **keys: int | None) -> ActivityPage:
    viewer = User.objects.filter(username="viewer").first() or make_user(Role.VIEWER)
    return activity(wanted, user=viewer, **keys)  # type: ignore[arg-type]


def entries(count: int) -> list[int]:
    """Ids, newest first."""
    made = [
        AuditEntry.objects.create(action="changed", object_kind="medium", object_id="1", object_label=f"m{number}").pk
        for number in range(count)
    ]
    return made[::-1]


def test_pages_follow_each_other_without_gap_or_repeat_in_both_directions() -> None:
    ids = entries(25)
    everything = ActivityFilter()
    first = activity_of_viewer(everything, rows=10)
    second = activity_of_viewer(everything, older_than=first.older_than, rows=10)
    third = activity_of_viewer(everything, older_than=second.older_than, rows=10)
    assert [entry.pk for page in (first, second, third) for entry in page.entries] == ids
    assert (first.newer_than, third.older_than) == (None, None)
    back = activity_of_viewer(everything, newer_than=third.newer_than, rows=10)
    assert back.entries == second.entries
    top = activity_of_viewer(everything, newer_than=back.newer_than, rows=10)
    assert (top.entries, top.newer_than) == (first.entries, None)


def test_new_entries_do_not_shift_a_page() -> None:
    ids = entries(25)
    first = activity_of_viewer(ActivityFilter(), rows=10)
    entries(5)
    second = activity_of_viewer(ActivityFilter(), older_than=first.older_than, rows=10)
    assert [entry.pk for entry in second.entries] == ids[10:20]


def test_each_filter_keeps_what_it_says(viewer: Client) -> None:
    today = timezone.localdate()  # the entries may be of the day that begins meanwhile
    ann = make_user(Role.ADMIN, username="ann")
    update_policy(make_policy(), user=ann, is_inline=True)
    make_media(name="far-disk")
    AuditEntry.objects.filter(object_kind="medium").update(at=timezone.now() - timedelta(days=10))
    for wanted, kinds in (
        (ActivityFilter(person="ann"), {"storage policy"}),
        (ActivityFilter(kind="medium"), {"medium"}),
        (ActivityFilter(action="changed"), {"storage policy"}),
        (ActivityFilter(words="FAR"), {"medium"}),
        (ActivityFilter(since=today), {"storage policy", "copy"}),
        (ActivityFilter(until=today - timedelta(days=9)), {"medium"}),
    ):
        assert {entry.object_kind for entry in activity_of_viewer(wanted).entries} == kinds, wanted


def test_the_page_keeps_its_filter_while_paging(viewer: Client) -> None:
    entries(120)
    shown = viewer.get(reverse(PAGE), {"kind": "medium"}).content.decode()
    assert "?kind=medium&amp;older_than=" in shown


def test_a_change_is_shown_with_before_and_after(viewer: Client) -> None:
    policy = make_policy()
    update_policy(policy, user=None, description="for the mail servers")
    shown = viewer.get(reverse(PAGE), {"action": "changed"}).content.decode()
    assert "<ins>for the mail servers</ins>" in shown


@pytest.mark.parametrize(
    "query",
    [{"older_than": "x"}, {"older_than": "9" * 40}, {"kind": "nonsense"}, {"since": "yesterday"}, {"words": "\x00"}],
)
def test_nonsense_in_the_address_is_no_error(viewer: Client, query: dict[str, str]) -> None:
    assert viewer.get(reverse(PAGE), query).status_code == 200


def test_a_filter_without_a_match_offers_to_clear_it(viewer: Client) -> None:
    entries(1)
    assert "Clear the filter" in viewer.get(reverse(PAGE), {"words": "nothing like it"}).content.decode()


@pytest.fixture
def root(db: None) -> Client:
    client = Client()
    client.force_login(make_user(None, username="root", is_superuser=True, is_staff=True))
    return client


MODELS = [model for model in django_admin.site._registry if model._meta.app_label == "policies"]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_django_admin_lists_and_opens_every_table_without_a_secret(root: Client, model: type) -> None:
    make_subclient(policy=make_policy(media=make_media()))
    token = Secret.objects.get().token
    name = f"admin:policies_{model._meta.model_name}"  # type: ignore[attr-defined]
    listed = root.get(reverse(f"{name}_changelist"), {"q": "a"})
    assert listed.status_code == 200
    row = model._default_manager.first()  # type: ignore[attr-defined]
    opened = root.get(reverse(f"{name}_change", args=[row.pk])) if row else listed
    assert opened.status_code == 200
    assert token not in listed.content.decode() + opened.content.decode()


def test_a_change_in_the_django_admin_is_in_the_activity(root: Client) -> None:
    policy = make_policy()
    AuditEntry.objects.all().delete()
    formset = {f"copies-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    rules = ("selection", "catalog", "overdue_action", "defer_days", "alert_after_hours", "overdue_after_days")
    same = {name: getattr(policy, name) for name in (*rules, "offline_attempts", "offline_days")}
    values = {"name": "gold", "description": "new words", "is_active": "on"} | same | formset
    response = root.post(reverse("admin:policies_storagepolicy_change", args=[policy.pk]), values)
    assert response.status_code == 302
    entry = AuditEntry.objects.get()
    assert (entry.user_label, entry.changes["description"]) == ("root", [None, "new words"])


def test_history_cannot_be_changed_in_the_django_admin(root: Client) -> None:
    (pk,) = entries(1)
    assert root.get(reverse("admin:policies_auditentry_add")).status_code == 403
    assert root.post(reverse("admin:policies_auditentry_delete", args=[pk]), {"post": "yes"}).status_code == 403
    assert AuditEntry.objects.exists()
