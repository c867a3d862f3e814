"""Rows that must never exist, each inserted straight into the table: the database itself refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, models, transaction

from policies.models import (
    AccessNode,
    AuditEntry,
    Copy,
    FileServer,
    Installation,
    Media,
    Secret,
    StoragePolicy,
    Subclient,
)

pytestmark = pytest.mark.django_db


def medium(name: str = "m") -> Media:
    return Media.objects.create(name=name, kind="disk")


def server(name: str = "s") -> FileServer:
    return FileServer.objects.create(name=name, engine="directory")


def policy(name: str = "p") -> StoragePolicy:
    return StoragePolicy.objects.create(name=name)


def copy(of: StoragePolicy, kind: str, precedence: int = 1, *, name: str = "c", media: Media | None = None) -> Copy:
    return Copy.objects.create(policy=of, kind=kind, precedence=precedence, name=name, media=media)


def secret(**owner: models.Model | None) -> Secret:
    return Secret.objects.create(field="password", token="x", key_id="k", **owner)


def subclient(paths: object, *, name: str = "c") -> Subclient:
    return Subclient.objects.create(
        file_server=FileServer.objects.first() or server(),
        policy=StoragePolicy.objects.first() or policy(),
        name=name,
        content_paths=paths,
    )


def refused_by(constraint: str, insert: Callable[[], object]) -> None:
    def insert_now() -> None:
        with transaction.atomic():
            insert()
            connection.check_constraints()

    with pytest.raises(IntegrityError, match=constraint):
        insert_now()


@pytest.mark.parametrize("slots", [0, 65])
def test_a_node_has_1_to_64_slots(slots: int) -> None:
    refused_by("access_node_slots_1_to_64", lambda: AccessNode.objects.create(name="n", slots=slots))


def test_a_file_server_allows_at_least_one_session() -> None:
    refused_by(
        "file_server_sessions_at_least_1", lambda: FileServer.objects.create(name="s", engine="x", max_sessions=0)
    )


def test_a_limit_of_incrementals_is_absent_or_at_least_one() -> None:
    FileServer.objects.create(name="none", engine="x", max_incrementals=None)
    refused_by(
        "file_server_incrementals_at_least_1",
        lambda: FileServer.objects.create(name="s", engine="x", max_incrementals=0),
    )


@pytest.mark.parametrize(
    ("paths", "constraint"),
    [
        ([], "subclient_content_not_empty"),
        ({}, "subclient_content_is_a_list"),
        ("/srv", "subclient_content_is_a_list"),
        (7, "subclient_content_is_a_list"),
        (["srv"], "subclient_content_is_absolute_paths"),
        (["/srv", 7], "subclient_content_is_absolute_paths"),
        (["/srv", None], "subclient_content_is_absolute_paths"),
        (["/srv", ["/x"]], "subclient_content_is_absolute_paths"),
    ],
)
def test_content_paths_are_a_list_of_absolute_paths(paths: object, constraint: str) -> None:
    refused_by(constraint, lambda: subclient(paths))


def test_a_subclients_name_is_unique_on_its_server() -> None:
    subclient(["/a"])
    refused_by("subclient_unique_name_on_server", lambda: subclient(["/b"]))


def test_a_secret_belongs_to_somebody() -> None:
    refused_by("secret_has_exactly_one_owner", secret)


def test_a_secret_belongs_to_one_only() -> None:
    refused_by("secret_has_exactly_one_owner", lambda: secret(media=medium(), file_server=server()))


def test_a_medium_has_each_secret_once() -> None:
    owner = medium()
    secret(media=owner)
    refused_by("secret_unique_media_field", lambda: secret(media=owner))


def test_a_file_server_has_each_secret_once() -> None:
    owner = server()
    secret(file_server=owner)
    refused_by("secret_unique_file_server_field", lambda: secret(file_server=owner))


def test_o1_a_policy_has_one_primary_snap_copy() -> None:
    of = policy()
    copy(of, "primary_snap")
    refused_by("copy_one_primary_snap_per_policy", lambda: copy(of, "primary_snap", 2, name="other"))


def test_o1_a_policy_has_one_primary_backup_copy() -> None:
    of = policy()
    copy(of, "primary_backup", media=medium())
    refused_by(
        "copy_one_primary_backup_per_policy",
        lambda: copy(of, "primary_backup", 2, name="other", media=medium("m2")),
    )


@pytest.mark.parametrize("kind", ["primary_backup", "secondary_backup"])
def test_a_backup_copy_needs_a_medium(kind: str) -> None:
    refused_by("copy_media_exactly_for_backup_kinds", lambda: copy(policy(), kind))


@pytest.mark.parametrize("kind", ["primary_snap", "secondary_snap"])
def test_a_snap_copy_has_no_medium(kind: str) -> None:
    refused_by("copy_media_exactly_for_backup_kinds", lambda: copy(policy(), kind, media=medium()))


def test_a_copy_is_of_a_known_kind() -> None:
    refused_by("copy_media_exactly_for_backup_kinds", lambda: copy(policy(), "tape"))


def test_a_copys_name_is_unique_in_its_policy() -> None:
    of = policy()
    copy(of, "primary_snap")
    refused_by("copy_unique_name_in_policy", lambda: copy(of, "secondary_backup", 2, media=medium()))


def test_a_precedence_is_unique_in_its_policy() -> None:
    of = policy()
    copy(of, "primary_snap")
    refused_by(
        "copy_unique_precedence_in_policy", lambda: copy(of, "secondary_backup", 1, name="other", media=medium())
    )


def test_a_precedence_begins_at_one() -> None:
    refused_by("copy_precedence_at_least_1", lambda: copy(policy(), "primary_snap", 0))


def test_two_media_never_share_a_repository() -> None:
    Media.objects.create(name="a", kind="disk", repository_id="f" * 64)
    refused_by(
        "media_one_row_per_repository", lambda: Media.objects.create(name="b", kind="disk", repository_id="f" * 64)
    )


def test_a_repository_id_is_absent_or_real() -> None:
    refused_by("media_repository_id_not_empty", lambda: Media.objects.create(name="a", kind="disk", repository_id=""))


def test_there_is_one_installation() -> None:
    assert Installation.objects.count() == 1
    refused_by("installation_is_one_row", lambda: Installation.objects.create(pk=2, install_id="abcdefgh"))


def test_an_installation_id_fits_snapshot_names() -> None:
    refused_by("installation_id_form", lambda: Installation.objects.filter(pk=1).update(install_id="ABC"))


def test_an_audit_entry_has_a_known_action() -> None:
    refused_by(
        "audit_action_known",
        lambda: AuditEntry.objects.create(action="guessed", object_kind="x", object_id="1", object_label="x"),
    )


@pytest.mark.parametrize("model", [AccessNode, FileServer, Media, StoragePolicy])
def test_names_are_unique(model: type[models.Model]) -> None:
    row = {"AccessNode": {}, "FileServer": {"engine": "x"}, "Media": {"kind": "disk"}, "StoragePolicy": {}}
    values: dict[str, str] = row[model.__name__]
    model._default_manager.create(name="same", **values)
    refused_by("name", lambda: model._default_manager.create(name="same", **values))


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("media_bandwidth_from_64_kib", {"bandwidth_limit": 65_535}),
        ("media_transfers_1_to_64", {"parallel_transfers": 0}),
        ("media_transfers_1_to_64", {"parallel_transfers": 65}),
        ("media_retries_at_most_50", {"retries": 51}),
        ("media_timeout_5_s_to_an_hour", {"timeout_seconds": 4}),
        ("media_timeout_5_s_to_an_hour", {"timeout_seconds": 3601}),
    ],
)
def test_a_medium_has_limits_that_work(constraint: str, values: dict[str, int]) -> None:
    refused_by(constraint, lambda: Media.objects.create(name="m", kind="disk", **values))


def test_a_medium_without_limits_of_its_own_and_one_with_the_widest_are_fine() -> None:
    medium("none")
    values = {"bandwidth_limit": 65_536, "parallel_transfers": 64, "retries": 0, "timeout_seconds": 3600}
    Media.objects.create(name="all", kind="disk", **values)
