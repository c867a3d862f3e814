"""Forgetting: removing snapshot files, by id or by a policy of what to keep. The data goes with the next prune.

The policy is restic's: for each period the newest snapshot file of each of the last *n* periods that have one, and
the oldest of all while a count is left over; each group (host and paths) for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Final

from ..clock import Clock
from ..errors import InvalidOptions, NotInCopy
from ..events import Control, Level, Notice, PhaseName, PhaseStarted, Sink
from ..ids import FileId
from ..media.base import Media
from ..plan import Secret
from ..repository.layout import FileKind
from ..repository.lock import locked
from ..repository.repository import Repository
from ..repository.snapshot_file import SnapshotFile, list_snapshot_files

ALL: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepPolicy:
    """How many of each to keep; ALL (-1) = every one, 0 = this period says nothing.

    ``within`` keeps what is younger than that before the newest snapshot file; ``tags`` keeps what has all of one of
    these sets. Periods are of ``timezone``; weeks are ISO weeks.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: timedelta = timedelta(0)
    tags: tuple[frozenset[str], ...] = ()
    timezone: tzinfo = field(default=UTC)

    @property
    def counts(self) -> tuple[int, ...]:
        return self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly

    @property
    def keeps_nothing(self) -> bool:
        return not (any(self.counts) or self.within or self.tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetPlan:
    """Either ``ids``, or a ``policy`` for the snapshot files that match ``hostname``, ``paths`` and ``tags``.

    ``wait_seconds``: how long to wait for others to leave the repository.
    """

    ids: tuple[FileId, ...] = ()
    policy: KeepPolicy | None = None
    hostname: str | None = None
    paths: tuple[bytes, ...] | None = None
    tags: frozenset[str] = frozenset()
    dry_run: bool = False
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A snapshot file that stays, and why: "daily", "within", "tags" ..."""

    snapshot: SnapshotFile
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetResult:
    """``removed`` were removed, or would be in a dry run. Both newest first within their group."""

    kept: tuple[Kept, ...]
    removed: tuple[SnapshotFile, ...]


_PERIODS: Final[tuple[tuple[str, Callable[[datetime, int], object]], ...]] = (
    ("last", lambda _at, number: number),
    ("hourly", lambda at, _number: (at.year, at.month, at.day, at.hour)),
    ("daily", lambda at, _number: (at.year, at.month, at.day)),
    ("weekly", lambda at, _number: at.isocalendar()[:2]),
    ("monthly", lambda at, _number: (at.year, at.month)),
    ("yearly", lambda at, _number: at.year),
)


def apply_policy(
    snapshots: Iterable[SnapshotFile], policy: KeepPolicy, *, now_ns: int
) -> tuple[list[Kept], list[SnapshotFile]]:
    """(what to keep and why, what to remove) of one group, newest first. A pure function."""
    ordered = sorted(snapshots, key=lambda snapshot: (snapshot.time_ns, snapshot.id or ""), reverse=True)
    newest_ns = max((snapshot.time_ns for snapshot in ordered if snapshot.time_ns < now_ns), default=0)
    left = list(policy.counts)
    last: list[object] = [None] * len(left)
    kept: list[Kept] = []
    removed: list[SnapshotFile] = []
    for number, snapshot in enumerate(ordered):
        reasons = _timeless_reasons(snapshot, policy, newest_ns)
        at = datetime.fromtimestamp(snapshot.time_ns // 1_000_000_000, policy.timezone)
        for position, (name, period_of) in enumerate(_PERIODS):
            if not left[position]:
                continue
            period = period_of(at, number)
            if period != last[position] or number == len(ordered) - 1:
                reasons.append(name)
                last[position] = period
                left[position] -= left[position] > 0
        if reasons:
            kept.append(Kept(snapshot=snapshot, reasons=tuple(reasons)))
        else:
            removed.append(snapshot)
    return kept, removed


def _timeless_reasons(snapshot: SnapshotFile, policy: KeepPolicy, newest_ns: int) -> list[str]:
    reasons = []
    if any(wanted <= set(snapshot.tags) for wanted in policy.tags):
        reasons.append("tags")
    if policy.within and snapshot.time_ns > newest_ns - int(policy.within.total_seconds() * 1e9):
        reasons.append("within")
    return reasons


def run(  # noqa: PLR0917 - the signature every operation shares
    plan: ForgetPlan, media: Media, password: Secret, sink: Sink, control: Control, clock: Clock
) -> ForgetResult:
    """Remove snapshot files. Under an exclusive lock, for it removes what a copy may compare with.

    Raises InvalidOptions for a plan that would keep nothing or says nothing, NotInCopy for an id that is not there
    (nothing is removed then), and what opening a repository raises.
    """
    if bool(plan.ids) == (plan.policy is not None):
        raise InvalidOptions("Give either snapshot files to forget or a policy of what to keep.", field="policy")
    if plan.policy is not None and (plan.policy.keeps_nothing or min(plan.policy.counts) < ALL):
        raise InvalidOptions("A policy must keep something.", field="policy")
    sink.emit(PhaseStarted(phase=PhaseName.PREPARE))
    control.check()
    repository = Repository.open(media, password, clock=clock)
    with locked(repository, exclusive=True, wait_seconds=plan.wait_seconds, control=control) as lock:
        result = _choose(plan, list_snapshot_files(repository), now_ns=clock.now_ns())
        if plan.dry_run:
            return result
        sink.emit(PhaseStarted(phase=PhaseName.COMMIT))
        for snapshot in result.removed:
            control.check()
            lock.check()
            if snapshot.id is not None:
                repository.delete_file(FileKind.SNAPSHOT, snapshot.id)
        sentence = f"{len(result.removed)} snapshot files were removed; the next prune frees their space."
        sink.emit(Notice(level=Level.INFO, code="forgotten", sentence=sentence))
    return result


def _choose(plan: ForgetPlan, snapshots: Sequence[SnapshotFile], *, now_ns: int) -> ForgetResult:
    if plan.policy is None:
        doomed = [snapshot for snapshot in snapshots if snapshot.id in plan.ids]
        if missing := set(plan.ids) - {snapshot.id for snapshot in doomed}:
            raise NotInCopy(f"There is no snapshot file {min(missing)[:12]} in the repository; nothing was removed.")
        return ForgetResult(kept=(), removed=tuple(doomed))
    matching = sorted((snapshot for snapshot in snapshots if _matches(plan, snapshot)), key=_group)
    kept: list[Kept] = []
    removed: list[SnapshotFile] = []
    for _, group in groupby(matching, key=_group):
        group_kept, group_removed = apply_policy(group, plan.policy, now_ns=now_ns)
        kept += group_kept
        removed += group_removed
    return ForgetResult(kept=tuple(kept), removed=tuple(removed))


def _matches(plan: ForgetPlan, snapshot: SnapshotFile) -> bool:
    return (
        (plan.hostname is None or snapshot.hostname == plan.hostname)
        and (plan.paths is None or sorted(snapshot.paths) == sorted(plan.paths))
        and plan.tags <= set(snapshot.tags)
    )


def _group(snapshot: SnapshotFile) -> tuple[str, list[bytes]]:
    return snapshot.hostname, sorted(snapshot.paths)
