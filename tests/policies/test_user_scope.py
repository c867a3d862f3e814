"""An admin limits what a user sees: by the form, shown on the pages of users, audited with names."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import DjangoAssertNumQueries

from policies.models import AuditEntry, FileServer, Subclient, UserScope
from policies.selectors.visible import visible_subclients
from policies.services import Limits, set_user_scope
from snapcopy_site.lib.roles import Role
from tests.factories import make_file_server, make_policy, make_subclient, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def one() -> Subclient:
    """a/one; b has a subclient, too."""
    policy = make_policy()
    made = make_subclient(name="one", file_server=make_file_server(name="a", area="/var/tmp/a"), policy=policy)
    make_subclient(
        name="two",
        file_server=make_file_server(name="b", area="/var/tmp/b"),
        policy=policy,
        paths=("/srv/two",),
    )
    return made


def add(admin: Client, **values: Any) -> Any:
    given = {"username": "ada", "role": "viewer", "sees": "everything"} | values
    return admin.post(reverse("policies:user_create"), given)


def edit(admin: Client, person: User, **values: Any) -> Any:
    given = {"role": "operator", "sees": "everything"} | values
    return admin.post(reverse("policies:user_edit", args=[person.pk]), given)


def seen_by(username: str) -> list[str]:
    return [str(subclient) for subclient in visible_subclients(User.objects.get(username=username))]


def test_a_new_user_sees_everything_or_what_was_chosen(admin: Client, one: Subclient) -> None:
    assert add(admin).status_code == 302
    assert seen_by("ada") == ["a/one", "b/two"]
    assert not UserScope.objects.exists()
    add(admin, username="bob", sees="chosen", file_servers=[one.file_server_id])
    assert seen_by("bob") == ["a/one"]


def test_an_edit_sets_and_lifts_a_scope_and_keeps_what_the_form_shows(admin: Client, one: Subclient) -> None:
    person = make_user(Role.OPERATOR)
    server = FileServer.objects.get(name="b")
    edit(admin, person, sees="chosen", file_servers=[server.pk], subclients=[one.pk])
    assert seen_by("operator") == ["a/one", "b/two"]
    form = admin.get(reverse("policies:user_edit", args=[person.pk])).context["form"]
    shown = {name: form[name].value() for name in ("sees", "file_servers", "subclients")}
    assert shown == {"sees": "chosen", "file_servers": [server.pk], "subclients": [one.pk]}
    edit(admin, person)
    assert not UserScope.objects.exists()


def test_a_scope_of_nothing_is_refused_at_its_field(admin: Client, one: Subclient) -> None:
    page = add(admin, sees="chosen")
    assert page.status_code == 200
    assert "Choose at least one file server or subclient" in page.content.decode()
    assert not User.objects.filter(username="ada").exists()


def test_the_pages_of_users_say_what_each_sees(admin: Client, one: Subclient) -> None:
    person = make_user(Role.VIEWER)
    detail = reverse("policies:user_detail", args=[person.pk])
    assert "Everything" in admin.get(detail).content.decode()
    set_user_scope(person, Limits(file_servers=[FileServer.objects.get(name="b")], subclients=[one]), user=None)
    for address in (detail, reverse("policies:user_list")):
        assert "A/one, b" in admin.get(address).content.decode()


def test_each_change_is_audited_once_with_names(one: Subclient) -> None:
    person = make_user(Role.VIEWER)
    before = AuditEntry.objects.count()
    for limits in (Limits(subclients=[one]), Limits(subclients=[one]), Limits(file_servers=[one.file_server]), None):
        set_user_scope(person, limits, user=None)
    entries = AuditEntry.objects.filter(object_kind="user").order_by("pk")
    assert AuditEntry.objects.count() == before + 3
    told = [entry.changes["scope"] for entry in entries]
    assert told == [["everything", "a/one"], ["a/one", "a"], ["a", "everything"]]


def test_the_list_takes_the_same_queries_however_many_users(
    admin: Client, one: Subclient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    page = reverse("policies:user_list")
    for number in range(8):
        person = make_user(Role.VIEWER, username=f"u{number}")
        set_user_scope(person, Limits(subclients=[one]), user=None)
    admin.get(page)
    with django_assert_max_num_queries(9):
        admin.get(page)


def test_it_holds_from_the_next_click_on(one: Subclient) -> None:
    person = make_user(Role.VIEWER)
    client = Client()
    client.force_login(person)
    page = reverse("policies:subclient_list")
    assert "b/two" in client.get(page).content.decode()
    set_user_scope(person, Limits(subclients=[one]), user=None)
    assert "b/two" not in client.get(page).content.decode()
