"""Users, their roles and their scopes. Passwords are Django's; the first sign-in goes by a one-time link."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import transaction

from policies import audit
from policies.models import FileServer, Subclient, UserScope
from policies.selectors.visible import scope_in_words
from policies.services import writing
from snapcopy_site.lib.roles import Role, forget_role, role_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a user sees: these file servers with all their subclients, and these single subclients; nothing else."""

    file_servers: Iterable[FileServer] = ()
    subclients: Iterable[Subclient] = ()


@transaction.atomic
def create_user(
    *, username: str, email: str = "", full_name: str = "", role: Role, user: audit.Actor, how: str = audit.How.WEB
) -> User:
    """A user without a usable password: hand out a sign-in link. Raises ValidationError.

    An admin may do everything, the Django admin included, so they are a superuser.
    """
    if User.objects.filter(username__iexact=username).exists():
        raise ValidationError({"username": "There is a user of this name already."})
    person = User(username=username, email=email, first_name=full_name, **_marks(role))
    person.set_unusable_password()
    groups = [_group(role)]
    return writing.create(person, values={"groups": groups}, user=user, how=how, sentence=f"Role {role.value}.")


@transaction.atomic
def update_user(
    person: User, *, full_name: str, email: str, role: Role, user: audit.Actor, how: str = audit.How.WEB
) -> User:
    """Details and role. Raises ValidationError when it would leave no admin."""
    if role is not role_of(person):
        set_user_role(person, role=role, user=user, how=how)
    return writing.update(person, values={"first_name": full_name, "email": email}, user=user, how=how)


@transaction.atomic
def set_user_scope(person: User, limits: Limits | None, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Limit what they see from their next request on; None = everything. Audited with the names, before and after."""
    User.objects.select_for_update().get(pk=person.pk)
    scope = UserScope.objects.filter(user=person).first()
    before = scope_in_words(scope)
    if limits is None:
        UserScope.objects.filter(user=person).delete()
        scope = None
    else:
        scope = scope or UserScope.objects.create(user=person)
        scope.file_servers.set(limits.file_servers)
        scope.subclients.set(limits.subclients)
    after = scope_in_words(scope)
    if before != after:
        changes = {"scope": [before, after]}
        audit.record(action=audit.Action.CHANGED, instance=person, user=user, how=how, changes=changes)


@transaction.atomic
def set_user_role(person: User, *, role: Role, user: audit.Actor, how: str = audit.How.WEB) -> User:
    """Exactly this role, with or without the superuser's marks. Refuses to leave no admin."""
    groups = [*person.groups.exclude(name__in=list(Role)), _group(role)]
    values: dict[str, object] = {"groups": groups, **_marks(role)}
    if role is not Role.ADMIN:
        _require_another_admin(person, "take the role from")
    writing.update(person, values=values, user=user, how=how, sentence=f"Role {role.value}.")
    forget_role(person)
    return person


@transaction.atomic
def set_user_active(person: User, *, is_active: bool, user: audit.Actor, how: str = audit.How.WEB) -> User:
    """An inactive user cannot sign in and is signed out at the next request. Refuses to leave no admin."""
    if not is_active:
        _require_another_admin(person, "deactivate")
    return writing.update(person, values={"is_active": is_active}, user=user, how=how)


def _marks(role: Role) -> dict[str, bool]:
    is_admin = role is Role.ADMIN
    return {"is_superuser": is_admin, "is_staff": is_admin}


def _group(role: Role) -> Group:
    return Group.objects.get_or_create(name=role.value)[0]


def leaves_no_admin(keys: Collection[int]) -> bool:
    """Whether there would be no active admin without these users. Call it in a transaction: it locks all users."""
    # all rows are locked in one order, so that two admins cannot remove each other at the same moment
    people = User.objects.select_for_update().filter(is_active=True).order_by("pk").prefetch_related("groups")
    admins = {other.pk for other in people if role_of(other) is Role.ADMIN}
    return bool(admins) and admins <= set(keys)


def _require_another_admin(person: User, what: str) -> None:
    if leaves_no_admin([person.pk]):
        raise ValidationError(f"You cannot {what} the last admin: nobody could configure SnapCopy any more.")
