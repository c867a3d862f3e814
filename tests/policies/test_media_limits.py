"""Limits that every medium has: on its form and page, in the file of the configuration, and around its driver."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from jobs.engine.media.board import MediaBoard
from jobs.engine.media.layers import LOCAL, REMOTE, Limits
from jobs.engine.media.wrapping import transfers_of
from policies.declared.applying import apply
from policies.declared.picture import picture
from policies.declared.problems import DeclaredRefused
from policies.declared.reading import read
from policies.models import Media
from policies.resolve import bandwidth_now, limits_of, resolve_media
from policies.services import update_media
from snapcopy_site.lib.roles import Role
from tests.factories import PASSWORD, make_media, make_user

pytestmark = pytest.mark.django_db
MIB = 1 << 20

TYPED = {
    "name": "disk-a",
    "kind": "disk",
    "shown_kind": "disk",
    "option_path": "/srv/backup",
    "is_active": "on",
    "bandwidth_limit": "100 MiB/s",
    "bandwidth_calendar": "Mon-Fri 08-18: 20 MiB/s\nSat,Sun 00-24: no limit",
    "parallel_transfers": "3",
    "retries": "2",
    "timeout_seconds": "30",
    "repository_password": PASSWORD,
    "repeat_password": PASSWORD,
}


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make_user(Role.ADMIN))
    return client


def test_limits_are_typed_and_shown_as_people_write_them(admin: Client) -> None:
    assert admin.post(reverse("policies:media_create"), TYPED).status_code == 302
    medium = Media.objects.get()
    assert (medium.bandwidth_limit, medium.parallel_transfers) == (100 * MIB, 3)
    assert limits_of(medium) == Limits(transfers=3, retries=2, timeout_seconds=30)
    page = admin.get(reverse("policies:media_detail", args=[medium.pk])).content.decode()
    assert "100 MiB/s" in page
    assert "Sat,Sun 00-24: no limit" in page
    form = admin.get(reverse("policies:media_edit", args=[medium.pk])).content.decode()
    assert 'value="100 MiB/s"' in form
    without = TYPED | {"bandwidth_limit": "", "parallel_transfers": "", "bandwidth_calendar": ""}
    admin.post(reverse("policies:media_edit", args=[medium.pk]), without)
    medium.refresh_from_db()
    assert (medium.bandwidth_limit, medium.parallel_transfers) == (None, None)


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("bandwidth_limit", "fast", "is no bandwidth"),
        ("bandwidth_limit", "1 KiB/s", "The least is 64 KiB/s"),
        ("bandwidth_calendar", "Mon-Fri 08-18: 20 MiB/s\nMoon 1-2: no limit", "Line 2: “Moon” is no day"),
        ("parallel_transfers", "65", "less than or equal to 64"),
        ("timeout_seconds", "1", "greater than or equal to 5"),
    ],
)
def test_what_cannot_be_a_limit_is_told_beside_its_field(admin: Client, field: str, text: str, told: str) -> None:
    shown = admin.post(reverse("policies:media_create"), TYPED | {field: text})
    assert shown.status_code == 200
    assert told in shown.content.decode()
    assert not Media.objects.exists()


def test_the_limits_are_folded_until_one_is_typed_or_wrong(admin: Client) -> None:
    shut, opened = '<details class="fold fold-section">', '<details class="fold fold-section" open>'
    add = reverse("policies:media_create")
    assert shut in admin.get(add).content.decode()
    assert opened in admin.post(add, TYPED | {"retries": "many", "name": ""}).content.decode()
    admin.post(add, TYPED)
    edit = reverse("policies:media_edit", args=[Media.objects.get().pk])
    assert opened in admin.get(edit).content.decode()
    limits = ("bandwidth_limit", "bandwidth_calendar", "parallel_transfers", "retries", "timeout_seconds")
    admin.post(edit, TYPED | dict.fromkeys(limits, ""))
    assert shut in admin.get(edit).content.decode()


def test_limits_go_through_the_file_of_the_configuration_and_back() -> None:
    make_media(name="disk-a")
    given = {"bandwidth": "20 MiB/s", "bandwidth_calendar": ["daily 22-06: no limit"], "transfers": 4}
    text = "version: 1\nmedia:\n  - {name: disk-a, bandwidth: 20 MiB/s, transfers: 4, "
    apply(read(text + 'bandwidth_calendar: ["daily 22-06: no limit"]}'), user=None)
    (shown,) = picture()["media"]
    assert {key: shown[key] for key in given} == given
    assert (shown["retries"], shown["timeout_seconds"]) == (None, None)
    apply(read("version: 1\nmedia:\n  - {name: disk-a, bandwidth: null}"), user=None)
    assert picture()["media"][0]["bandwidth"] is None
    with pytest.raises(DeclaredRefused, match="is no bandwidth"):
        apply(read("version: 1\nmedia:\n  - {name: disk-a, bandwidth: fast}"), user=None)


def test_a_directory_is_not_tried_again_unless_somebody_says_so(tmp_path: Path) -> None:
    medium = make_media(tmp_path)
    assert limits_of(medium) == LOCAL
    assert transfers_of(resolve_media(medium, board=MediaBoard())) == 2
    update_media(medium, user=None, parallel_transfers=1, retries=5)
    limits = limits_of(medium)
    assert (limits.transfers, limits.retries, limits.timeout_seconds) == (1, 5, None)
    assert transfers_of(resolve_media(medium)) == 1
    assert REMOTE.transfers == REMOTE.retries == 8


def test_the_limit_of_this_moment_is_that_of_the_calendar() -> None:
    medium = make_media()
    update_media(medium, user=None, bandwidth_limit=MIB, bandwidth_calendar="daily 00-24: 7 MiB/s")
    assert bandwidth_now(medium).bytes_per_second == 7 * MIB
    with pytest.raises(ValidationError, match="Line 1"):
        update_media(medium, user=None, bandwidth_calendar="nonsense")
