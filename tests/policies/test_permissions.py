"""Every address of the product demands a role, and each role gets what its sentence promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from policies.models import AccessNode
from snapcopy_site.lib.roles import Role, has_role, role_of
from tests.factories import (
    make_blackout_window,
    make_media,
    make_policy,
    make_schedule,
    make_subclient,
    make_user,
)

WITHOUT_ROLE = {
    "healthz",
    "favicon",
    "login",
    "logout",
    "sign-in-link",
    "password_change",
    "docs",
    "docs-page",
    "theme",
}
"""What everybody who is signed in may open, or what signs in."""


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            if entry.app_name != "admin":
                yield from patterns(entry, f"{entry.namespace}:" if entry.namespace else prefix)
        else:
            yield f"{prefix}{entry.name}", entry


ALL = dict(patterns(get_resolver()))
OURS = sorted(name for name in ALL if name.startswith("policies:"))


def required_role(pattern: URLPattern) -> Role | None:
    view = pattern.callback
    declared = getattr(view, "required_role", None) or getattr(getattr(view, "view_class", None), "required_role", None)
    while declared is None and hasattr(view, "__wrapped__"):
        view = view.__wrapped__
        declared = getattr(view, "required_role", None)
    return declared


@pytest.mark.parametrize("name", sorted(set(ALL) - WITHOUT_ROLE))
def test_every_address_demands_a_role(name: str) -> None:
    assert required_role(ALL[name]) in set(Role)


@pytest.mark.parametrize("name", OURS)
def test_only_admins_reach_what_changes_the_configuration(name: str) -> None:
    reads = name.endswith(("_list", "_detail", ":activity")) and ":user_" not in name
    assert required_role(ALL[name]) is (Role.VIEWER if reads else Role.ADMIN)


@pytest.fixture
def objects(db: None) -> dict[str, int | str]:
    """One of everything, and the id that each kind of address needs."""
    subclient = make_subclient(policy=make_policy(media=make_media()))
    node = AccessNode.objects.create(name="n1")
    policy = subclient.policy
    return {
        "file_server": subclient.file_server_id,
        "subclient": subclient.pk,
        "media": policy.copies.get(kind="primary_backup").media_id or 0,
        "policy": policy.pk,
        "copy": policy.copies.get(kind="primary_backup").pk,
        "node": node.pk,
        "schedule": make_schedule(subclient).pk,
        "blackout": make_blackout_window().pk,
        "restart": "prune",
        "user": make_user(Role.VIEWER, username="somebody").pk,
    }


def address(name: str, objects: dict[str, int | str]) -> str:
    if not ALL[name].pattern.converters:
        return reverse(name)
    kind = "policy" if name.endswith(":copy_create") else name.removeprefix("policies:").rsplit("_", 1)[0]
    return reverse(name, args=[objects[kind]])


@pytest.mark.parametrize("name", OURS)
def test_a_stranger_is_sent_to_sign_in(name: str, objects: dict[str, int | str]) -> None:
    response = Client().get(address(name, objects))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("login"))


@pytest.mark.parametrize("name", OURS)
def test_viewers_and_operators_only_read(
    name: str, objects: dict[str, int | str], viewer: Client, operator: Client, admin: Client
) -> None:
    where = address(name, objects)
    is_open = required_role(ALL[name]) is Role.VIEWER
    for client in (viewer, operator):
        assert client.get(where).status_code == (200 if is_open else 403)
        assert client.post(where).status_code == (405 if is_open else 403)
    assert admin.get(where).status_code in {200, 302, 405}


def test_a_refusal_tells_which_role_is_needed_and_which_one_has(viewer: Client) -> None:
    page = viewer.get(reverse("policies:media_create")).content.decode()
    assert "needs the role admin" in page
    assert "Your role is viewer" in page


def test_a_user_without_a_role_sees_nothing(db: None) -> None:
    client = Client()
    client.force_login(make_user(None))
    response = client.get(reverse("policies:media_list"))
    assert response.status_code == 403
    assert "no role yet" in response.content.decode()


def test_a_deactivated_user_is_out_at_once(viewer: Client, admin: Client) -> None:
    page = reverse("policies:media_list")
    assert viewer.get(page).status_code == 200
    viewer_id = viewer.session["_auth_user_id"]
    admin.post(reverse("policies:user_activate", args=[viewer_id]), {"on": "0"})
    assert viewer.get(page).status_code == 302


def test_roles_include_the_weaker_ones(db: None) -> None:
    admin, operator, viewer = (make_user(role) for role in (Role.ADMIN, Role.OPERATOR, Role.VIEWER))
    assert [has_role(admin, role) for role in Role] == [True, True, True]
    assert [has_role(operator, role) for role in Role] == [True, True, False]
    assert [has_role(viewer, role) for role in Role] == [True, False, False]
    assert role_of(AnonymousUser()) is None
    assert role_of(None) is None


def test_a_superuser_is_an_admin_and_an_inactive_one_is_nobody(db: None) -> None:
    root = make_user(None, username="root", is_superuser=True)
    assert role_of(root) is Role.ADMIN
    root.is_active = False
    assert role_of(root) is None


def test_the_strongest_of_several_groups_counts(db: None) -> None:
    user = make_user(Role.VIEWER)
    user.groups.add(Group.objects.get(name="operator"))
    assert role_of(user) is Role.OPERATOR


def test_buttons_that_change_something_are_only_shown_to_admins(
    viewer: Client, admin: Client, objects: dict[str, int | str]
) -> None:
    for name in ("file_server_detail", "media_detail", "policy_detail", "node_detail", "media_list", "policy_list"):
        where = address(f"policies:{name}", objects)
        for word in ("/edit/", "/delete/", "/add/", "/drain/"):
            assert word not in viewer.get(where).content.decode()
    assert "/edit/" in admin.get(address("policies:media_detail", objects)).content.decode()
