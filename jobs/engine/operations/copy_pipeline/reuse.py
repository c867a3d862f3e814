"""What may be taken from the parent's tree, and how directories are recognised as unchanged.

Two ways of trust, chosen by the snapshot engine (:class:`~jobs.engine.plan.Trust`):

- FULL: a node is reused when inode, ctime, mtime and size are equal, and ctime is safely older than the parent.
- MTIME_SIZE: the snapshot is a fresh copy without a table of origins, so inode and ctime always differ. A node is
  reused *as it is*, old inode and ctime included, when mtime, size, mode, owner, attributes and link target are equal.
  So unchanged trees stay equal byte for byte. Files with several links keep their own inode: restores go by it.
"""

from __future__ import annotations

import marshal
import os
import re
from hashlib import sha256
from typing import Final

import orjson

from ...plan import Trust
from ...repository.gojson import parse_go_time
from ...source.listing import Entry
from ...source.node import DIRECTORY, REGULAR, SYMLINK, TYPE_MASK, attributes_of, node_prefix
from ...source.status import Status
from .context import CopyContext, is_near, is_racy

_IDENTITY: Final = re.compile(r'"ctime":"([^"]*)",.*?"inode":(\d+)')


def _own_identity(st: Status) -> bool:
    return st.st_nlink > 1 and st.st_mode & TYPE_MASK != DIRECTORY


class FullTrust:
    """Decides by inode, ctime, mtime and size. Stateless but for the context."""

    def __init__(self, context: CopyContext) -> None:
        self._taken = context.taken_ns
        self._parent_taken = context.parent_taken_ns

    def prefix(self, name: str, st: Status, device_id: int, _old: str | None) -> str:
        return node_prefix(name, st, device_id=device_id)

    def unchanged_file(self, old: str, prefix: str, st: Status, _path: str) -> str | None:
        """The node to store for a file that need not be read, or None."""
        if self._parent_taken is None or is_racy(st.st_ctime_ns, self._parent_taken):
            return None
        if old.startswith(prefix) and old[len(prefix)] == ",":
            return old
        return _same_content(old, prefix, st, _path, with_identity=True)

    def unchanged_special(self, old: str, prefix: str) -> bool:
        return old.startswith(prefix) and old[len(prefix)] == ","

    def is_recordable(self, entries: list[Entry]) -> bool:
        """Whether no file changed so late that its stamps may lie at the next copy."""
        taken = self._taken
        return not any(is_racy(st.st_ctime_ns, taken) for _, st in entries)

    def fingerprint(self, entries: list[Entry], _path: str) -> bytes:
        values: list[object] = []
        for name, st in entries:
            values += (name, st.st_ino, st.st_ctime_ns, st.st_mtime_ns, st.st_size)
        return sha256(marshal.dumps(values, 2)).digest()[:16]


class MtimeSizeTrust:
    """Decides by mtime, size and everything that can be asked for without reading data."""

    def __init__(self, context: CopyContext) -> None:
        self._has_parent = context.parent_taken_ns is not None

    def prefix(self, name: str, st: Status, device_id: int, old: str | None) -> str:
        """The prefix with the old node's inode and ctime where the rest of it is equal."""
        if old is not None and not _own_identity(st):
            match = _IDENTITY.search(old)
            if match is not None:
                text = node_prefix(name, st, device_id=device_id, ctime=match[1], inode=int(match[2]))
                if old.startswith(text) and old[len(text)] == ",":
                    return text
        return node_prefix(name, st, device_id=device_id)

    def unchanged_file(self, old: str, prefix: str, st: Status, path: str) -> str | None:
        """The node to store for a file that need not be read, or None."""
        match = _IDENTITY.search(old)
        if not self._has_parent or match is None or is_near(st.st_mtime_ns, parse_go_time(match[1])):
            return None
        if old.startswith(prefix) and old.startswith(attributes_of(path) + ',"content":', len(prefix)):
            return old
        return _same_content(old, prefix, st, path, with_identity=False)

    def unchanged_special(self, _old: str, _prefix: str) -> bool:
        return False

    def is_recordable(self, entries: list[Entry]) -> bool:
        """Whether no file was changed so shortly before it was copied into the snapshot that its stamps may lie."""
        return not any(
            st.st_mode & TYPE_MASK == REGULAR and is_near(st.st_mtime_ns, st.st_ctime_ns) for _, st in entries
        )

    def fingerprint(self, entries: list[Entry], path: str) -> bytes:
        values: list[object] = []
        for name, st in entries:
            kind = st.st_mode & TYPE_MASK
            where = f"{path}/{name}"
            values += (name, st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns, attributes_of(where))
            if kind != DIRECTORY:
                values += (st.st_size, st.st_nlink, st.st_ino if st.st_nlink > 1 else 0, st.st_rdev)
            if kind == SYMLINK:
                values.append(os.readlink(where))
        return sha256(marshal.dumps(values, 2)).digest()[:16]


Reuse = FullTrust | MtimeSizeTrust


def reuse_rules(context: CopyContext, root: int) -> Reuse:
    """The rules for one root: the plan's trust, or FULL where the snapshot tells what its files are at the source."""
    if context.trust is Trust.FULL or context.roots[root].origins is not None:
        return FullTrust(context)
    return MtimeSizeTrust(context)


def _same_content(old: str, prefix: str, st: Status, path: str, *, with_identity: bool) -> str | None:
    """A fresh node over the old content: for nodes another program wrote, or whose metadata alone changed."""
    fields = orjson.loads(old)
    if fields["type"] != "file" or fields.get("size", 0) != st.st_size:
        return None
    if parse_go_time(fields["mtime"]) != st.st_mtime_ns:
        return None
    if with_identity and (fields.get("inode", 0) != st.st_ino or parse_go_time(fields["ctime"]) != st.st_ctime_ns):
        return None
    content = fields["content"] or []
    return prefix + attributes_of(path) + ',"content":' + orjson.dumps(content).decode() + "}"
