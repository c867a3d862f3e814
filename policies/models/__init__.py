"""The tables of the configuration, one file each. Rules that must never be broken are constraints here."""

from .access_node import AccessNode
from .audit_entry import AuditEntry
from .file_server import FileServer
from .installation import Installation
from .media import Media
from .secret import Secret
from .storage_policy import Copy, CopyKind, StoragePolicy
from .subclient import Subclient

__all__ = [
    "AccessNode",
    "AuditEntry",
    "Copy",
    "CopyKind",
    "FileServer",
    "Installation",
    "Media",
    "Secret",
    "StoragePolicy",
    "Subclient",
]
