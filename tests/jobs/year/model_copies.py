"""The model's backup copies: which snapshots are wanted (B2-B4), in which order they go (B5), what becomes of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from .almanac import clock_time, period_of
from .model_rows import BY_RULE, WAITS, CopyJob, Row, Snap
from .plan import WEEK_START, ZONE, SubclientPlan

_HERE = ZoneInfo(ZONE)
_OVERDUE = timedelta(days=14)
_MOST_FAILURES = 10
_MOST_OFFLINE = timedelta(days=5)
_MOST_RETRIES = 8


class Copies(ABC):
    """``jobs``: the one copy job of each copy that is not over (B11)."""

    def __init__(self, plan: SubclientPlan) -> None:
        self.plan = plan
        self.copies = [backup.name for backup in plan.policy.backups]
        self.snaps: list[Snap] = []
        self.jobs: dict[str, CopyJob | None] = dict.fromkeys(self.copies)
        self.is_frozen = False

    @abstractmethod
    def fails(self, kind: str, now: datetime) -> bool:
        """Whether something of that kind fails now."""

    @abstractmethod
    def start(self, now: datetime, work: Callable[[datetime], None]) -> None:
        """A job of the subclient's node begins."""

    @abstractmethod
    def retry(self, now: datetime, retries: int, most: int, work: Callable[[datetime], None]) -> bool:
        """The job is tried again later; False = never more."""

    @abstractmethod
    def spool(self, now: datetime) -> None:
        """Let go what a spool need not keep."""

    def last_copied(self, copy: str, before: datetime | None = None, *, full: bool = False) -> Snap | None:
        """The newest that is on media; of the fulls only, if so asked."""
        for snap in reversed(self.snaps):
            row = snap.rows[copy]
            if row.is_on_media and (before is None or snap.taken < before) and (not full or row.level == "full"):
                return snap
        return None

    def select(self, now: datetime) -> None:
        """B2-B4 for every snapshot that is there and not decided otherwise."""
        for copy in self.copies:
            newest = self.last_copied(copy)
            for snap in self.snaps:
                row = snap.rows[copy]
                if not snap.present or row.state not in BY_RULE:
                    continue
                state, due = self._wanted(snap, row, now)
                is_gap = newest is not None and snap.taken <= newest.taken
                if is_gap and row.state == "not_selected" and not row.mark and state in {"to_be_copied", "candidate"}:
                    continue
                self._set(row, state, due, now)

    def _set(self, row: Row, state: str, due: datetime | None, now: datetime) -> None:
        """It waits since it was selected, or since it became due."""
        waited = row.state == "to_be_copied" and state == "to_be_copied" and row.since is not None
        if not waited:
            row.since = max(now, due or now) if state == "to_be_copied" else None
        row.state, row.due = state, due

    def _wanted(self, snap: Snap, row: Row, now: datetime) -> tuple[str, datetime | None]:
        policy = self.plan.policy
        if row.mark == "prevent":
            return "prevented", None
        if row.mark == "pick":
            return "to_be_copied", None
        if not self._is_eligible(snap):
            return "not_selected", None
        if policy.period:
            mine = self._period(snap.taken)
            rivals = [one for one in self.snaps if self._is_eligible(one) and self._period(one.taken) == mine]
            chosen = rivals[0] if policy.selection == "first_full" else rivals[-1]
            if chosen is not snap:
                return "not_selected", None
            if policy.selection == "last_full" and self._period(now) == mine:
                return "candidate", None
        return "to_be_copied", snap.taken + timedelta(days=policy.defer_days) if policy.defer_days else None

    def _is_eligible(self, snap: Snap) -> bool:
        policy = self.plan.policy
        if self.plan.is_excluded or (policy.selection != "all" and snap.level != "full"):
            return False
        return policy.starts_on is None or snap.taken >= clock_time(policy.starts_on, time(), _HERE)

    def _period(self, moment: datetime) -> tuple[int, ...]:
        return period_of(moment, self.plan.policy.period, _HERE, WEEK_START)

    def mark(self, now: datetime, snap: Snap, copy: str, what: str) -> None:
        """B4: prevent > pick > rule; what is copied stays so."""
        row = snap.rows[copy]
        if row.is_on_media or row.state == "aged":
            return
        if what == "pick" and (row.mark != "pick" or row.state in {"skipped", "failed"}):
            self._pick(row, now)
        elif what == "prevent" and row.mark != "prevent" and not self._is_about_to_copy(copy, snap):
            row.mark, row.state, row.due, row.since = "prevent", "prevented", None, None
        elif what == "unmark" and row.mark:
            row.mark = ""
            if row.state not in BY_RULE:
                row.state = "to_be_copied"
            self.select(now)

    def _is_about_to_copy(self, copy: str, snap: Snap) -> bool:
        """Then it is refused: the job has to be killed first."""
        job = self.jobs[copy]
        return job is not None and job.snap is snap

    def _pick(self, row: Row, now: datetime) -> None:
        row.mark, row.state, row.due, row.since = "pick", "to_be_copied", None, row.since or now
        row.failures, row.offline, row.offline_since = 0, 0, None

    def ask_copy(self, now: datetime, copy: str) -> None:
        """Copy what waits, oldest first; a request beside a running job attaches to it."""
        if job := self.jobs[copy]:
            job.goes_on = True
            return
        self.select(now)
        self._skip_overdue(now, copy)
        if snap := self._next(now, copy):
            self._begin(now, CopyJob(copy=copy, snap=snap, goes_on=True))

    def ask_this(self, now: datetime, snap: Snap, copy: str, *, is_again: bool) -> None:
        row = snap.rows[copy]
        if is_again != row.is_on_media or row.state in {"prevented", "aged"}:
            return
        if not is_again:
            self._pick(row, now)
        job = self.jobs[copy]
        if job is None:
            self._begin(now, CopyJob(copy=copy, snap=snap, goes_on=False))
        elif job.snap is not snap and snap not in job.then:
            job.then.append(snap)

    def _skip_overdue(self, now: datetime, copy: str) -> None:
        """B10, “skip older and copy the newest”."""
        if self.plan.policy.overdue_action != "skip_older":
            return
        rows = [snap.rows[copy] for snap in self.snaps if snap.present]
        waiting = [row for row in rows if row.state in WAITS and not row.mark and (row.due is None or row.due <= now)]
        if any(row.since is not None and now - row.since > _OVERDUE for row in waiting):
            for row in waiting[:-1]:
                row.state = "skipped"

    def _next(self, now: datetime, copy: str, without: Snap | None = None) -> Snap | None:
        for snap in self.snaps:
            row = snap.rows[copy]
            if snap.present and snap is not without and row.state in WAITS and (row.due is None or row.due <= now):
                return snap
        return None

    def _begin(self, now: datetime, job: CopyJob) -> None:
        self.jobs[job.copy] = job
        self.start(now, lambda at: self._copy(at, job))

    def _copy(self, now: datetime, job: CopyJob) -> None:
        row = job.snap.rows[job.copy]
        if self.fails("source-offline", now):
            self._end(now, job, goes_on=self._offline(row, now))
        elif self.fails("copy-busy", now):
            row.rest()
            job.retries += 1
            if not self.retry(now, job.retries - 1, _MOST_RETRIES, lambda at: self._copy(at, job)):
                self._failed(row)
                self._end(now, job, goes_on=False)
        elif self.fails("copy-broken", now):
            self._failed(row)
            self._end(now, job, goes_on=False)
        else:
            self._succeed(now, job, row)
            self._end(now, job, goes_on=True)
            self.spool(now)

    def _succeed(self, now: datetime, job: CopyJob, row: Row) -> None:
        """B8, S3, L4: what it is compared with, its level and its state."""
        snap, copy = job.snap, job.copy
        last, full = self.last_copied(copy, snap.taken), self.last_copied(copy, snap.taken, full=True)
        base: Snap | None = None
        level, number = "full", 0
        if snap.level != "full" and last is not None and full is not None:
            number = (last.rows[copy].number or 0) + 1
            limit = self.plan.server.limit
            if snap.level == "differential" or (limit and number > limit):
                level, number, base = "differential", 1, full
            else:
                level, base = "incremental", last
        files = 0 if self.fails("source-empty", now) else 100
        if files == 0 and (last is None or last.rows[copy].files):
            self.is_frozen = True
        row.exceptions = 3 if self.fails("copy-partial", now) else 0
        row.state = "partial" if row.exceptions else "copied"
        row.level, row.number, row.base, row.files = level, number, base.taken if base else None, files
        row.copied_at, row.failures, row.offline, row.offline_since = now, 0, 0, None

    def _failed(self, row: Row) -> None:
        if row.copied_at is not None:
            row.rest()
            return
        row.failures += 1
        row.state = "skipped" if row.failures >= _MOST_FAILURES else "failed"

    def _offline(self, row: Row, now: datetime) -> bool:
        """B7: ten attempts or five days. True = passed over, the next one goes on."""
        if row.copied_at is not None:
            row.rest()
            return False
        row.offline, row.offline_since = row.offline + 1, row.offline_since or now
        is_over = row.offline >= _MOST_FAILURES or now - row.offline_since >= _MOST_OFFLINE
        row.state = "skipped" if is_over else "failed"
        return is_over

    def _end(self, now: datetime, job: CopyJob, *, goes_on: bool) -> None:
        """What was asked for meanwhile, then whatever waits."""
        self.jobs[job.copy] = None
        then = list(job.then)
        while then:
            snap = then.pop(0)
            if snap.present and snap.rows[job.copy].state not in {"prevented", "aged"}:
                self._begin(now, CopyJob(copy=job.copy, snap=snap, goes_on=job.goes_on, then=then))
                return
        following = self._next(now, job.copy, without=job.snap) if goes_on and job.goes_on else None
        if following is not None:
            self._begin(now, CopyJob(copy=job.copy, snap=following, goes_on=True, then=[]))
