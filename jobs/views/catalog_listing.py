"""A page of the catalog as rows that people read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from jobs.catalog.browsing import Entry, Page
from jobs.models.catalog import CatalogKind, CatalogOwner

from .listing import Listing, Row, moment_of
from .stored_paths import display, query_of_path

_ICONS: Final = {CatalogKind.FILE: "file", CatalogKind.DIRECTORY: "folder", CatalogKind.SYMLINK: "symlink"}
_OTHER_ICON: Final = "device"


def catalog_listing(
    folder: bytes,
    page: Page,
    *,
    versions_url: Callable[[bytes], str],
    last_seen_url: Callable[[bytes, datetime], str],
) -> Listing:
    """The rows of a page; both functions take a path, and ``last_seen_url`` the moment when it went."""
    return Listing(
        rows=[_row(folder, entry, versions_url, last_seen_url) for entry in page.entries],
        total=len(page.entries) if page.before is None and page.after is None else None,
        before=page.before.token() if page.before else "",
        after=page.after.token() if page.after else "",
    )


def _row(
    folder: bytes,
    entry: Entry,
    versions_url: Callable[[bytes], str],
    last_seen_url: Callable[[bytes, datetime], str],
) -> Row:
    path = folder.rstrip(b"/") + b"/" + entry.name
    kind = CatalogKind(entry.kind)
    is_file = kind is CatalogKind.FILE
    is_there = entry.gone_at is None
    return Row(
        name=display(entry.name),
        digits=path.hex(),
        icon=_ICONS.get(kind, _OTHER_ICON),
        kind=str(kind.label),
        folder_query=query_of_path(path) if entry.is_folder and is_there else "",
        file_query=query_of_path(path) if is_file and is_there else "",
        link_target=display(entry.link_target) if kind is CatalogKind.SYMLINK else "",
        size=entry.size if is_file or entry.is_folder else None,
        files=entry.files if entry.is_folder else None,
        modified_at=moment_of(entry.mtime_ns),
        rights=f"{entry.mode:04o}",
        owner=_name(entry.owner),
        versions_url=versions_url(path) if is_file else "",
        gone_at=entry.gone_at,
        last_seen_url=last_seen_url(path if entry.is_folder else folder, entry.gone_at) if entry.gone_at else "",
    )


def _name(owner: CatalogOwner | None) -> str:
    return f"{owner.user or owner.uid}:{owner.group or owner.gid}" if owner is not None else ""
