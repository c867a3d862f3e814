"""What a catalog is told: the paths a snapshot or a backup copy holds, or what changed since an older one (RULES S4).

Both sources tell the same of the same data: size, times, rights and owners as restic stores them, no sockets. Where it
is written to is the caller's; nothing here knows a database.
"""

from .entries import Change, Found, Gone, chain_of
from .snapshot_changes import Eyes, list_snapshot, snapshot_changes
from .tree_changes import list_trees, tree_changes

__all__ = [
    "Change",
    "Eyes",
    "Found",
    "Gone",
    "chain_of",
    "list_snapshot",
    "list_trees",
    "snapshot_changes",
    "tree_changes",
]
