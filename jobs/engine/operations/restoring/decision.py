"""What happens to an entry of the copy when something has its name at the target already (RULES V2). Pure."""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from typing import Final

from ...plan import Overwrite
from ...repository.tree import Node, NodeKind

FORMATS: Final = {
    NodeKind.FILE: stat.S_IFREG,
    NodeKind.DIRECTORY: stat.S_IFDIR,
    NodeKind.SYMLINK: stat.S_IFLNK,
    NodeKind.BLOCK_DEVICE: stat.S_IFBLK,
    NodeKind.CHARACTER_DEVICE: stat.S_IFCHR,
    NodeKind.FIFO: stat.S_IFIFO,
    NodeKind.SOCKET: stat.S_IFSOCK,
}


class Decision(StrEnum):
    """WRITE: nothing is there. REPLACE: put ours in its place. VERIFY: compare its content first.

    COMPLETE: it is this very entry already (an earlier attempt). KEEP: the overwrite mode protects it.
    BLOCKED: a directory is there, and directories are never removed with what they hold.
    """

    WRITE = "write"
    REPLACE = "replace"
    VERIFY = "verify"
    COMPLETE = "complete"
    KEEP = "keep"
    BLOCKED = "blocked"


def decide(node: Node, existing: os.stat_result | None, overwrite: Overwrite, *, with_metadata: bool) -> Decision:
    """For everything but directories. ``existing`` is ``lstat`` of the name, None if it is free."""
    if existing is None:
        return Decision.WRITE
    if stat.S_ISDIR(existing.st_mode):
        return Decision.BLOCKED
    is_same = _is_same(node, existing, with_metadata=with_metadata)
    if overwrite is Overwrite.ALWAYS:
        may_be_equal = node.kind is NodeKind.FILE and stat.S_ISREG(existing.st_mode) and existing.st_size == node.size
        return Decision.VERIFY if may_be_equal else Decision.REPLACE
    if is_same:
        return Decision.COMPLETE
    if overwrite is Overwrite.NEVER:
        return Decision.KEEP
    return Decision.REPLACE if node.mtime_ns > existing.st_mtime_ns else Decision.KEEP


def replaces_non_directory(node: Node, existing: os.stat_result, overwrite: Overwrite) -> bool:
    """Whether a directory of the copy takes the place of a file or link at the target."""
    if overwrite is Overwrite.ALWAYS:
        return True
    return overwrite is Overwrite.IF_NEWER and node.mtime_ns > existing.st_mtime_ns


def _is_same(node: Node, existing: os.stat_result, *, with_metadata: bool) -> bool:
    """Files appear at the target whole, under their time: same type, size and time is the same file."""
    if stat.S_IFMT(existing.st_mode) != FORMATS.get(node.kind):
        return False
    if node.kind is NodeKind.FILE and existing.st_size != node.size:
        return False
    return existing.st_mtime_ns == node.mtime_ns if with_metadata else existing.st_mtime_ns >= node.mtime_ns
