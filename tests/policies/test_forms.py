"""Forms: built from the drivers' options, honest about what is wrong, and never losing what was typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.engine.media.registry import MEDIA
from jobs.engine.options import field_specs, parse_bytes
from jobs.engine.snapshots.registry import ENGINES
from policies.forms.media import MediaForm
from policies.forms.option_fields import option_fields, size_text
from policies.forms.sources import FileServerForm, SubclientForm
from policies.models import Copy, FileServer, Media, StoragePolicy, Subclient
from policies.resolve import media_password
from tests.factories import PASSWORD, make_file_server, make_media, make_policy, make_subclient

pytestmark = pytest.mark.django_db

MEDIUM = {
    "name": "disk-a",
    "kind": "disk",
    "option_path": "/srv/backup",
    "option_fsync": "on",
    "repository_password": PASSWORD,
    "repeat_password": PASSWORD,
    "is_active": "on",
}
SERVER = {
    "name": "fs1",
    "engine": "directory",
    "option_area": "/var/tmp/area",
    "max_sessions": "4",
    "is_active": "on",
}


def add(client: Client, name: str, values: dict[str, Any], *args: int) -> Any:
    return client.post(reverse(f"policies:{name}", args=args), values)


@pytest.mark.parametrize("kind", [*MEDIA.values(), *ENGINES.values()], ids=lambda kind: kind.name)
def test_every_option_of_every_kind_has_a_field_that_explains_itself(kind: Any) -> None:
    specs = field_specs(kind.options)
    fields = option_fields(specs, stored={}, stored_secrets=())
    assert set(fields) == {f"option_{spec.name}" for spec in specs}
    assert all(field.label and field.help_text for field in fields.values())


def test_a_medium_is_saved_as_it_was_typed(admin: Client) -> None:
    response = add(admin, "media_create", MEDIUM | {"option_min_free_bytes": "10 GiB"})
    medium = Media.objects.get()
    assert response["Location"] == reverse("policies:media_detail", args=[medium.pk])
    assert medium.options["path"] == "/srv/backup"
    assert medium.options["min_free_bytes"] == 10 * 2**30
    assert medium.options["must_be_mountpoint"] is False
    assert media_password(medium).reveal() == PASSWORD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "two words"}, "Use letters, digits"),
        ({"name": ""}, "This field is required"),
        ({"option_path": "backup"}, "must be an absolute path"),
        ({"option_path": "/srv/../etc"}, "must not hold"),
        ({"option_path": ""}, "This field is required"),
        ({"option_min_free_bytes": "lots"}, "must be a size like"),
        ({"repository_password": ""}, "This field is required"),
        ({"repeat_password": "other"}, "The two passwords differ"),
        ({"kind": "punchcards"}, "Select a valid choice"),
    ],
)
def test_bad_input_is_told_beside_the_field_and_nothing_typed_is_lost(
    admin: Client, change: dict[str, str], message: str
) -> None:
    typed = MEDIUM | {"description": "below the stairs"} | change
    shown = add(admin, "media_create", typed).content.decode()
    assert message in shown
    assert 'value="below the stairs"' in shown
    assert PASSWORD not in shown
    assert not Media.objects.exists()


def test_a_name_that_is_taken_is_told_beside_it(admin: Client) -> None:
    make_media("/srv/elsewhere", name="disk-a")
    shown = add(admin, "media_create", MEDIUM).content.decode()
    assert "already exists" in shown
    assert 'id="id_name_error"' in shown


def test_an_edit_keeps_the_password_unless_a_new_one_is_typed(admin: Client) -> None:
    medium = make_media(name="disk-a")
    without = MEDIUM | {"repository_password": "", "repeat_password": "", "description": "new"}
    add(admin, "media_edit", without, medium.pk)
    assert media_password(medium).reveal() == PASSWORD
    add(admin, "media_edit", MEDIUM | {"repository_password": "changed", "repeat_password": "changed"}, medium.pk)
    medium.refresh_from_db()
    assert medium.description == ""
    assert media_password(Media.objects.get()).reveal() == "changed"


def test_an_edit_form_says_that_a_secret_is_set(admin: Client) -> None:
    medium = make_media()
    shown = admin.get(reverse("policies:media_edit", args=[medium.pk])).content.decode()
    assert "Set. Leave empty to keep it" in shown
    assert 'value="/srv/backup"' in shown


def test_another_kind_brings_its_fields_and_keeps_what_was_typed(admin: Client) -> None:
    typed = SERVER | {"switch": "1", "shown_kind": "directory", "engine": "btrfs", "description": "the old one"}
    shown = add(admin, "file_server_create", typed).content.decode()
    assert "option_volume" in shown
    assert 'value="the old one"' in shown
    assert 'value="/var/tmp/area"' in shown, "an option of the same name is carried over"
    assert "This field is required" not in shown
    assert not FileServer.objects.exists()


def test_another_kind_does_not_inherit_a_default(admin: Client) -> None:
    typed = SERVER | {"switch": "1", "shown_kind": "directory", "engine": "btrfs"}
    shown = add(admin, "file_server_create", typed | {"option_area": "/var/lib/snapcopy/snapshots"}).content.decode()
    assert "/var/lib/snapcopy/snapshots" not in shown, "a place for directory snapshots; btrfs has its own"


def test_a_switched_off_option_stays_off_when_the_kind_stays(admin: Client) -> None:
    typed = {name: value for name, value in MEDIUM.items() if name != "option_fsync"}
    shown = add(admin, "media_create", typed | {"switch": "1", "shown_kind": "disk"}).content.decode()
    assert 'name="option_fsync" aria-describedby="id_option_fsync_helptext" id="id_option_fsync">' in shown
    fresh = add(admin, "media_create", typed | {"switch": "1", "shown_kind": "other"}).content.decode()
    assert "checked" in fresh.split('name="option_fsync"')[1].split(">")[0]


def test_the_kind_can_come_from_the_address(admin: Client) -> None:
    shown = admin.get(reverse("policies:file_server_create") + "?kind=xfs").content.decode()
    assert "option_volume" in shown
    assert admin.get(reverse("policies:file_server_create") + "?kind=punchcards").status_code == 200


def test_without_scripts_a_button_brings_the_fields(admin: Client) -> None:
    shown = admin.get(reverse("policies:file_server_create")).content.decode()
    assert '<noscript><button class="button button-s" type="submit" name="switch"' in shown


def test_a_change_of_engine_drops_the_old_options(admin: Client) -> None:
    server = make_file_server()
    typed = SERVER | {"engine": "btrfs", "option_volume": "/vol", "option_area": "", "option_timeout_seconds": "60"}
    add(admin, "file_server_edit", typed, server.pk)
    server.refresh_from_db()
    assert (server.engine, server.options["volume"], server.options["area"]) == ("btrfs", "/vol", None)


def subclient(server: FileServer, policy: StoragePolicy, paths: str) -> dict[str, Any]:
    values = {"file_server": server.pk, "name": "home", "policy": policy.pk, "is_active": "on"}
    return values | {"content_paths": paths}


def test_content_paths_are_one_a_line(admin: Client, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    server, policy = make_file_server(), make_policy()
    response = add(admin, "subclient_create", subclient(server, policy, f"{tmp_path}/a/\r\n\r\n/nowhere/b\r\n"))
    assert response["Location"] == reverse("subclient", args=["fs1", "home"])
    assert Subclient.objects.get().content_paths == [f"{tmp_path}/a", "/nowhere/b"]


def test_a_path_that_is_not_here_is_saved_with_a_warning(admin: Client) -> None:
    form = subclient(make_file_server(), make_policy(), "/nowhere/data")
    shown = admin.post(reverse("policies:subclient_create"), form, follow=True).content.decode()
    assert "/nowhere/data is not on the machine of this web server" in shown


def test_the_engine_judges_the_paths_that_are_here(admin: Client, tmp_path: Path) -> None:
    (tmp_path / "area").mkdir()
    server = make_file_server(area=str(tmp_path / "area"))
    shown = add(admin, "subclient_create", subclient(server, make_policy(), str(tmp_path))).content.decode()
    assert 'id="id_content_paths_error"' in shown
    assert str(tmp_path) in shown
    assert not Subclient.objects.exists()


@pytest.mark.parametrize("paths", ["", "srv", "/srv\n/srv/x", "/srv/../x"])
def test_bad_content_paths_are_told_beside_the_field(admin: Client, paths: str) -> None:
    shown = add(admin, "subclient_create", subclient(make_file_server(), make_policy(), paths)).content.decode()
    assert 'id="id_content_paths_error"' in shown


def test_a_subclients_server_cannot_be_changed_by_its_form(admin: Client) -> None:
    found, other = make_subclient(), make_file_server(name="fs2")
    add(admin, "subclient_edit", subclient(other, found.policy, "/srv/home"), found.pk)
    assert Subclient.objects.get().file_server.name == "fs1"


POLICY = {
    "name": "gold",
    "is_active": "on",
    "retention": "days",
    "retention_days": "7",
    "copy_name": "",
    "copy_days": "30",
    "copy_cycles": "1",
    "catalog": "inline",
    "selection": "all",
    "defer_days": "0",
    "alert_after_hours": "48",
    "overdue_after_days": "14",
    "overdue_action": "alert",
    "offline_attempts": "10",
    "offline_days": "5",
}
COPY = {"name": "offsite", "is_active": "on", "ages": "on", "retention": "infinite"}


def test_a_policy_is_made_with_its_first_copy(admin: Client) -> None:
    medium = make_media()
    add(admin, "policy_create", POLICY | {"media": medium.pk})
    assert [copy.name for copy in StoragePolicy.objects.get().copies.order_by("precedence")] == ["snapshot", "backup"]


def test_a_policy_whose_copy_is_refused_is_not_made_either(admin: Client) -> None:
    medium = make_media()
    shown = add(admin, "policy_create", POLICY | {"media": medium.pk, "copy_name": "a b"}).content.decode()
    assert "Use letters, digits" in shown
    assert not StoragePolicy.objects.exists()


def test_copies_are_added_moved_and_deleted(admin: Client) -> None:
    policy = make_policy(media=make_media())
    other = make_media(name="disk-b")
    add(admin, "copy_create", COPY | {"media": other.pk}, policy.pk)
    offsite = Copy.objects.get(name="offsite")
    add(admin, "copy_move", {"direction": "earlier"}, offsite.pk)
    assert list(policy.copies.order_by("precedence").values_list("name", flat=True)) == [
        "snapshot",
        "offsite",
        "backup",
    ]
    inactive = {"name": "far", "media": other.pk, "retention": "infinite", "precedence": "2"}
    add(admin, "copy_edit", inactive, offsite.pk)
    offsite.refresh_from_db()
    assert (offsite.name, offsite.is_active) == ("far", False)
    add(admin, "copy_delete", {}, offsite.pk)
    assert not Copy.objects.filter(pk=offsite.pk).exists()


def test_the_snap_copys_form_has_no_medium(admin: Client) -> None:
    copy = make_policy().copies.get()
    assert 'name="media"' not in admin.get(reverse("policies:copy_edit", args=[copy.pk])).content.decode()
    add(admin, "copy_edit", {"name": "snap", "is_active": "on", "retention": "infinite"}, copy.pk)
    copy.refresh_from_db()
    assert copy.name == "snap"


def test_the_last_admin_is_told_why_the_role_stays(admin: Client) -> None:
    me = admin.session["_auth_user_id"]
    shown = add(admin, "user_edit", {"role": "viewer", "sees": "everything"}, int(me)).content.decode()
    assert "the last admin" in shown


@given(st.integers(min_value=0, max_value=2**62))
def test_a_size_is_written_so_that_it_reads_back(size: int) -> None:
    assert parse_bytes(size_text(size)) == size


text = st.text(max_size=80)
saves = settings(deadline=None, max_examples=40)
"""Each example writes rows, on a machine that may be busy."""


@saves
@given(st.dictionaries(st.sampled_from([*sorted(MEDIUM), "option_min_free_bytes", "description"]), text))
def test_any_text_in_a_medium_form_is_an_answer_not_a_crash(typed: dict[str, str]) -> None:
    form = MediaForm(query(MEDIUM | typed))
    if form.is_valid():
        form.save(user=None)
    form.as_p()


@saves
@given(st.dictionaries(st.sampled_from([*sorted(SERVER), "option_volume", "description"]), text))
def test_any_text_in_a_file_server_form_is_an_answer_not_a_crash(typed: dict[str, str]) -> None:
    form = FileServerForm(query(SERVER | typed))
    if form.is_valid():
        form.save(user=None)
    form.as_p()


@saves
@given(paths=text)
def test_any_content_paths_are_an_answer_not_a_crash(paths: str) -> None:
    server = FileServer.objects.first() or make_file_server()
    policy = StoragePolicy.objects.first() or make_policy()
    form = SubclientForm(query(subclient(server, policy, paths)))
    if form.is_valid():
        form.save(user=None)
    form.as_p()


def query(values: dict[str, Any]) -> QueryDict:
    made = QueryDict(mutable=True)
    made.update({name: str(value) for name, value in values.items()})
    return made
