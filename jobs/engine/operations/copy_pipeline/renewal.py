"""What becomes of each node of a directory of which is known what changed: kept, looked at, or gone. Reads no data."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ...repository.gojson import name_body
from ...source.diff import ChangedDirectory, ChangedEntry
from ...source.node import SOCKET, TYPE_MASK
from ...source.status import STUB_INODE, Status, without_false_times
from .old_nodes import Nodes, directory_prefix, raw_name


@dataclass(slots=True, kw_only=True)
class LookedAt:
    """A name to make a node for. ``own`` is the old node of that name. ``st`` None = only things below it changed."""

    body: str
    name: str
    st: Status | None
    entry: ChangedEntry | None
    own: str | None


@dataclass(slots=True, kw_only=True)
class Renewal:
    """A directory's new nodes in the making. ``order`` are the JSON names of all of them, sorted by raw bytes.

    ``gone`` are names of old nodes that lead to nothing any more, ``failed`` those that could not be looked at.
    """

    kept: Nodes
    looked_at: list[LookedAt] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    failed: list[tuple[str, OSError]] = field(default_factory=list)
    sockets: int = 0
    order: list[str] = field(default_factory=list)


def plan_renewal(changed: ChangedDirectory, old: Nodes, directory_fd: int, *, is_new: bool) -> Renewal:
    """Sort out a directory; ``is_new``: there is no old one. Raises OSError if it cannot be listed."""
    fresh = {name_body(name): name for name in changed.entries}
    gone: list[str] = []
    if changed.is_listed or is_new:
        here = {name_body(name): name for name in os.listdir(directory_fd)}
        fresh = {body: name for body, name in here.items() if body in fresh or body not in old or _is_stub(old[body])}
        gone = [body for body in old if body not in here]
    leaving = set(gone)
    kept = {body: node for body, node in old.items() if body not in fresh and body not in leaving}
    renewal = Renewal(kept=kept, gone=gone)
    for body, name in fresh.items():
        item = LookedAt(body=body, name=name, st=None, entry=changed.entries.get(name), own=old.get(body))
        _look(renewal, item, directory_fd)
    renewal.order = _order(renewal, old)
    return renewal


def _is_stub(node: str) -> bool:
    """Whether it stands for a nested subvolume of btrfs: that shows the owner of the directory it is in."""
    return f'"inode":{STUB_INODE},' in node


def _look(renewal: Renewal, item: LookedAt, directory_fd: int) -> None:
    entry, own = item.entry, item.own
    if entry is not None and not entry.is_touched and own is not None and directory_prefix(own) is not None:
        renewal.looked_at.append(item)
        return
    try:
        item.st = without_false_times(os.stat(item.name, dir_fd=directory_fd, follow_symlinks=False))
    except OSError as error:
        renewal.failed.append((item.name, error))
    else:
        if item.st.st_mode & TYPE_MASK != SOCKET:
            renewal.looked_at.append(item)
            return
        renewal.sockets += 1
    if own is not None:
        renewal.gone.append(item.body)


def _order(renewal: Renewal, old: Nodes) -> list[str]:
    """The old order, unless a name was added."""
    bodies = {item.body for item in renewal.looked_at}
    if all(body in old for body in bodies):
        return [body for body in old if body in renewal.kept or body in bodies]
    return sorted([*renewal.kept, *bodies], key=raw_name)
