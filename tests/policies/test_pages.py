"""The pages show what is configured, in a number of queries that does not grow, and never a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from policies.models import AccessNode, Media
from policies.services import create_copy, run_media_test, store_test_report, update_file_server
from snapcopy_site.lib.roles import Role
from tests.factories import (
    PASSWORD,
    make_file_server,
    make_media,
    make_policy,
    make_subclient,
    make_user,
)

pytestmark = pytest.mark.django_db


def page(client: Client, name: str, *args: Any) -> str:
    response = client.get(reverse(f"policies:{name}", args=args))
    assert response.status_code == 200
    return response.content.decode()


def configure(count: int, *, start: int = 0) -> None:
    """``count`` of everything, tied together."""
    for number in range(start, start + count):
        node = AccessNode.objects.create(name=f"node{number}", last_seen_at=timezone.now())
        media = make_media(f"/srv/m{number}", name=f"media{number}")
        policy = make_policy(name=f"policy{number}", media=media)
        create_copy(policy, user=None, name="second", media=make_media(f"/srv/o{number}", name=f"other{number}"))
        server = make_file_server(name=f"server{number}")
        update_file_server(server, user=None, access_nodes=[node])
        make_subclient(name="home", file_server=server, policy=policy)
        make_user(Role.VIEWER, username=f"viewer{number}")


@contextmanager
def queries() -> Iterator[Callable[[], int]]:
    with CaptureQueriesContext(connection) as captured:
        yield lambda: len(captured)


SIGN_IN = 3
"""Session, user, and the user's groups."""


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("file_server_list", 2),
        ("subclient_list", 1),
        ("media_list", 1),
        ("policy_list", 4),
        ("node_list", 1),
        ("user_list", 2),
        ("activity", 3),
    ],
)
def test_a_list_costs_the_same_number_of_queries_however_long(admin: Client, name: str, own: int) -> None:
    configure(1)
    page(admin, name)
    with queries() as first:
        page(admin, name)
    few = first()
    configure(4, start=1)
    with queries() as second:
        page(admin, name)
    assert (few, second()) == (SIGN_IN + own, SIGN_IN + own)


@pytest.mark.parametrize(
    ("name", "own"), [("file_server_detail", 7), ("media_detail", 16), ("policy_detail", 9), ("node_detail", 5)]
)
def test_a_detail_page_costs_a_fixed_number_of_queries(admin: Client, name: str, own: int) -> None:
    configure(1)
    pk = {
        "file_server_detail": make_file_server(name="fs").pk,
        "media_detail": Media.objects.get(name="media0").pk,
        "policy_detail": Media.objects.get(name="media0").copies.get().policy_id,
        "node_detail": AccessNode.objects.get().pk,
    }[name]
    page(admin, name, pk)
    with queries() as counted:
        page(admin, name, pk)
    assert counted() == SIGN_IN + own


@pytest.mark.parametrize("name", ["file_server_list", "subclient_list", "media_list", "policy_list", "node_list"])
def test_lists_are_in_order_of_their_names(viewer: Client, name: str) -> None:
    configure(3)
    shown = page(viewer, name)
    prefix = {"file_server_list": "server", "subclient_list": "server", "media_list": "media", "policy_list": "policy"}
    places = [shown.index(f">{prefix.get(name, 'node')}{number}") for number in range(3)]
    assert places == sorted(places)


def test_no_page_ever_holds_a_password(admin: Client) -> None:
    medium = make_media(password=PASSWORD)
    for name, args in (
        ("media_list", []),
        ("media_detail", [medium.pk]),
        ("media_edit", [medium.pk]),
        ("activity", []),
    ):
        shown = page(admin, name, *args)
        assert PASSWORD not in shown
        assert medium.secrets.get().token not in shown


def test_empty_lists_tell_the_next_step(admin: Client, viewer: Client) -> None:
    assert reverse("policies:wizard") in page(admin, "file_server_list")
    assert reverse("policies:media_create") in page(admin, "media_list")
    assert "An admin adds the first one" in page(viewer, "media_list")
    assert "snapcopy node NAME" in page(viewer, "node_list")


def test_a_policy_is_a_picture_of_its_copies_in_order(viewer: Client) -> None:
    policy = make_policy(media=make_media())
    create_copy(policy, user=None, name="offsite", media=make_media(name="disk-b"))
    shown = page(viewer, "policy_detail", policy.pk)
    assert shown.index("Primary snap copy") < shown.index("disk-a") < shown.index("disk-b")


def test_a_medium_shows_its_last_test_and_its_space(viewer: Client, tmp_path: Path) -> None:
    medium = make_media(tmp_path)
    store_test_report(medium, run_media_test(medium))
    shown = page(viewer, "media_detail", medium.pk)
    assert "free of" in shown
    assert "first copy creates it" in shown
    assert "Test passed" in page(viewer, "media_list")


def test_operators_may_test_and_viewers_may_not(viewer: Client, operator: Client) -> None:
    medium = make_media()
    address = reverse("test-media", args=[medium.pk])
    assert address in page(operator, "media_detail", medium.pk)
    assert address not in page(viewer, "media_detail", medium.pk)


def test_the_nodes_page_polls_only_its_table(viewer: Client) -> None:
    AccessNode.objects.create(name="n1", last_seen_at=timezone.now(), load_1m=0.5, cores=4)
    full = page(viewer, "node_list")
    fragment = viewer.get(reverse("policies:node_list"), headers={"HX-Request": "true", "HX-Target": "nodes"})
    assert "<html" in full
    assert "<html" not in fragment.content.decode()
    assert 'hx-trigger="every 5s"' in fragment.content.decode()
    assert "Online" in fragment.content.decode()


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"last_seen_at": None}, "Offline"),
        ({"is_draining": True}, "Draining"),
        ({"is_enabled": False}, "Disabled"),
    ],
)
def test_a_nodes_state_is_told_in_one_word(viewer: Client, values: dict[str, Any], state: str) -> None:
    node = AccessNode.objects.create(**{"name": "n1", "last_seen_at": timezone.now(), **values})
    assert state in page(viewer, "node_detail", node.pk)


def test_draining_and_enabling_go_by_one_button_each(admin: Client) -> None:
    node = AccessNode.objects.create(name="n1")
    admin.post(reverse("policies:node_drain", args=[node.pk]), {"on": "1"})
    admin.post(reverse("policies:node_enable", args=[node.pk]), {"on": "0"})
    node.refresh_from_db()
    assert (node.is_draining, node.is_enabled) == (True, False)


def test_a_deletion_names_what_goes_with_it_and_happens_on_post(admin: Client) -> None:
    policy = make_policy(media=make_media())
    address = reverse("policies:policy_delete", args=[policy.pk])
    assert "copy gold/backup" in admin.get(address).content.decode()
    assert admin.post(address, follow=True).status_code == 200
    assert "was deleted" in admin.get(reverse("policies:policy_list")).content.decode() or not policy.copies.exists()


def test_a_deletion_that_cannot_be_has_no_button_but_reasons(admin: Client) -> None:
    medium = make_media()
    make_policy(media=medium)
    address = reverse("policies:media_delete", args=[medium.pk])
    shown = admin.get(address).content.decode()
    assert "Still needed by: copy gold/backup" in shown
    assert "Delete the medium</button>" not in shown
    assert "Still needed by: copy gold/backup" in admin.post(address).content.decode()
    assert Media.objects.exists()


def test_a_sign_in_link_is_shown_once_and_audited(admin: Client) -> None:
    person = make_user(Role.OPERATOR, username="ann")
    response = admin.post(reverse("sign-in-link-new", args=[person.pk]))
    shown = response.content.decode()
    link = shown.split('id="sign-in-link">')[1].split("</pre>")[0]
    assert "no-store" in response["Cache-Control"]
    assert link not in page(admin, "user_detail", person.pk)
    assert "Made a one-time sign-in link" in page(admin, "activity")
    guest = Client()
    assert guest.post(link.replace("http://testserver", ""), follow=True).status_code == 200
    assert guest.session["_auth_user_id"] == str(person.pk)


def test_a_missing_object_is_a_404(admin: Client) -> None:
    for name in ("file_server_detail", "media_edit", "policy_delete", "copy_edit", "node_detail", "user_detail"):
        assert admin.get(reverse(f"policies:{name}", args=[10**9])).status_code == 404
        assert admin.get(reverse(f"policies:{name}", args=[10**25])).status_code == 404
