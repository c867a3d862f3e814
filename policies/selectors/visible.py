"""What a user may see: everything, or the file servers and subclients of their scope. Every page asks here.

Each function gives a query set, so that a page narrows it, counts it or looks one up: what is not in it answers 404,
as if it did not exist. Nothing is read before the query set is. The scope comes with the user of a request; for one
that was loaded otherwise it costs one query, remembered with the user.
"""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet

from policies.models import FileServer, Schedule, StoragePolicy, Subclient, UserScope
from snapcopy_site.lib.roles import Role, role_of

Person = AbstractBaseUser | AnonymousUser


def sees_everything(user: Person) -> bool:
    """Admins, and everybody with a role and without a scope."""
    role = role_of(user)
    return role is Role.ADMIN or (role is not None and _scope(user) is None)


def visible_subclients(user: Person) -> QuerySet[Subclient]:
    """In the order of server and name."""
    found = Subclient.objects.all()
    if sees_everything(user):
        return found
    scope = _scope_of_role(user)
    if scope is None:
        return found.none()
    return found.filter(Q(file_server__in=_servers(scope)) | Q(pk__in=_single(scope)))


def visible_file_servers(user: Person) -> QuerySet[FileServer]:
    """By name: those of which they see all, or some subclient."""
    found = FileServer.objects.all()
    if sees_everything(user):
        return found
    scope = _scope_of_role(user)
    if scope is None:
        return found.none()
    some = Subclient.objects.filter(pk__in=_single(scope)).values("file_server")
    return found.filter(Q(pk__in=_servers(scope)) | Q(pk__in=some))


def whole_file_servers(user: Person) -> QuerySet[FileServer]:
    """By name: those of which they see every subclient there is and will be. Orders to a server as such need it."""
    found = FileServer.objects.all()
    if sees_everything(user):
        return found
    scope = _scope_of_role(user)
    return found.none() if scope is None else found.filter(pk__in=_servers(scope))


def sees_whole_server(user: Person, server: FileServer) -> bool:
    """No query for who sees everything."""
    return sees_everything(user) or whole_file_servers(user).filter(pk=server.pk).exists()


def visible_policies(user: Person) -> QuerySet[StoragePolicy]:
    """By name: those under which a subclient is that they see."""
    found = StoragePolicy.objects.all()
    if sees_everything(user):
        return found
    return found.filter(pk__in=visible_subclients(user).values("policy"))


def visible_schedules(user: Person) -> QuerySet[Schedule]:
    """By name: those of a subclient, file server or policy that they see, and those of media or of everything."""
    found = Schedule.objects.all()
    if sees_everything(user):
        return found
    if role_of(user) is None:
        return found.none()
    policies = visible_policies(user)
    mine = Q(subclient__in=visible_subclients(user)) | Q(file_server__in=visible_file_servers(user))
    upkeep = Q(subclient__isnull=True, file_server__isnull=True, policy__isnull=True)
    return found.filter(mine | Q(policy__in=policies) | upkeep).filter(
        Q(copy__isnull=True) | Q(copy__policy__in=policies)
    )


def schedules_seen_whole(user: Person) -> QuerySet[Schedule]:
    """By name: those that launch nothing but what they see. To run one now needs it, and its slots tell of the rest."""
    found = Schedule.objects.all()
    if sees_everything(user):
        return found
    if role_of(user) is None:
        return found.none()
    beyond = Subclient.objects.exclude(pk__in=visible_subclients(user).values("pk")).values("policy")
    return found.filter(
        Q(subclient__in=visible_subclients(user))
        | Q(file_server__in=whole_file_servers(user))
        | Q(policy__in=visible_policies(user)) & ~Q(policy__in=beyond)
    )


def sees_all_it_launches(user: Person, schedule: Schedule) -> bool:
    """The same of one schedule; no query for who sees everything."""
    return sees_everything(user) or schedules_seen_whole(user).filter(pk=schedule.pk).exists()


def scope_in_words(scope: UserScope | None) -> str:
    """“everything”, “nothing”, or the names of servers and subclients, for the audit trail."""
    if scope is None:
        return "everything"
    named = [*scope.file_servers.all(), *scope.subclients.all()]
    return ", ".join(sorted(map(str, named))) or "nothing"


def _scope(user: Person) -> UserScope | None:
    scope: UserScope | None = getattr(user, "scope", None)
    return scope


def _scope_of_role(user: Person) -> UserScope | None:
    """None = sees nothing: no role, so no scope helps."""
    return None if role_of(user) is None else _scope(user)


def _servers(scope: UserScope) -> QuerySet[FileServer]:
    """By the table between, without looking at the servers themselves."""
    rows: QuerySet[FileServer] = scope.file_servers.through.objects.filter(userscope=scope).values("fileserver")  # type: ignore[assignment]
    return rows


def _single(scope: UserScope) -> QuerySet[Subclient]:
    rows: QuerySet[Subclient] = scope.subclients.through.objects.filter(userscope=scope).values("subclient")  # type: ignore[assignment]
    return rows
