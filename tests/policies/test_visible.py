"""Who sees what: everything without a scope, and with one the chosen servers and subclients, in a query set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, transaction
from django.db.models import Model, QuerySet
from pytest_django.fixtures import DjangoAssertNumQueries

from policies.models import FileServer, StoragePolicy, Subclient, UserScope
from policies.selectors.visible import (
    scope_in_words,
    sees_everything,
    visible_file_servers,
    visible_policies,
    visible_schedules,
    visible_subclients,
    whole_file_servers,
)
from policies.services import create_copy
from snapcopy_site.lib.roles import Role
from snapcopy_site.user_backend import ScopedBackend
from tests.factories import make_file_server, make_media, make_policy, make_schedule, make_subclient, make_user

pytestmark = pytest.mark.django_db

SELECTORS = (visible_subclients, visible_file_servers, whole_file_servers, visible_policies, visible_schedules)


@pytest.fixture
def servers() -> dict[str, FileServer]:
    """a: one, two; b: one, two; c: one. Each server has a policy of its name."""
    made = {}
    for server, names in {"a": ("one", "two"), "b": ("one", "two"), "c": ("one",)}.items():
        made[server] = make_file_server(name=server, area=f"/var/tmp/{server}")
        policy = make_policy(name=server)
        for name in names:
            make_subclient(name=name, file_server=made[server], policy=policy, paths=(f"/{server}/{name}",))
    return made


def limited(*servers: FileServer, subclients: str = "", role: Role = Role.OPERATOR) -> User:
    """A user as a request brings them, limited to these; ``subclients`` as ``SERVER/NAME``, with spaces between."""
    user = make_user(role)
    scope = UserScope.objects.create(user=user)
    scope.file_servers.set(servers)
    scope.subclients.set([_subclient(path) for path in subclients.split()])
    return fresh(user)


def fresh(user: User) -> User:
    found = ScopedBackend().get_user(user.pk)
    assert found is not None
    return found


def _subclient(path: str) -> Subclient:
    server, _, name = path.partition("/")
    return Subclient.objects.get(file_server__name=server, name=name)


def names(rows: QuerySet[Model]) -> list[str]:
    return [str(row) for row in rows]


@pytest.mark.parametrize("role", list(Role))
def test_without_a_scope_everybody_sees_everything(role: Role, servers: dict[str, FileServer]) -> None:
    user = fresh(make_user(role))
    assert sees_everything(user)
    assert names(visible_subclients(user)) == ["a/one", "a/two", "b/one", "b/two", "c/one"]
    assert names(visible_file_servers(user)) == names(whole_file_servers(user)) == ["a", "b", "c"]


def test_a_scope_of_a_server_and_a_subclient_shows_the_server_whole_and_the_other_in_part(
    servers: dict[str, FileServer],
) -> None:
    user = limited(servers["a"], subclients="b/two")
    assert not sees_everything(user)
    assert names(visible_subclients(user)) == ["a/one", "a/two", "b/two"]
    assert names(visible_file_servers(user)) == ["a", "b"]
    assert names(whole_file_servers(user)) == ["a"]
    assert names(visible_policies(user)) == ["a", "b"]


def test_a_subclient_that_is_chosen_twice_is_there_once(servers: dict[str, FileServer]) -> None:
    user = limited(servers["a"], subclients="a/one")
    assert names(visible_subclients(user)) == ["a/one", "a/two"]
    assert names(visible_file_servers(user)) == ["a"]


def test_a_server_brings_its_subclients_to_come(servers: dict[str, FileServer]) -> None:
    user = limited(servers["a"])
    make_subclient(name="three", file_server=servers["a"], policy=StoragePolicy.objects.get(name="a"), paths=("/x",))
    assert names(visible_subclients(user)) == ["a/one", "a/three", "a/two"]


def test_an_empty_scope_shows_nothing(servers: dict[str, FileServer]) -> None:
    user = limited()
    for selector in SELECTORS[:-1]:
        assert names(selector(user)) == [], selector


def test_what_is_deleted_leaves_a_scope_of_nothing_not_of_everything(servers: dict[str, FileServer]) -> None:
    user = limited(subclients="c/one")
    _subclient("c/one").delete()
    assert names(visible_subclients(fresh(user))) == []
    servers["c"].delete()
    assert not sees_everything(fresh(user))


def test_an_admin_sees_everything_whatever_the_scope(servers: dict[str, FileServer]) -> None:
    user = limited(subclients="c/one", role=Role.ADMIN)
    assert sees_everything(user)
    assert visible_subclients(user).count() == 5


@pytest.mark.parametrize("selector", SELECTORS)
def test_who_has_no_role_sees_nothing(
    selector: Callable[[User | AnonymousUser], QuerySet[Model]], servers: dict[str, FileServer]
) -> None:
    make_schedule(None, name="ages", operation="aging")
    assert names(selector(AnonymousUser())) == []
    nobody = make_user(None)
    assert names(selector(nobody)) == []
    UserScope.objects.create(user=nobody).file_servers.set(servers.values())
    assert names(selector(fresh(nobody))) == []
    retired = make_user(Role.VIEWER, is_active=False)
    assert names(selector(retired)) == []


def test_schedules_are_those_of_what_is_seen_and_of_media(servers: dict[str, FileServer]) -> None:
    medium = make_media()
    foreign, mine = StoragePolicy.objects.get(name="c"), StoragePolicy.objects.get(name="b")
    theirs = create_copy(foreign, user=None, name="theirs", media=medium)
    wanted: dict[str, dict[str, Any]] = {
        "mine-subclient": {"subclient": _subclient("b/two")},
        "mine-server": {"file_server": servers["b"]},
        "mine-policy": {"policy": mine},
        "other-subclient": {"subclient": _subclient("b/one")},
        "other-server": {"file_server": servers["c"]},
        "other-policy": {"policy": foreign},
        "other-copy": {"file_server": servers["b"], "copy": theirs, "operation": "backup_copy"},
        "upkeep-medium": {"operation": "prune", "media": medium},
        "upkeep-all": {"operation": "aging"},
    }
    for name, of in wanted.items():
        make_schedule(of.pop("subclient", None), name=name, **of)
    user = limited(subclients="b/two")
    found = [name for name in names(visible_schedules(user)) if name.startswith(("mine", "other", "upkeep"))]
    assert found == ["mine-policy", "mine-server", "mine-subclient", "upkeep-all", "upkeep-medium"]


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_query_set_costs_its_own_query_and_no_other(
    selector: Callable[[User], QuerySet[Model]],
    servers: dict[str, FileServer],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for user in (fresh(make_user(Role.VIEWER)), limited(servers["a"], subclients="b/two")):
        assert sees_everything(user) is (user.username == "viewer")  # reads the role, as the view's decorator does
        with django_assert_num_queries(1):
            list(selector(user))


def test_a_user_that_no_request_brought_costs_one_query_once(
    servers: dict[str, FileServer], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    user = make_user(Role.VIEWER)
    sees_everything(user)
    found = User.objects.get(pk=user.pk)
    with django_assert_num_queries(2):  # the role and the scope
        sees_everything(found)
    with django_assert_num_queries(0):
        sees_everything(found)


def test_a_scope_reads_as_its_names(servers: dict[str, FileServer]) -> None:
    assert scope_in_words(None) == "everything"
    user = limited(servers["c"], subclients="b/two a/one")
    assert scope_in_words(user.scope) == "a/one, b/two, c"
    user.scope.file_servers.clear()
    user.scope.subclients.clear()
    assert scope_in_words(user.scope) == "nothing"


def test_nobody_has_two_scopes_and_a_scope_names_nothing_twice(servers: dict[str, FileServer]) -> None:
    scope = limited(servers["a"], subclients="b/two").scope
    servers_of, subclients_of = UserScope.file_servers.through, UserScope.subclients.through
    for insert in (
        lambda: UserScope.objects.create(user_id=scope.user_id),
        lambda: servers_of.objects.create(userscope=scope, fileserver=servers["a"]),
        lambda: subclients_of.objects.create(userscope=scope, subclient=_subclient("b/two")),
    ):
        with pytest.raises(IntegrityError, match="unique"), transaction.atomic():
            insert()


def test_a_deleted_user_takes_the_scope_along(servers: dict[str, FileServer]) -> None:
    limited(servers["a"]).delete()
    assert not UserScope.objects.exists()
