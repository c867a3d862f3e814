"""From nothing to a subclient in three steps, also when one goes back, mistypes or starts in the middle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from policies.models import FileServer, Media, StoragePolicy, Subclient
from tests.factories import PASSWORD, make_media, make_policy

pytestmark = pytest.mark.django_db

SOURCE = {"name": "fs1", "engine": "directory", "subclient_name": "home", "option_area": "/var/tmp/area"}
MEDIUM = {
    "name": "disk-a",
    "kind": "disk",
    "option_path": "/srv/backup",
    "repository_password": PASSWORD,
    "repeat_password": PASSWORD,
}


@pytest.fixture
def source(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "data").mkdir()
    return SOURCE | {"content_paths": f"{tmp_path}/data"}


def step(client: Client, name: str, values: dict[str, str]) -> str:
    """The address it leads to; '' when the step comes back."""
    return client.post(reverse(f"policies:{name}"), values).headers.get("Location", "")


def test_three_steps_make_everything(admin: Client, source: dict[str, str]) -> None:
    assert step(admin, "wizard", source) == reverse("policies:wizard_media")
    assert step(admin, "wizard_media", MEDIUM) == reverse("policies:wizard_policy")
    done = step(admin, "wizard_policy", {"policy_name": "gold", "is_inline": "on"})
    assert done == reverse("subclient", args=["fs1", "home"])
    subclient = Subclient.objects.get()
    assert subclient.content_paths == [source["content_paths"]]
    assert subclient.policy.is_inline
    assert [copy.media and copy.media.name for copy in subclient.policy.copies.order_by("precedence")] == [
        None,
        "disk-a",
    ]
    assert step(admin, "wizard_policy", {"policy_name": "x"}) == reverse("policies:wizard"), "it begins anew"


def test_no_password_waits_in_the_session(admin: Client, source: dict[str, str]) -> None:
    step(admin, "wizard", source)
    step(admin, "wizard_media", MEDIUM)
    assert PASSWORD not in json.dumps(dict(admin.session.items()))


def test_each_step_offers_to_test_what_the_one_before_made(admin: Client, source: dict[str, str]) -> None:
    step(admin, "wizard", source)
    shown = admin.get(reverse("policies:wizard_media")).content.decode()
    assert reverse("test-file-server", args=[FileServer.objects.get().pk]) in shown
    step(admin, "wizard_media", MEDIUM)
    shown = admin.get(reverse("policies:wizard_policy")).content.decode()
    assert reverse("test-media", args=[Media.objects.get().pk]) in shown


def test_going_back_edits_the_same_file_server(admin: Client, source: dict[str, str]) -> None:
    step(admin, "wizard", source)
    shown = admin.get(reverse("policies:wizard")).content.decode()
    assert source["content_paths"] in shown
    assert 'value="home"' in shown
    step(admin, "wizard", source | {"name": "renamed"})
    assert FileServer.objects.get().name == "renamed"


def test_an_existing_medium_and_policy_can_be_used(admin: Client, source: dict[str, str]) -> None:
    medium = make_media()
    policy = make_policy(media=medium)
    step(admin, "wizard", source)
    assert step(admin, "wizard_media", {"use": str(medium.pk)}) == reverse("policies:wizard_policy")
    step(admin, "wizard_policy", {"existing": str(policy.pk)})
    assert Subclient.objects.get().policy == policy
    assert (Media.objects.count(), StoragePolicy.objects.count()) == (1, 1)


def test_a_later_step_leads_back_to_what_is_missing(admin: Client, source: dict[str, str]) -> None:
    assert admin.get(reverse("policies:wizard_policy")).headers["Location"] == reverse("policies:wizard")
    assert admin.get(reverse("policies:wizard_media")).headers["Location"] == reverse("policies:wizard")
    step(admin, "wizard", source)
    assert admin.get(reverse("policies:wizard_policy")).headers["Location"] == reverse("policies:wizard_media")


def test_paths_the_engine_refuses_keep_one_on_the_first_step(admin: Client, source: dict[str, str]) -> None:
    refused = source | {"option_area": f"{source['content_paths']}/area"}
    response = admin.post(reverse("policies:wizard"), refused)
    assert 'id="id_content_paths_error"' in response.content.decode()
    assert step(admin, "wizard", source) == reverse("policies:wizard_media")
    assert FileServer.objects.count() == 1


def test_a_path_that_is_not_here_is_told_on_the_next_step(admin: Client, source: dict[str, str]) -> None:
    shown = admin.post(reverse("policies:wizard"), source | {"content_paths": "/nowhere/data"}, follow=True)
    assert "/nowhere/data is not on the machine of this web server" in shown.content.decode()


def test_a_refused_last_step_makes_nothing(admin: Client, source: dict[str, str]) -> None:
    step(admin, "wizard", source | {"subclient_name": "two words"})
    step(admin, "wizard_media", MEDIUM)
    shown = admin.post(reverse("policies:wizard_policy"), {"policy_name": "gold"}).content.decode()
    assert "Use letters, digits" in shown
    assert (StoragePolicy.objects.count(), Subclient.objects.count()) == (0, 0)


def test_another_engine_on_the_first_step_brings_its_fields(admin: Client, source: dict[str, str]) -> None:
    typed = source | {"engine": "btrfs", "switch": "1", "shown_kind": "directory"}
    shown = admin.post(reverse("policies:wizard"), typed).content.decode()
    assert "option_volume" in shown
    assert source["content_paths"] in shown
