"""One folder of a backup copy as a page of rows: folders first, by name, narrowed by a text, keyset paging."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from jobs.engine.operations.browse import Entry
from jobs.engine.repository.tree import NodeKind

from .stored_paths import display, query_of_path

PAGE: Final = 500

ICONS: Final[dict[NodeKind, tuple[str, str]]] = {
    NodeKind.FILE: ("file", "File"),
    NodeKind.DIRECTORY: ("folder", "Folder"),
    NodeKind.SYMLINK: ("symlink", "Symbolic link"),
    NodeKind.BLOCK_DEVICE: ("device", "Block device"),
    NodeKind.CHARACTER_DEVICE: ("device", "Character device"),
    NodeKind.FIFO: ("device", "Named pipe"),
    NodeKind.SOCKET: ("device", "Socket"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry as people read it. ``digits`` is its stored path in hexadecimal, for forms."""

    name: str
    digits: str
    icon: str
    kind: str
    folder_query: str
    """Where a click leads, '' for anything but a folder."""
    file_query: str
    """Where the file is downloaded, '' for anything but a regular file."""
    link_target: str
    size: int | None
    """Of a folder: of all below it, None = not known."""
    files: int | None = None
    """Below a folder; None for anything else, and where it is not known."""
    modified_at: datetime | None
    rights: str
    owner: str
    versions_url: str = ""
    gone_at: datetime | None = None
    """It was there earlier, and since then no more."""
    last_seen_url: str = ""
    """For what is gone: where it is shown as it was last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """``before`` and ``after`` are the keys of the pages beside this one, '' = none. ``total``: None = unknown."""

    rows: Sequence[Row]
    total: int | None
    before: str = ""
    after: str


def listing(folder: bytes, entries: Sequence[Entry], *, text: str = "", after: str = "") -> Listing:
    """A page of a folder; ``text`` narrows by name, whatever the case."""
    wanted = text.casefold()
    found = [entry for entry in entries if wanted in entry.display_name.casefold()] if wanted else list(entries)
    found.sort(key=_key)
    start = next((number for number, entry in enumerate(found) if _key(entry) > after), len(found)) if after else 0
    shown = found[start : start + PAGE]
    has_more = start + PAGE < len(found)
    return Listing(
        rows=[_row(folder, entry) for entry in shown], total=len(found), after=_key(shown[-1]) if has_more else ""
    )


def _key(entry: Entry) -> str:
    """Sorts folders before everything else; comparing the digits compares the bytes."""
    return f"{'0' if entry.is_directory else '1'}{entry.name.hex()}"


def _row(folder: bytes, entry: Entry) -> Row:
    path = folder.rstrip(b"/") + b"/" + entry.name
    icon, kind = ICONS.get(entry.kind, ("file", "Other"))
    return Row(
        name=entry.display_name,
        digits=path.hex(),
        icon=icon,
        kind=kind,
        folder_query=query_of_path(path) if entry.is_directory else "",
        file_query=query_of_path(path) if entry.kind is NodeKind.FILE else "",
        link_target=display(entry.link_target) if entry.kind is NodeKind.SYMLINK else "",
        size=entry.size if entry.kind is NodeKind.FILE else None,
        modified_at=moment_of(entry.mtime_ns),
        rights=f"{entry.mode:04o}",
        owner=f"{entry.user or entry.uid}:{entry.group or entry.gid}",
    )


def moment_of(nanoseconds: int) -> datetime | None:
    """None for a time that Python's calendar does not reach."""
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None
