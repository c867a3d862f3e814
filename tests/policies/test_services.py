"""What a service refuses, what it writes, and what the audit trail then says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from policies import services
from policies.content_paths import cleaned_paths
from policies.errors import CannotDelete
from policies.models import AccessNode, AuditEntry, Copy, FileServer, Media, StoragePolicy, Subclient
from policies.selectors.deletion import effects_of_deleting
from snapcopy_site.lib.roles import Role, role_of
from tests.factories import backup_copy_of, make_file_server, make_media, make_policy, make_subclient, make_user
from tests.job_factories import make_backup_copy, make_snapshot

pytestmark = pytest.mark.django_db


def messages_of(refusal: pytest.ExceptionInfo[ValidationError]) -> dict[str, list[str]]:
    return refusal.value.message_dict


def test_a_new_policy_has_its_primary_snap_copy() -> None:
    (copy,) = make_policy().copies.all()
    assert (copy.kind, copy.precedence, copy.media) == ("primary_snap", 1, None)


def test_the_first_backup_copy_is_primary_and_further_ones_secondary() -> None:
    policy = make_policy(media=make_media())
    services.create_copy(policy, user=None, name="offsite", media=make_media(name="disk-b"))
    kinds = [copy.kind for copy in policy.copies.order_by("precedence")]
    assert kinds == ["primary_snap", "primary_backup", "secondary_backup"]


def test_two_copies_of_a_policy_never_share_a_medium() -> None:
    medium = make_media()
    policy = make_policy(media=medium)
    with pytest.raises(ValidationError) as refusal:
        services.create_copy(policy, user=None, name="again", media=medium)
    assert "is on disk-a already" in messages_of(refusal)["media"][0]


def test_a_copy_can_change_its_medium_while_nothing_is_copied() -> None:
    policy, other = make_policy(media=make_media()), make_media(name="disk-b")
    services.update_copy(backup_copy_of(policy), user=None, media=other)
    assert backup_copy_of(policy).media == other


def test_a_copy_keeps_its_medium_once_something_was_copied() -> None:
    policy, other = make_policy(media=make_media()), make_media(name="disk-b")
    make_backup_copy(make_snapshot(make_subclient(policy=policy)), backup_copy_of(policy))
    with pytest.raises(ValidationError) as refusal:
        services.update_copy(backup_copy_of(policy), user=None, media=other)
    assert "Add another copy" in messages_of(refusal)["media"][0]


def test_moving_a_copy_swaps_precedence_and_stops_at_the_snapshot() -> None:
    policy = make_policy(media=make_media())
    second = services.create_copy(policy, user=None, name="offsite", media=make_media(name="disk-b"))
    services.move_copy(second, earlier=True, user=None)
    services.move_copy(second, earlier=True, user=None)
    assert [copy.name for copy in policy.copies.order_by("precedence")] == ["snapshot", "offsite", "backup"]


def test_the_primary_snap_copy_cannot_be_deleted() -> None:
    with pytest.raises(CannotDelete):
        services.delete_copy(make_policy().copies.get(), user=None)


def test_the_primary_backup_copy_goes_last() -> None:
    policy = make_policy(media=make_media())
    services.create_copy(policy, user=None, name="offsite", media=make_media(name="disk-b"))
    with pytest.raises(CannotDelete) as refusal:
        services.delete_copy(backup_copy_of(policy), user=None)
    assert refusal.value.needed_by == ("copy gold/offsite",)


def test_what_is_needed_cannot_be_deleted_and_the_refusal_names_by_whom() -> None:
    medium = make_media()
    subclient = make_subclient(policy=make_policy(media=medium))
    refusals: list[tuple[Callable[[], None], str]] = [
        (lambda: services.delete_media(medium, user=None), "copy gold/backup"),
        (lambda: services.delete_policy(subclient.policy, user=None), "subclient fs1/home"),
        (lambda: services.delete_file_server(subclient.file_server, user=None), "subclient fs1/home"),
    ]
    for delete, needed_by in refusals:
        with pytest.raises(CannotDelete) as refusal:
            delete()
        assert refusal.value.needed_by == (needed_by,)
    assert (Media.objects.count(), StoragePolicy.objects.count(), FileServer.objects.count()) == (1, 1, 1)


def test_a_subclient_with_snapshots_cannot_be_deleted() -> None:
    subclient = make_subclient()
    make_snapshot(subclient)
    with pytest.raises(CannotDelete):
        services.delete_subclient(subclient, user=None)
    assert Subclient.objects.exists()


def test_many_of_a_kind_are_counted_instead_of_named() -> None:
    server, policy = make_file_server(), make_policy()
    for number in range(7):
        make_subclient(name=f"s{number}", file_server=server, policy=policy, paths=(f"/srv/{number}",))
    assert effects_of_deleting(server).needed_by == ("7 subclients",)


def test_a_deleted_policy_takes_its_copies_along() -> None:
    policy = make_policy(media=make_media())
    assert effects_of_deleting(policy).goes_with == ("copy gold/backup", "copy gold/snapshot")
    services.delete_policy(policy, user=None)
    assert not Copy.objects.exists()


def test_a_deleted_medium_takes_its_secrets_along() -> None:
    medium = make_media()
    services.delete_media(medium, user=None)
    assert not Media.objects.exists()


def test_options_are_stored_complete_and_normalised() -> None:
    medium = services.update_media(make_media(), user=None, options={"path": "/srv//x/", "min_free_bytes": "10 GiB"})
    assert medium.options["path"] == "/srv/x"
    assert medium.options["min_free_bytes"] == 10 * 2**30
    assert medium.options["fsync"] is True


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "option_path"),
        ({"path": "relative"}, "option_path"),
        ({"path": "/x", "min_free_bytes": -1}, "option_min_free_bytes"),
        ({"path": "/x", "colour": "red"}, "option_colour"),
    ],
)
def test_wrong_options_are_refused_at_their_field(options: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        services.update_media(make_media(), user=None, options=options)
    assert list(messages_of(refusal)) == [field]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValidationError) as refusal:
        services.create_file_server(user=None, name="x", engine="punchcards", options={})
    assert "punchcards" in messages_of(refusal)["engine"][0]


def test_a_medium_without_a_password_is_refused() -> None:
    with pytest.raises(ValidationError) as refusal:
        services.create_media(user=None, name="x", kind="disk", options={"path": "/x"}, secrets={})
    assert "repository_password" in messages_of(refusal)


@pytest.mark.parametrize("name", ["", "two words", "a/b", "-x", "x" * 65, "ü"])
def test_names_that_do_not_fit_a_command_are_refused(name: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        make_policy(name=name)
    assert list(messages_of(refusal)) == ["name"]


def test_a_name_that_is_taken_is_refused() -> None:
    make_policy()
    with pytest.raises(ValidationError) as refusal:
        make_policy()
    assert list(messages_of(refusal)) == ["name"]


def test_a_refused_write_leaves_nothing_behind() -> None:
    make_media(name="taken")
    with pytest.raises(ValidationError):
        make_media(name="taken")
    assert Media.objects.count() == 1
    assert AuditEntry.objects.filter(object_kind="medium").count() == 1


def test_a_subclient_stays_on_its_file_server() -> None:
    subclient = make_subclient()
    with pytest.raises(ValidationError) as refusal:
        services.update_subclient(subclient, user=None, file_server=make_file_server(name="fs2"))
    assert "file_server" in messages_of(refusal)


@pytest.mark.parametrize(
    ("typed", "cleaned"),
    [
        (["/srv/data/"], ["/srv/data"]),
        (["  /srv  ", "", "/srv"], ["/srv"]),
        (["//srv//x"], ["/srv/x"]),
        (["/"], ["/"]),
        (["/srv/a", "/srv/ab"], ["/srv/a", "/srv/ab"]),
    ],
)
def test_content_paths_are_cleaned(typed: list[str], cleaned: list[str]) -> None:
    assert cleaned_paths(typed) == cleaned


@pytest.mark.parametrize(
    "typed", [[], [""], ["srv"], ["/srv/../etc"], ["/a\x00b"], ["/srv", "/srv/x"], ["/", "/srv"], ["/a", "b"]]
)
def test_content_paths_that_make_no_sense_are_refused(typed: list[str]) -> None:
    with pytest.raises(ValidationError):
        cleaned_paths(typed)


def test_a_change_is_audited_with_its_difference_and_who_did_it() -> None:
    person = make_user(Role.ADMIN)
    services.update_policy(make_policy(), user=person, is_inline=True)
    entry = AuditEntry.objects.filter(action="changed").get()
    assert entry.changes == {"is_inline": [False, True]}
    assert (entry.user, entry.user_label, entry.object_label) == (person, "admin", "gold")


def test_a_save_that_changes_nothing_is_not_audited() -> None:
    policy = make_policy()
    services.update_policy(policy, user=None, is_inline=policy.is_inline)
    assert not AuditEntry.objects.filter(action="changed").exists()


def test_a_change_of_nodes_is_audited_by_name() -> None:
    node = AccessNode.objects.create(name="n1")
    services.update_file_server(make_file_server(), user=None, access_nodes=[node])
    assert AuditEntry.objects.filter(action="changed").get().changes == {"access_nodes": [[], ["n1"]]}


def test_a_change_of_one_option_is_audited_as_that_option() -> None:
    services.update_media(make_media(), user=None, options={"path": "/srv/new"})
    assert AuditEntry.objects.filter(action="changed").get().changes == {"options.path": ["/srv/backup", "/srv/new"]}


def test_an_entry_outlives_its_user() -> None:
    person = make_user(Role.ADMIN)
    services.update_policy(make_policy(), user=person, is_inline=True)
    person.delete()
    assert AuditEntry.objects.filter(action="changed").get().user_label == "admin"


def test_a_node_that_reports_cannot_be_deleted() -> None:
    node = AccessNode.objects.create(name="n1", last_seen_at=timezone.now())
    with pytest.raises(CannotDelete):
        services.delete_node(node, user=None)
    AccessNode.objects.update(last_seen_at=None)
    node.refresh_from_db()
    services.delete_node(node, user=None)
    assert not AccessNode.objects.exists()


def test_draining_keeps_what_the_node_reported_meanwhile() -> None:
    node = AccessNode.objects.create(name="n1", busy_slots=0)
    AccessNode.objects.update(busy_slots=2)
    services.set_node_draining(node, is_draining=True, user=None)
    assert (node.is_draining, node.busy_slots) == (True, 2)


def test_a_new_user_has_a_role_and_no_password() -> None:
    person = services.create_user(username="ann", role=Role.OPERATOR, user=None)
    assert role_of(person) is Role.OPERATOR
    assert not person.has_usable_password()


def test_a_user_name_is_taken_whatever_its_case() -> None:
    services.create_user(username="Ann", role=Role.VIEWER, user=None)
    with pytest.raises(ValidationError) as refusal:
        services.create_user(username="ann", role=Role.VIEWER, user=None)
    assert "username" in messages_of(refusal)


def test_an_admin_may_use_the_django_admin_too() -> None:
    person = services.create_user(username="ann", role=Role.ADMIN, user=None)
    assert (person.is_superuser, person.is_staff) == (True, True)
    assert role_of(person) is Role.ADMIN


def test_a_user_has_one_role_only() -> None:
    person = make_user(Role.VIEWER)
    services.set_user_role(person, role=Role.ADMIN, user=None)
    assert [group.name for group in person.groups.all()] == ["admin"]
    assert role_of(person) is Role.ADMIN


def test_the_last_admin_can_neither_leave_nor_be_shut_out() -> None:
    person = make_user(Role.ADMIN)
    make_user(Role.VIEWER)
    with pytest.raises(ValidationError, match="last admin"):
        services.set_user_role(person, role=Role.VIEWER, user=None)
    with pytest.raises(ValidationError, match="last admin"):
        services.set_user_active(person, is_active=False, user=None)


def test_a_superuser_who_becomes_viewer_is_only_that() -> None:
    make_user(Role.ADMIN)
    root = make_user(None, username="root", is_superuser=True, is_staff=True)
    services.set_user_role(root, role=Role.VIEWER, user=None)
    assert role_of(root) is Role.VIEWER
    assert not root.is_staff
