"""The tables of the configuration, one file each. Rules that must never be broken are constraints here."""

from .access_node import AccessNode
from .audit_entry import AuditEntry
from .copy import Copy, ExtendedRetention
from .file_server import IMPORTED, FileServer
from .installation import Installation
from .media import Media
from .policy_choices import (
    CatalogMode,
    CopyKind,
    OverdueAction,
    Period,
    Pick,
    Retention,
    Selection,
    Weekday,
)
from .schedule import (
    BlackoutWindow,
    MissedRun,
    RestartPolicy,
    Schedule,
    ScheduledLevel,
    ScheduledOperation,
    VerifyHow,
)
from .secret import Secret
from .storage_policy import StoragePolicy
from .subclient import Subclient
from .user_scope import UserScope

__all__ = [
    "IMPORTED",
    "AccessNode",
    "AuditEntry",
    "BlackoutWindow",
    "CatalogMode",
    "Copy",
    "CopyKind",
    "ExtendedRetention",
    "FileServer",
    "Installation",
    "Media",
    "MissedRun",
    "OverdueAction",
    "Period",
    "Pick",
    "RestartPolicy",
    "Retention",
    "Schedule",
    "ScheduledLevel",
    "ScheduledOperation",
    "Secret",
    "Selection",
    "StoragePolicy",
    "Subclient",
    "UserScope",
    "VerifyHow",
    "Weekday",
]
