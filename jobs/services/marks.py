"""What people decide about single snapshots: pick, prevent, copy again, pin. Audited (RULES B4, R6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import models, transaction
from django.utils import timezone

from jobs.models import BackupCopy, CopyState, How, Initiator, Job, Mark, Snapshot, SnapshotState
from jobs.rules import states
from jobs.selectors import active_jobs
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor, launch_backup_copy
from jobs.services.selection import BY_RULE, pick_row, refresh_selection
from policies import audit
from policies.models import Subclient

_WORDS: Final = {Mark.PICK: "Picked", Mark.PREVENT: "Prevented", Mark.NONE: "Left to the rules"}


@dataclass(slots=True, kw_only=True)
class Marked:
    """How many were changed, and a sentence for each that could not be. What was so already counts as neither."""

    changed: int = 0
    refused: list[str] = field(default_factory=list)


def mark_copies(
    rows: Iterable[BackupCopy], *, mark: str, user: Actor = None, how: str = How.WEB, now: datetime | None = None
) -> Marked:
    """Pick, prevent, or leave to the rules (RULES B4: prevent > pick > rule). What is on media stays as it is."""
    now = now or timezone.now()
    marked = Marked()
    asked_again: dict[int, Subclient] = {}
    for given in rows:
        with transaction.atomic():
            row = _locked(given)
            if refusal := _why_not(row, Mark(mark)):
                marked.refused.append(refusal)
                continue
            if row.mark == mark and not (mark == Mark.PICK and row.state in _PICKED_AGAIN):
                continue
            _set(row, Mark(mark), now=now)
            marked.changed += 1
            sentence = f"{_WORDS[Mark(mark)]}: {row.snapshot.name} towards {row.copy.name}"
            _record(row, user, how, sentence)
        if mark == Mark.NONE:
            asked_again[row.snapshot.subclient_id] = row.snapshot.subclient
    for subclient in asked_again.values():
        refresh_selection(subclient, now=now)
    return marked


def recopy(row: BackupCopy, *, user: Actor = None, initiator: str = Initiator.PERSON, how: str = How.WEB) -> Job:
    """Copy a snapshot that is on media once more (RULES B4). Raises CannotLaunch."""
    job = launch_backup_copy(
        row.snapshot.subclient,
        row.copy,
        snapshot=row.snapshot,
        recopy=True,
        user=user,
        initiator=initiator,
        how=how,
    )
    _record(row, user, how, f"Copied again: {row.snapshot.name} towards {row.copy.name}, job {job.pk}")
    return job


def recopy_all(rows: Iterable[BackupCopy], *, user: Actor = None, how: str = How.WEB) -> tuple[list[Job], Marked]:
    """The same for many: oldest first, one at a time (B5, B11). What is not on media yet is refused."""
    marked, jobs = Marked(), []
    for row in sorted(rows, key=lambda one: (one.snapshot.taken_at, one.pk)):
        if not row.is_on_media:
            marked.refused.append(f"{_named(row)} is not on media: there is nothing to copy again.")
            continue
        try:
            jobs.append(recopy(row, user=user, how=how))
        except CannotLaunch as refusal:
            marked.refused.append(refusal.sentence)
            continue
        marked.changed += 1
    return jobs, marked


def pin_snapshots(
    snapshots: Iterable[Snapshot],
    *,
    until: datetime | None,
    user: Actor = None,
    how: str = How.WEB,
    now: datetime | None = None,
) -> Marked:
    """Keep them whatever the retention says; ``until`` None = until somebody unpins them (RULES R6)."""
    marked = Marked()
    if until is not None and until <= (now or timezone.now()):
        marked.refused.append("The day until which to pin is over already: name a later one.")
        return marked
    for given in snapshots:
        with transaction.atomic():
            snapshot = Snapshot.objects.select_for_update(of=("self",)).get(pk=given.pk)
            if snapshot.state != SnapshotState.PRESENT or snapshot.aged_at is not None:
                marked.refused.append(f"{snapshot.name} is not on the storage any more, or is being deleted.")
                continue
            if snapshot.is_pinned and snapshot.pinned_until == until:
                continue
            snapshot.is_pinned, snapshot.pinned_until = True, until
            snapshot.save(update_fields=["is_pinned", "pinned_until"])
            marked.changed += 1
            _record(snapshot, user, how, f"Pinned: {snapshot.name}, {_until(until)}")
    return marked


def unpin_snapshots(snapshots: Iterable[Snapshot], *, user: Actor = None, how: str = How.WEB) -> Marked:
    """Let the retention decide again."""
    marked = Marked()
    for given in snapshots:
        with transaction.atomic():
            snapshot = Snapshot.objects.select_for_update(of=("self",)).get(pk=given.pk)
            if not snapshot.is_pinned:
                continue
            snapshot.is_pinned, snapshot.pinned_until, snapshot.pin_reason = False, None, ""
            snapshot.save(update_fields=["is_pinned", "pinned_until", "pin_reason"])
            marked.changed += 1
            _record(snapshot, user, how, f"Unpinned: {snapshot.name}")
    return marked


_PICKED_AGAIN: Final = (CopyState.SKIPPED, CopyState.FAILED)
"""A picked snapshot that failed may be picked once more."""


def _locked(row: BackupCopy) -> BackupCopy:
    rows = BackupCopy.objects.select_for_update(of=("self",))
    return rows.select_related("snapshot__subclient__file_server", "snapshot__subclient__policy", "copy").get(pk=row.pk)


def _why_not(row: BackupCopy, mark: Mark) -> str:
    """A sentence, or '' when the mark can be set."""
    if row.state == CopyState.COPYING:
        return f"{_named(row)} is being copied now: kill its job first."
    if mark == Mark.PREVENT and (job := active_jobs().filter(backup_copy=row).first()) is not None:
        return f"Job {job.pk} is about to copy {_named(row)}: kill it first."
    if row.state in states.ON_MEDIA:
        return f"{_named(row)} is copied already: only “Copy again” changes that."
    if row.state == CopyState.AGED:
        return f"{_named(row)} was copied, and its retention is over."
    if mark == Mark.PICK and not row.snapshot.is_present:
        return f"{_named(row)} is not on the storage any more: it cannot be copied."
    if mark == Mark.PICK and not row.copy.is_active:
        return f"{_named(row)}: that copy is switched off and receives nothing."
    return ""


def _set(row: BackupCopy, mark: Mark, *, now: datetime) -> None:
    if mark == Mark.PICK:
        pick_row(row, reason="Picked by hand.", now=now)
        return
    row.mark = mark
    if mark == Mark.PREVENT:
        row.state, row.state_reason, row.due_at = CopyState.PREVENTED, "Prevented by hand.", None
        row.selected_at = None
    elif row.state not in BY_RULE:
        row.state, row.state_reason = CopyState.TO_BE_COPIED, ""
    row.save()


def _named(row: BackupCopy) -> str:
    return f"{row.snapshot.name} towards {row.copy.name}"


def _until(until: datetime | None) -> str:
    return "until somebody unpins it" if until is None else f"until {until:%Y-%m-%d %H:%M} UTC"


def _record(instance: models.Model, user: Actor, how: str, sentence: str) -> None:
    known = how if how in audit.How.values else audit.How.SYSTEM
    audit.record(action=audit.Action.OPERATED, instance=instance, user=user, how=known, sentence=sentence)
