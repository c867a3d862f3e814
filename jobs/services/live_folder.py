"""A folder of a snapshot as it lies on its storage, asked of an access node: for what is nowhere else (RULES V3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from jobs.engine.operations.browse import Entry
from jobs.engine.repository.tree import NodeKind
from jobs.models import Snapshot, SnapshotReplica
from jobs.services.asking import ask_about

FOLDER: Final = "folder"
MOST_ENTRIES: Final = 20_000
"""So many of one folder a node tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFolder:
    """``count`` is how many there are, though not more than :data:`MOST_ENTRIES` were told."""

    entries: list[Entry]
    count: int


def live_folder(snapshot: Snapshot, path: bytes, *, replica: SnapshotReplica | None = None) -> LiveFolder:
    """Entries by raw name; ``b"/"`` is above all content paths. Raises NodeSilent and what the storage raises."""
    answer = ask_about(snapshot, FOLDER, {"path": path.hex()}, replica=replica)
    return LiveFolder(entries=[_entry(values) for values in answer["entries"]], count=int(answer["count"]))


def entry_to_json(entry: Entry) -> list[Any]:
    return [
        entry.name.hex(),
        entry.kind.value,
        entry.size,
        entry.mtime_ns,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.user,
        entry.group,
        entry.links,
        entry.link_target.hex(),
        entry.attributes,
    ]


def _entry(values: list[Any]) -> Entry:
    name, kind, size, mtime_ns, mode, uid, gid, user, group, links, link_target, attributes = values
    return Entry(
        name=bytes.fromhex(name),
        kind=NodeKind(kind),
        size=size,
        mtime_ns=mtime_ns,
        mode=mode,
        uid=uid,
        gid=gid,
        user=user,
        group=group,
        links=links,
        link_target=bytes.fromhex(link_target),
        attributes=attributes,
    )
