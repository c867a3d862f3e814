"""What the forms refuse so that nothing is lost: another engine, one directory twice, the last admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from jobs.models import Snapshot, SnapshotState
from policies import services
from policies.models import AuditEntry, FileServer, Installation, Subclient
from snapcopy_site.lib.roles import Role
from tests.factories import make_file_server, make_media, make_policy, make_subclient, make_user
from tests.job_factories import make_snapshot

pytestmark = pytest.mark.django_db


def test_a_file_server_keeps_its_engine_while_snapshots_exist() -> None:
    subclient = make_subclient()
    make_snapshot(subclient)
    other: dict[str, Any] = {"engine": "btrfs", "options": {"volume": "/vol"}}
    with pytest.raises(ValidationError) as refusal:
        services.update_file_server(subclient.file_server, user=None, **other)
    assert "There are snapshots of fs1/home" in refusal.value.message_dict["engine"][0]
    Snapshot.objects.update(state=SnapshotState.DELETED)
    services.update_file_server(subclient.file_server, user=None, **other)
    assert FileServer.objects.get().engine == "btrfs"


def test_a_file_server_that_replicates_keeps_the_engine_of_its_partner() -> None:
    policy, target = make_policy(), make_file_server(name="vault")
    services.create_copy(policy, user=None, name="v", kind="secondary_snap", target_server=target)
    source = make_subclient(policy=policy).file_server
    other: dict[str, Any] = {"engine": "btrfs", "options": {"volume": "/vol"}}
    for server in (source, target):
        with pytest.raises(ValidationError) as refusal:
            services.update_file_server(server, user=None, **other)
        assert list(refusal.value.message_dict) == ["engine"]


def test_two_media_never_name_the_same_directory() -> None:
    make_media("/srv/one", name="one")
    with pytest.raises(ValidationError) as refusal:
        make_media("/srv//one/", name="two")
    assert "“one” is in this place already" in refusal.value.message_dict["option_path"][0]
    two = make_media("/srv/two", name="two")
    with pytest.raises(ValidationError):
        services.update_media(two, user=None, options={"path": "/srv/one"})
    services.update_media(two, user=None, options={"path": "/srv/two", "fsync": False})


@pytest.mark.parametrize("command", ["sync 'now", "one\ntwo", "x\x00"])
def test_s1_a_command_around_a_snapshot_can_be_split_into_arguments(command: str) -> None:
    subclient = make_subclient()
    with pytest.raises(ValidationError) as refusal:
        services.update_subclient(subclient, user=None, pre_command=command)
    assert list(refusal.value.message_dict) == ["pre_command"]


def test_a_subclients_form_saves_its_commands(admin: Client) -> None:
    subclient = make_subclient()
    typed = {"name": "home", "policy": subclient.policy_id, "content_paths": "/srv/home", "is_active": "on"}
    admin.post(
        reverse("policies:subclient_edit", args=[subclient.pk]),
        typed | {"pre_command": "/bin/rest --all", "post_command": "/bin/wake"},
    )
    stored = Subclient.objects.get()
    assert (stored.pre_command, stored.post_command) == ("/bin/rest --all", "/bin/wake")


def test_l2_the_limit_of_incrementals_is_saved_shown_and_can_be_removed(admin: Client) -> None:
    server = make_file_server()
    typed = {"name": "fs1", "engine": "directory", "option_area": "/var/tmp/area", "max_sessions": "4"}
    address = reverse("policies:file_server_edit", args=[server.pk])
    admin.post(address, typed | {"max_incrementals": "9"})
    shown = admin.get(reverse("policies:file_server_detail", args=[server.pk])).content.decode()
    assert "after 9 in a row the next becomes a differential" in shown
    admin.post(address, typed | {"max_incrementals": ""})
    server.refresh_from_db()
    assert server.max_incrementals is None


def test_b3_the_settings_are_saved_and_audited(admin: Client) -> None:
    address = reverse("policies:settings")
    admin.post(address, {"time_zone": "Europe/Berlin", "week_start": "0"})
    stored = Installation.objects.get()
    assert (stored.time_zone, stored.week_start) == ("Europe/Berlin", 0)
    assert AuditEntry.objects.get(object_kind="installation").changes["week_start"] == [4, 0]
    assert (
        "Select a valid choice" in admin.post(address, {"time_zone": "Mars/Base", "week_start": "0"}).content.decode()
    )


def test_settings_and_users_are_in_the_menu_of_admins_alone(admin: Client, operator: Client) -> None:
    for name in ("policies:settings", "policies:user_list"):
        link = f'href="{reverse(name)}"'
        assert link in admin.get("/policies/").content.decode()
        assert link not in operator.get("/policies/").content.decode()


def django_admin(person: User, page: str, values: dict[str, Any]) -> str:
    client = Client()
    client.force_login(person)
    address = reverse(f"admin:auth_user_{page}", args=[person.pk] if page != "changelist" else [])
    return client.post(address, values, follow=True).content.decode()


def test_the_django_admin_keeps_the_last_admin() -> None:
    root = make_user(None, username="root", is_superuser=True, is_staff=True)
    typed = {"username": "root", "is_active": "on", "is_staff": "on"}
    typed |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    assert "the last admin" in django_admin(root, "change", typed)
    django_admin(root, "delete", {"post": "yes"})
    django_admin(root, "changelist", {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"})
    stored = User.objects.get(username="root")
    assert (stored.is_superuser, stored.is_active) == (True, True)


def test_the_django_admin_does_not_delete_all_admins_together() -> None:
    root = make_user(None, username="root", is_superuser=True, is_staff=True)
    other = make_user(Role.ADMIN)
    chosen = {"action": "delete_selected", "_selected_action": [root.pk, other.pk], "post": "yes"}
    said = django_admin(root, "changelist", chosen)
    assert "Nobody was deleted" in said
    assert User.objects.count() == 2
