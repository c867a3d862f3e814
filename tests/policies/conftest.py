"""Every test here has a key file of its own, and clients of the three roles."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from snapcopy_site.lib.roles import Role
from tests.factories import make_user


@pytest.fixture(autouse=True)
def key_file(tmp_path: Path, settings: Settings) -> Path:
    path = tmp_path / "keys" / "keyring"
    settings.SNAPCOPY_KEY_FILE = path
    return path


@pytest.fixture
def admin(db: None) -> Client:
    return _client(Role.ADMIN)


@pytest.fixture
def operator(db: None) -> Client:
    return _client(Role.OPERATOR)


@pytest.fixture
def viewer(db: None) -> Client:
    return _client(Role.VIEWER)


def _client(role: Role) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client
