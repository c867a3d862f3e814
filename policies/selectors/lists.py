"""The rows of the list pages, with what the pages show of them, in a fixed number of queries.

Orders are spelled out: Django drops a model's own order from a query that counts.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import Count, Prefetch, Q, QuerySet

from policies.models import AccessNode, Copy, FileServer, Media, StoragePolicy, Subclient
from policies.selectors.visible import (
    Person,
    sees_everything,
    visible_file_servers,
    visible_policies,
    visible_subclients,
)


def file_servers(user: Person) -> QuerySet[FileServer]:
    """With ``subclient_count`` and their access nodes; of both only what the user may see."""
    counted = visible_file_servers(user).annotate(subclient_count=Count("subclients", filter=_seen("subclients", user)))
    return counted.order_by("name").prefetch_related("access_nodes")


def subclients(user: Person) -> QuerySet[Subclient]:
    return visible_subclients(user).select_related("file_server", "policy")


def media(user: Person) -> QuerySet[Media]:
    """With ``copy_count``: how many copies of policies that the user may see go there."""
    seen = Q() if sees_everything(user) else Q(copies__policy__in=visible_policies(user))
    return Media.objects.annotate(copy_count=Count("copies", filter=seen)).order_by("name")


def policies(user: Person) -> QuerySet[StoragePolicy]:
    """With ``subclient_count`` and their copies in order, each with its medium and agents."""
    copies = Copy.objects.select_related("media", "target_server").order_by("precedence")
    copies = copies.prefetch_related("media_agents", "extended")
    counted = visible_policies(user).annotate(subclient_count=Count("subclients", filter=_seen("subclients", user)))
    counted = counted.select_related("backup_source")
    return counted.order_by("name").prefetch_related(Prefetch("copies", queryset=copies))


def access_nodes() -> QuerySet[AccessNode]:
    return AccessNode.objects.all()


def users() -> QuerySet[User]:
    """With their groups, and with what they are limited to."""
    found = User.objects.select_related("scope").prefetch_related(
        "groups", "scope__file_servers", "scope__subclients__file_server"
    )
    return found.order_by("-is_active", "username")


def _seen(path: str, user: Person) -> Q:
    """A filter of a count: only subclients that the user may see."""
    return Q() if sees_everything(user) else Q(**{f"{path}__in": visible_subclients(user)})


def is_empty() -> bool:
    """Nothing is configured yet: the overview offers the first steps."""
    return not (FileServer.objects.exists() or Media.objects.exists() or StoragePolicy.objects.exists())
