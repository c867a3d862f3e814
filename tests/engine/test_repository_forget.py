"""Forget: the policy is restic's, and what is forgotten is gone."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.clock import SystemClock
from jobs.engine.errors import InvalidOptions, NotInCopy
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.ids import BlobId, FileId
from jobs.engine.operations import forget
from jobs.engine.operations.forget import ALL, ForgetPlan, ForgetResult, KeepPolicy, apply_policy
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import SnapshotFile, list_snapshot_files, save_snapshot_file

from ..interop.restic import Restic
from .repositories import PASSWORD, disk_at, fill, new_repository

NOW_NS = 2_000_000_000 * 10**9


class QuickClock(SystemClock):
    """Does not wait."""

    def sleep(self, seconds: float) -> None:
        return None


def forgotten(path: Path, plan: ForgetPlan) -> ForgetResult:
    return forget.run(plan, disk_at(path), PASSWORD, NullSink(), FreeRun(), QuickClock())


def snapshot(time_ns: int, *, tags: tuple[str, ...] = (), path: bytes = b"/d") -> SnapshotFile:
    return SnapshotFile(time_ns=time_ns, tree=BlobId(bytes(32)), paths=(path,), hostname="h", tags=tags)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def test_each_period_keeps_its_newest_and_a_count_left_over_the_oldest() -> None:
    days = [snapshot(at(f"2024-03-{day:02d} {hour:02d}:00")) for day in range(1, 11) for hour in (6, 18)]
    kept, removed = apply_policy(days, KeepPolicy(daily=3), now_ns=NOW_NS)
    assert [k.snapshot.time_ns for k in kept] == [at(f"2024-03-{day:02d} 18:00") for day in (10, 9, 8)]
    assert len(kept) + len(removed) == 20
    kept, _ = apply_policy(days, KeepPolicy(monthly=2), now_ns=NOW_NS)
    assert [k.snapshot.time_ns for k in kept] == [at("2024-03-10 18:00"), at("2024-03-01 06:00")]


@given(
    times=st.lists(st.integers(10**9, 2 * 10**9 - 1), max_size=30),
    counts=st.lists(st.sampled_from([ALL, 0, 0, 1, 2, 5]), min_size=6, max_size=6),
)
def test_nothing_is_both_kept_and_removed_and_the_newest_stays(times: list[int], counts: list[int]) -> None:
    last, hourly, daily, weekly, monthly, yearly = counts
    policy = KeepPolicy(last=last, hourly=hourly, daily=daily, weekly=weekly, monthly=monthly, yearly=yearly)
    snapshots = [snapshot(second * 10**9) for second in times]
    kept, removed = apply_policy(snapshots, policy, now_ns=NOW_NS)
    assert sorted([k.snapshot.time_ns for k in kept] + [r.time_ns for r in removed]) == sorted(t * 10**9 for t in times)
    if any(counts) and times:
        assert kept[0].snapshot.time_ns == max(times) * 10**9
    if last == ALL:
        assert not removed


def test_tags_and_an_age_keep_too() -> None:
    snapshots = [snapshot(at(f"2024-03-{day:02d}"), tags=("keep",) if day == 2 else ()) for day in range(1, 11)]
    policy = KeepPolicy(within=timedelta(days=2), tags=(frozenset({"keep"}),))
    kept, _ = apply_policy(snapshots, policy, now_ns=NOW_NS)
    assert [(k.snapshot.time_ns, k.reasons) for k in kept] == [
        (at("2024-03-10"), ("within",)),
        (at("2024-03-09"), ("within",)),
        (at("2024-03-02"), ("tags",)),
    ]


@pytest.mark.interop
@pytest.mark.parametrize("seed", range(3))
def test_the_policy_keeps_exactly_what_stock_restic_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    repository = new_repository(tmp_path / "r")
    tree = fill(repository).tree
    source = random.Random(seed)
    for _ in range(60):
        second = at("2024-05-01") // 10**9 - int(source.expovariate(1 / (86400 * 60)))
        path = source.choice([b"/d", b"/e"])
        save_snapshot_file(repository, SnapshotFile(time_ns=second * 10**9, tree=tree, paths=(path,), hostname="h"))
    counts = {name: source.choice([0, 1, 3, 7]) for name in ("last", "hourly", "daily", "weekly", "monthly", "yearly")}
    counts["daily"] += 1
    plan = ForgetPlan(policy=KeepPolicy(**counts), dry_run=True)  # type: ignore[arg-type]
    ours = forgotten(tmp_path / "r", plan)
    monkeypatch.setenv("TZ", "UTC")
    options = [f"--keep-{name}={count}" for name, count in counts.items() if count]
    groups = Restic(repository=tmp_path / "r").json("forget", "--dry-run", *options)
    theirs = {entry["id"] for group in groups for entry in group["keep"] or ()}
    assert {kept.snapshot.id for kept in ours.kept} == theirs
    assert len(ours.removed) + len(ours.kept) == 61


def test_ids_are_removed_and_an_unknown_one_removes_nothing(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    tree = fill(repository).tree
    ids = [
        save_snapshot_file(repository, SnapshotFile(time_ns=number, tree=tree, paths=(b"/d",))) for number in range(3)
    ]
    with pytest.raises(NotInCopy):
        forgotten(tmp_path / "r", ForgetPlan(ids=(ids[0], FileId("f" * 64))))
    assert forgotten(tmp_path / "r", ForgetPlan(ids=(ids[0],), dry_run=True)).removed[0].id == ids[0]
    assert len(list_snapshot_files(repository)) == 4
    forgotten(tmp_path / "r", ForgetPlan(ids=(ids[0], ids[2])))
    assert {s.id for s in list_snapshot_files(repository)} & set(ids) == {ids[1]}


@pytest.mark.parametrize(
    "plan",
    [
        ForgetPlan(),
        ForgetPlan(policy=KeepPolicy()),
        ForgetPlan(policy=KeepPolicy(daily=-2)),
        ForgetPlan(ids=(FileId("f" * 64),), policy=KeepPolicy(daily=1)),
    ],
)
def test_a_plan_that_would_forget_everything_by_accident_is_refused(tmp_path: Path, plan: ForgetPlan) -> None:
    repository = new_repository(tmp_path / "r")
    fill(repository)
    with pytest.raises(InvalidOptions):
        forgotten(tmp_path / "r", plan)
    assert len(list_snapshot_files(Repository.open(repository.media, PASSWORD))) == 1
