"""What a revert would do, told by the storage on its node, and which jobs and copies it would cost (RULES S6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobs.engine.ids import SnapshotName
from jobs.engine.snapshots.base import Change, RevertPlan
from jobs.holds import holds_of
from jobs.models import Job, Snapshot
from jobs.rules import states
from jobs.services.asking import ask_about
from jobs.services.revert import can_be_made_safe, refuse_revert

REVERT_PLAN: Final = "revert-plan"
LOOK_SECONDS: Final = 3.0
"""So long a preview counts what changed; then it says “at least”."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A newer snapshot that the storage would delete with it. ``waits``: names of copies that still needed it."""

    name: str
    snapshot: Snapshot | None
    job: Job | None
    is_on_media: bool
    waits: Sequence[str]
    held_by: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertPreview:
    """What a person is shown before the live data is replaced."""

    plan: RevertPlan
    lost: Sequence[Lost]
    can_be_safe: bool

    @property
    def changes(self) -> int:
        return self.plan.created + self.plan.replaced + self.plan.removed

    @property
    def examples(self) -> list[tuple[str, str]]:
        """(what becomes of it, path) of the first that change, in words for people."""
        words = {Change.CREATED: "comes back", Change.REPLACED: "is replaced", Change.REMOVED: "is removed"}
        return [(words[change], path.decode("utf-8", "backslashreplace")) for change, path in self.plan.examples]


def preview_revert(snapshot: Snapshot) -> RevertPreview:
    """Raises CannotLaunch before anything is asked; NodeSilent, and what keeps the storage from reverting."""
    kind = refuse_revert(snapshot)
    plan = _plan(ask_about(snapshot, REVERT_PLAN, {}))
    return RevertPreview(plan=plan, lost=_lost(plan.lost), can_be_safe=can_be_made_safe(kind))


def plan_to_json(plan: RevertPlan) -> dict[str, Any]:
    return {
        "lost": list(plan.lost),
        "created": plan.created,
        "replaced": plan.replaced,
        "removed": plan.removed,
        "is_counted": plan.is_counted,
        "is_exchanged": plan.is_exchanged,
        "warnings": list(plan.warnings),
        "examples": [[change.value, path.hex()] for change, path in plan.examples],
    }


def _plan(values: dict[str, Any]) -> RevertPlan:
    return RevertPlan(
        lost=tuple(SnapshotName(name) for name in values["lost"]),
        created=values["created"],
        replaced=values["replaced"],
        removed=values["removed"],
        is_counted=values["is_counted"],
        is_exchanged=values["is_exchanged"],
        warnings=tuple(values["warnings"]),
        examples=tuple((Change(change), bytes.fromhex(path)) for change, path in values["examples"]),
    )


def _lost(names: Sequence[str]) -> list[Lost]:
    rows = Snapshot.objects.filter(name__in=names).select_related("job").prefetch_related("backup_copies__copy")
    known = {row.name: row for row in rows}
    holds = holds_of(known.values())
    found = []
    for name in names:
        row = known.get(name)
        copies = list(row.backup_copies.all()) if row is not None else []
        found.append(
            Lost(
                name=name,
                snapshot=row,
                job=row.job if row is not None else None,
                is_on_media=any(copy.is_on_media for copy in copies),
                waits=[copy.copy.name for copy in copies if copy.state in states.WAITS],
                held_by=[held.sentence for held in holds.get(row.pk, [])] if row is not None else [],
            )
        )
    return found
