"""A folder of a point that is not in the catalog: from a backup copy, else from the snapshot on its storage (V3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest

from jobs.engine.errors import NotInCopy
from jobs.models import Snapshot
from jobs.restore_sources import RestoreSource
from jobs.rules.restore_source import SourceKind
from jobs.services.live_folder import MOST_ENTRIES, live_folder
from policies.models import Copy
from policies.resolve import is_dump_stream

from .listing import listing
from .opened import browser_of, on_media


def uncatalogued(
    request: HttpRequest, point: Snapshot, path: bytes, *, sources: Sequence[RestoreSource], chosen: Copy | None
) -> dict[str, Any]:
    """The listing and where it comes from, for the page. ``sources``: those that can be read, in the order of V1.

    A medium is read by this process; a snapshot only by a node that sees its storage, which is asked. Raises the
    errors of what is read, and NodeSilent.
    """
    if is_dump_stream(point.engine):
        raise NotInCopy(
            "The files in a dump are known once it is catalogued.",
            hint="Catalog it, or restore a whole file system of it."
            if sources
            else "No backup copy of this point is on media: copy it first.",
        )
    text, after = request.GET.get("name", "").strip(), request.GET.get("after", "")
    fitting = [source for source in sources if chosen is None or source.copy.pk == chosen.pk]
    live = fitting[0] if fitting and all(source.kind is not SourceKind.MEDIA for source in fitting) else None
    if live is None:
        row = on_media(point, chosen)
        return {"row": row, "listing": listing(path, browser_of(row).entries(path), text=text, after=after)}
    folder = live_folder(point, path, replica=live.replica)
    return {
        "live": live,
        "more_than_told": folder.count - MOST_ENTRIES if folder.count > MOST_ENTRIES else 0,
        "listing": listing(path, folder.entries, text=text, after=after),
    }
