"""Impossible rows of the catalog: the database refuses each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from jobs.models import CatalogFolder, CatalogOwner, CatalogVersion
from tests.factories import make_subclient

pytestmark = pytest.mark.django_db

THEN = datetime(2026, 1, 4, 20, tzinfo=UTC)


def refuse(constraint: str, write: Callable[[], Any]) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        write()


@pytest.fixture
def root() -> CatalogFolder:
    return CatalogFolder.objects.create(subclient=make_subclient(), parent=None, name="", path="/", depth=0)


def make_version(root: CatalogFolder, **values: Any) -> CatalogVersion:
    given = {"subclient": root.subclient, "folder": root, "name": "a", "kind": "f", "first_at": THEN} | values
    return CatalogVersion.objects.create(**given)


def test_a_folder_is_there_once_and_a_subclient_has_one_root(root: CatalogFolder) -> None:
    values = {"subclient": root.subclient, "parent": root, "name": "srv", "path": "/srv", "depth": 1}
    CatalogFolder.objects.create(**values)
    refuse("catalog_folder_once", lambda: CatalogFolder.objects.create(**values))
    top = {"subclient": root.subclient, "parent": None, "name": "", "path": "/", "depth": 0}
    refuse("catalog_folder_one_root", lambda: CatalogFolder.objects.create(**top))


@pytest.mark.parametrize("values", [{"name": ""}, {"depth": 0}, {"parent": None}])
def test_only_the_root_is_without_name_and_parent(root: CatalogFolder, values: dict[str, Any]) -> None:
    given = {"subclient": root.subclient, "parent": root, "name": "srv", "path": "/srv", "depth": 1} | values
    refuse("catalog_folder_only_the_root_is_nameless", lambda: CatalogFolder.objects.create(**given))


def test_a_version_of_a_path_begins_once(root: CatalogFolder) -> None:
    make_version(root)
    refuse("catalog_version_once", lambda: make_version(root))
    make_version(root, first_at=THEN + timedelta(days=1))


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("catalog_version_kind_known", {"kind": "x"}),
        ("catalog_version_has_a_name", {"name": ""}),
        ("catalog_version_ends_after_it_began", {"until_at": THEN}),
        ("catalog_version_ends_after_it_began", {"until_at": THEN - timedelta(seconds=1)}),
        ("catalog_version_counts_files_of_folders_only", {"files": 1}),
    ],
)
def test_a_version_is_of_a_known_kind_and_ends_after_it_began(
    root: CatalogFolder, constraint: str, values: dict[str, Any]
) -> None:
    refuse(constraint, lambda: make_version(root, **values))


def test_an_owner_is_there_once() -> None:
    values = {"uid": 0, "gid": 0, "user": "root", "group": "root"}
    CatalogOwner.objects.create(**values)
    refuse("catalog_owner_once", lambda: CatalogOwner.objects.create(**values))
