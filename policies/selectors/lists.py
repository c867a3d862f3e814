"""The rows of the list pages, with what the pages show of them, in a fixed number of queries.

Orders are spelled out: Django drops a model's own order from a query that counts.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import Count, Prefetch, QuerySet

from policies.models import AccessNode, Copy, FileServer, Media, StoragePolicy, Subclient


def file_servers() -> QuerySet[FileServer]:
    """With ``subclient_count`` and their access nodes."""
    counted = FileServer.objects.annotate(subclient_count=Count("subclients"))
    return counted.order_by("name").prefetch_related("access_nodes")


def subclients() -> QuerySet[Subclient]:
    return Subclient.objects.select_related("file_server", "policy")


def media() -> QuerySet[Media]:
    """With ``copy_count``: how many copies of policies go there."""
    return Media.objects.annotate(copy_count=Count("copies")).order_by("name")


def policies() -> QuerySet[StoragePolicy]:
    """With ``subclient_count`` and their copies in order, each with its medium and agents."""
    copies = Copy.objects.select_related("media", "target_server").order_by("precedence")
    copies = copies.prefetch_related("media_agents", "extended")
    counted = StoragePolicy.objects.annotate(subclient_count=Count("subclients")).select_related("backup_source")
    return counted.order_by("name").prefetch_related(Prefetch("copies", queryset=copies))


def access_nodes() -> QuerySet[AccessNode]:
    return AccessNode.objects.all()


def users() -> QuerySet[User]:
    return User.objects.prefetch_related("groups").order_by("-is_active", "username")


def is_empty() -> bool:
    """Nothing is configured yet: the overview offers the first steps."""
    return not (FileServer.objects.exists() or Media.objects.exists() or StoragePolicy.objects.exists())
