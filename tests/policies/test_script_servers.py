"""File servers of the script engine: their form, what it refuses, and that a recovered one shows its commands first."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from policies.declared.sealed import commands_of, opened, sealed_text
from policies.models import FileServer
from policies.services import create_file_server
from snapcopy_site.lib.roles import Role
from tests.factories import make_media, make_user

pytestmark = pytest.mark.django_db

COMMANDS = {
    f"{action}_command": f"/usr/local/sbin/array {action} --of 'vol 1'" for action in ("create", "list", "path")
}
COMMANDS["delete_command"] = "/usr/local/sbin/array delete"
TYPED = {
    "name": "array1",
    "engine": "script",
    "max_sessions": "4",
    "is_active": "on",
    **{f"option_{name}": line for name, line in COMMANDS.items()},
    "option_test_directory": "/mnt/array1",
    "option_timeout_seconds": "300",
}


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(make_user(Role.ADMIN))
    return client


def test_the_commands_are_stored_as_they_were_typed(admin: Client) -> None:
    answer = admin.post(reverse("policies:file_server_create"), TYPED)
    assert answer.status_code == 302, answer.content.decode()
    server = FileServer.objects.get()
    assert {name: server.options[name] for name in COMMANDS} == COMMANDS


def test_a_command_without_an_absolute_path_is_refused_beside_its_field(admin: Client) -> None:
    answer = admin.post(reverse("policies:file_server_create"), TYPED | {"option_delete_command": "rm -rf"})
    assert "A command begins with the absolute path of its program." in answer.content.decode()
    assert not FileServer.objects.exists()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_an_admin_sets_commands(client: Client, role: Role) -> None:
    client.force_login(make_user(role))
    assert client.post(reverse("policies:file_server_create"), TYPED).status_code == 403
    assert not FileServer.objects.exists()


def test_a_configuration_from_a_medium_names_them_before_anything_is_applied() -> None:
    create_file_server(name="array1", engine="script", options={**COMMANDS, "test_directory": "/mnt/array1"}, user=None)
    kept = opened(sealed_text(make_media()))
    assert kept is not None
    assert commands_of(kept) == [
        ("array1", COMMANDS[f"{action}_command"]) for action in ("create", "list", "path", "delete")
    ]
