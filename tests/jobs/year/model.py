"""The rules of backup copy once more, written plainly from their sentences: one subclient's year as a list of events.

Nothing of ``jobs.rules`` is used here. Events of one moment come in this order: what people do, slots, jobs by age.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from .model_copies import Copies
from .model_retention import aged_backups, over_snapshots, spool_goes
from .model_rows import AWAITED, Row, Snap
from .picture import COPIED, CopyFact, Picture, SnapshotFact
from .plan import Act, SchedulePlan, SubclientPlan, Year

Work = Callable[[datetime], None]
_ACT, _SLOT, _JOB = 0, 1, 2
_FIRST_WAIT = 30
_LONGEST_WAIT = 3600
_GRACE = timedelta(minutes=5)


def predict(year: Year) -> Picture:
    """What the rules say that the year ends with."""
    picture = Picture()
    for schedule in year.schedules:
        names = [schedule.name]
        if schedule.operation == "prune":
            names = [f"prune-{policy.name}-{one.name}" for policy in year.policies for one in policy.backups]
        for _run_at, slot, is_missed, _first in slots_of(schedule, year):
            picture.slots.update((name, slot, is_missed) for name in names)
    for subclient in year.subclients:
        Life(year, subclient).live(picture)
    return picture


def slots_of(schedule: SchedulePlan, year: Year) -> Iterator[tuple[datetime, datetime, bool, datetime]]:
    """(when it is dealt with, the slot, whether it is only missed, the first slot since the last): one catch-up."""
    passed: dict[datetime, list[datetime]] = {}
    for moment in schedule.times.moments(year.begin, year.end):
        passed.setdefault(year.back_at("scheduler", "", moment), []).append(moment)
    for at, moments in passed.items():
        if at >= year.end:
            continue
        is_missed = schedule.missed == "skip" and at - moments[-1] > _GRACE
        yield at, moments[-1], is_missed, moments[0]


def wait_after(retries: int, most: int) -> timedelta | None:
    """RULES J4: 30 s, then twice as long each time, at most an hour; None = no more."""
    return None if retries >= most else timedelta(seconds=min(_FIRST_WAIT * 2**retries, _LONGEST_WAIT))


class Life(Copies):
    """One subclient."""

    def __init__(self, year: Year, plan: SubclientPlan) -> None:
        super().__init__(plan)
        self.year = year
        self._events: list[tuple[datetime, int, object, int, Work]] = []
        self._jobs = 0
        self._pushed = 0
        self._is_snapping = False
        self._content = 1

    def live(self, picture: Picture) -> None:
        for act in self.year.acts:
            if act.subclient == self.plan:
                self._push(act.at, _ACT, 0, lambda now, act=act: self._act(now, act))  # type: ignore[misc]
        for position, schedule in enumerate(self.year.schedules):
            if not schedule.concerns(self.plan):
                continue
            for at, _slot, is_missed, first in slots_of(schedule, self.year):
                if not is_missed:
                    work: Work = lambda now, one=schedule: self._launch(now, one)  # type: ignore[misc]  # noqa: E731
                    self._push(at, _SLOT, (first, position), work)
        while self._events and self._events[0][0] < self.year.end:
            now, _kind, _order, _number, work = heapq.heappop(self._events)
            work(now)
        self._describe(picture)

    def fails(self, kind: str, now: datetime) -> bool:
        return self.year.fails(kind, self.plan.path, now)

    def start(self, now: datetime, work: Work) -> None:
        """A job on the server's node: at once, or when that node is back (N5)."""
        self._jobs += 1
        self._again(now, self._jobs, work)

    def _again(self, at: datetime, job: int, work: Work) -> None:
        at = self.year.back_at("node", self.plan.server.node, at)
        self._push(at, _JOB, job, work)

    def retry(self, now: datetime, retries: int, most: int, work: Work) -> bool:
        """Tried again later by whoever places jobs; False = it was tried often enough."""
        wait = wait_after(retries, most)
        if wait is None:
            return False
        self._jobs += 1
        self._again(self.year.back_at("scheduler", "", now + wait), self._jobs, work)
        return True

    def _push(self, at: datetime, kind: int, order: object, work: Work) -> None:
        self._pushed += 1
        heapq.heappush(self._events, (at, kind, order, self._pushed, work))

    def _launch(self, now: datetime, schedule: SchedulePlan) -> None:
        match schedule.operation:
            case "snapshot":
                self._ask_snapshot(now, schedule.level, "schedule")
            case "backup_copy":
                for copy in self.copies:
                    self.ask_copy(now, copy)
            case "aging":
                self._jobs += 1
                self._push(now, _JOB, self._jobs, self._age)
            case "prune":
                self._jobs += 1
                self._push(now, _JOB, self._jobs, self._prune)

    def _ask_snapshot(self, now: datetime, level: str, by: str) -> None:
        if not self._is_snapping:
            self._is_snapping = True
            self.start(now, lambda at: self._snap(at, level, by, 0))

    def _snap(self, now: datetime, asked: str, by: str, retries: int) -> None:
        self._is_snapping = False
        if self.fails("snapshot-broken", now) and not self.fails("snapshot-busy", now):
            return
        if self.fails("snapshot-busy", now):
            self._is_snapping = self.retry(now, retries, 3, lambda at: self._snap(at, asked, by, retries + 1))
            return
        level, number = self._level(asked)
        rows = {copy: Row() for copy in self.copies}
        self.snaps.append(Snap(taken=now, level=level, number=number, by=by, content=self._content, rows=rows))
        self.select(now)
        if self.plan.policy.is_inline:
            for copy in self.copies:
                self.ask_copy(now, copy)

    def _level(self, asked: str) -> tuple[str, int]:
        """S2, L1, L3."""
        if not self.snaps or self.snaps[-1].content != self._content or asked == "full":
            return "full", 0
        if asked == "differential":
            return "differential", 1
        number = self.snaps[-1].number + 1
        limit = self.plan.server.limit
        return ("differential", 1) if limit and number > limit else ("incremental", number)

    def _age(self, now: datetime) -> None:
        """R4: snapshots first, then each backup copy."""
        self.select(now)
        if self.is_frozen:
            return
        if self.plan.policy.is_spool:
            self.spool(now)
        else:
            for snap in over_snapshots(self.plan.policy, self.snaps, now):
                self._retire(now, snap)
        for backup in self.plan.policy.backups:
            job = self.jobs[backup.name]
            for snap in aged_backups(backup, self.snaps, now, busy=job.snap if job else None):
                row = snap.rows[backup.name]
                row.state, row.aged_at = "aged", now

    def _prune(self, now: datetime) -> None:
        for snap in self.snaps:
            for copy, row in snap.rows.items():
                job = self.jobs[copy]
                if row.state == "aged" and row.forgotten_at is None and (job is None or job.snap is not snap):
                    row.forgotten_at = now

    def spool(self, now: datetime) -> None:
        """P: after each copy that succeeded, and with the aging."""
        if self.plan.policy.is_spool and not self.is_frozen:
            keeps_base = self.plan.server.engine == "base" and self.plan.policy.catalog != "skip"
            for snap in spool_goes(self.snaps, now, keeps_base=keeps_base, last_copied=self.last_copied):
                self._retire(now, snap)

    def _retire(self, now: datetime, snap: Snap) -> None:
        if not snap.is_going and not self._is_held(now, snap):
            snap.is_going = True
            self.start(now, lambda at: self._delete(at, snap, 0))

    def _delete(self, now: datetime, snap: Snap, retries: int) -> None:
        snap.is_going = False
        if self._is_held(now, snap):
            return
        if self.fails("delete-busy", now):
            snap.is_going = self.retry(now, retries, 3, lambda at: self._delete(at, snap, retries + 1))
            return
        snap.present, snap.deleted_at = False, now

    def _is_held(self, now: datetime, snap: Snap) -> bool:
        """R5, R6: pinned, still to be copied, base of the next one, used by a job."""
        if snap.is_pinned(now) or any(row.state in AWAITED for row in snap.rows.values()):
            return True
        if any(job is not None and job.snap is snap for job in self.jobs.values()):
            return True
        if self.plan.policy.is_spool or self.plan.server.engine == "plain":
            return False
        return any(self.last_copied(copy) is snap for copy in self.copies)

    def _act(self, now: datetime, act: Act) -> None:
        present = [snap for snap in reversed(self.snaps) if snap.present][: act.nth + 1]
        snap = present[-1] if present else None
        match act.what:
            case "snapshot":
                self._ask_snapshot(now, act.level, "person")
            case "grow":
                self._content += 1
            case "acknowledge":
                self.is_frozen = False
            case "copy now":
                self.ask_copy(now, act.backup)
            case "unpin":
                for one in present:
                    one.pinned, one.pinned_until = False, None
            case "pin" if snap is not None and not snap.is_going:
                snap.pinned, snap.pinned_until = True, act.until
            case "pick" | "prevent" | "unmark" if snap is not None:
                self.mark(now, snap, act.backup, act.what)
            case "copy this" | "recopy" if snap is not None:
                self.ask_this(now, snap, act.backup, is_again=act.what == "recopy")

    def _describe(self, picture: Picture) -> None:
        for snap in self.snaps:
            picture.snapshots[self.plan.name, snap.taken] = SnapshotFact(
                level=snap.level,
                number=snap.number,
                by=snap.by,
                state="present" if snap.present else "deleted",
                deleted_at=snap.deleted_at,
            )
            for copy, row in snap.rows.items():
                picture.copies[self.plan.name, copy, snap.taken] = CopyFact(
                    state=row.state,
                    level=row.level,
                    number=row.number,
                    base=row.base if row.state in COPIED else None,
                    failures=row.failures,
                    copied_at=row.copied_at,
                    aged_at=row.aged_at,
                    forgotten_at=row.forgotten_at,
                )
