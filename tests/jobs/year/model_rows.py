"""The model's own memory of one subclient: what was taken, and what became of it towards each copy."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

ON_MEDIA = frozenset({"copied", "partial"})
WAITS = frozenset({"to_be_copied", "failed"})
AWAITED = WAITS | {"candidate"}
BY_RULE = frozenset({"not_selected", "candidate", "to_be_copied", "prevented"})


@dataclass(slots=True, eq=False)
class Row:
    """One snapshot towards one copy. ``exceptions``: files that the copy on media lacks."""

    state: str = "not_selected"
    mark: str = ""
    due: datetime | None = None
    since: datetime | None = None
    failures: int = 0
    offline: int = 0
    offline_since: datetime | None = None
    level: str = ""
    number: int | None = None
    base: datetime | None = None
    copied_at: datetime | None = None
    aged_at: datetime | None = None
    forgotten_at: datetime | None = None
    exceptions: int = 0
    files: int = 0

    @property
    def is_on_media(self) -> bool:
        return self.state in ON_MEDIA

    def rest(self) -> None:
        """Back to where it was before a copy of it began."""
        if self.copied_at is None:
            self.state = "to_be_copied"
        else:
            self.state = "partial" if self.exceptions else "copied"


@dataclass(slots=True, eq=False)
class Snap:
    taken: datetime
    level: str
    number: int
    by: str
    content: int
    rows: dict[str, Row]
    present: bool = True
    deleted_at: datetime | None = None
    pinned: bool = False
    pinned_until: datetime | None = None
    is_going: bool = False

    def is_pinned(self, now: datetime) -> bool:
        return self.pinned and (self.pinned_until is None or self.pinned_until > now)


@dataclass(slots=True, eq=False)
class CopyJob:
    """``goes_on``: afterwards it takes whatever waits. ``then``: what else was asked for while it ran."""

    copy: str
    snap: Snap
    goes_on: bool
    then: list[Snap] = field(default_factory=list)
    retries: int = 0
