"""Every version of one path, newest first (RULES V3). Which points hold them is asked of the pages' selectors."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db.models import Q, QuerySet

from jobs.catalog.names import to_text
from jobs.models import CatalogVersion

PAGE: Final = 50


def versions_of(subclient_id: int, path: bytes) -> QuerySet[CatalogVersion]:
    """Newest first, each with its owner; the root has none. ``path`` is absolute, without a slash at its end."""
    folder, _, name = to_text(path).rpartition("/")
    found = CatalogVersion.objects.filter(
        folder__path=folder or "/", folder__subclient=subclient_id, name=name, subclient=subclient_id
    )
    return found.select_related("owner").order_by("-first_at")


def at(found: QuerySet[CatalogVersion], moment: datetime) -> QuerySet[CatalogVersion]:
    """Those that were there at a moment: of one path, one or none."""
    return found.filter(Q(until_at__isnull=True) | Q(until_at__gt=moment), first_at__lte=moment)
