"""Locks: who may hold one beside whom, what is stale, refreshing and losing them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.engine.errors import RepositoryDamaged, RepositoryLocked
from jobs.engine.ids import FileId
from jobs.engine.repository.gojson import go_time
from jobs.engine.repository.layout import FileKind
from jobs.engine.repository.lock import LOST_SECONDS, RepositoryLock, locked
from jobs.engine.repository.lock_file import STALE_SECONDS, Verdict, clear_locks, list_locks
from jobs.engine.repository.repository import Repository
from tests.forks import fork

from .repositories import new_repository


class HeldClock:
    """A clock that moves only when told, or slept on."""

    def __init__(self) -> None:
        self.ns = 1_700_000_000_000_000_000
        self.slept = 0.0

    def now_ns(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return self.ns / 1e9

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.ns += int(seconds * 1e9)

    def advance(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def repository(tmp_path: Path, clock: HeldClock) -> Repository:
    repository = new_repository(tmp_path / "r")
    repository.clock = clock
    return repository


Foreign = Callable[..., FileId]


@pytest.fixture
def foreign(repository: Repository, clock: HeldClock) -> Foreign:
    def write(*, exclusive: bool = False, hostname: str = "elsewhere", pid: int = 77, age: float = 0.0) -> FileId:
        value = {
            "time": go_time(clock.now_ns() - int(age * 1e9)),
            "exclusive": exclusive,
            "hostname": hostname,
            "username": "somebody",
            "pid": pid,
        }
        return repository.write_file(FileKind.LOCK, json.dumps(value).encode())

    return write


def dead_pid() -> int:
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def take(repository: Repository, *, exclusive: bool) -> RepositoryLock:
    lock = RepositoryLock(repository, exclusive=exclusive)
    lock.acquire()
    return lock


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [(False, False, True), (False, True, False), (True, False, False), (True, True, False)],
)
def test_only_shared_locks_live_side_by_side(repository: Repository, first: bool, second: bool, together: bool) -> None:
    held = take(repository, exclusive=first)
    if together:
        take(repository, exclusive=second).release()
    else:
        with pytest.raises(RepositoryLocked, match=f"process {os.getpid()}"):
            take(repository, exclusive=second)
    assert [lock.id for lock in list_locks(repository)] == [held.id]
    held.release()
    assert list_locks(repository) == []


def test_a_lock_waits_200_ms_before_it_counts(repository: Repository, clock: HeldClock) -> None:
    lock = take(repository, exclusive=True)
    assert clock.slept == pytest.approx(0.2)
    lock.release()
    lock.release()


def test_a_conflict_that_appears_during_the_wait_gives_way(repository: Repository, foreign: Foreign) -> None:
    lock = RepositoryLock(repository, exclusive=False)
    lock.place()
    other = foreign(exclusive=True)
    with pytest.raises(RepositoryLocked, match="elsewhere"):
        lock.settle()
    assert [left.id for left in list_locks(repository)] == [other]


def test_the_wait_can_be_spent_on_something_else(repository: Repository, clock: HeldClock, foreign: Foreign) -> None:
    lock = RepositoryLock(repository, exclusive=False)
    lock.place()
    assert not lock.settle_if_due()
    other = foreign(hostname="elsewhere", exclusive=True)
    assert not lock.settle_if_due(), "nobody looks before it is time"
    clock.advance(0.2)
    with pytest.raises(RepositoryLocked):
        lock.settle_if_due()
    assert [left.id for left in list_locks(repository)] == [other]
    assert clock.slept == 0


@pytest.mark.parametrize(
    ("lock", "verdict"),
    [
        ({"hostname": "elsewhere", "age": 5}, Verdict.ELSEWHERE),
        ({"hostname": "elsewhere", "age": STALE_SECONDS + 1}, Verdict.EXPIRED),
        ({"hostname": "elsewhere", "age": -4000}, Verdict.ELSEWHERE),
        ({"hostname": socket.gethostname(), "pid": 1, "age": 5}, Verdict.ALIVE),
        ({"hostname": socket.gethostname(), "pid": 1, "age": STALE_SECONDS + 1}, Verdict.EXPIRED),
        ({"hostname": socket.gethostname(), "pid": -1, "age": 5}, Verdict.DEAD),
        ({"hostname": socket.gethostname(), "pid": 1 << 40, "age": 5}, Verdict.DEAD),
    ],
)
def test_verdicts(repository: Repository, foreign: Foreign, lock: dict[str, Any], verdict: Verdict) -> None:
    foreign(**lock)
    (found,) = list_locks(repository)
    assert found.verdict is verdict
    assert found.age_seconds == pytest.approx(lock["age"], abs=0.01)


def test_a_lock_with_our_pid_that_we_do_not_hold_is_of_a_dead_process(repository: Repository, foreign: Foreign) -> None:
    foreign(hostname=socket.gethostname(), pid=os.getpid())
    assert [lock.verdict for lock in list_locks(repository)] == [Verdict.DEAD]


def test_stale_locks_are_cleared_on_the_way_and_told(repository: Repository, foreign: Foreign) -> None:
    stale = {foreign(exclusive=True, age=STALE_SECONDS + 5), foreign(hostname=socket.gethostname(), pid=dead_pid())}
    lock = take(repository, exclusive=True)
    assert {cleared.id for cleared in lock.cleared} == stale
    assert [left.id for left in list_locks(repository)] == [lock.id]
    lock.release()


def test_a_shared_lock_clears_stale_shared_locks_and_leaves_living_ones(
    repository: Repository, foreign: Foreign
) -> None:
    stale, living = foreign(age=STALE_SECONDS + 5), foreign()
    lock = take(repository, exclusive=False)
    assert [cleared.id for cleared in lock.cleared] == [stale]
    lock.release()
    assert [left.id for left in list_locks(repository)] == [living]


def test_unlock_removes_stale_locks_only_unless_told_otherwise(repository: Repository, foreign: Foreign) -> None:
    living = foreign()
    stale = foreign(age=STALE_SECONDS + 5)
    assert clear_locks(repository) == [stale]
    assert clear_locks(repository) == []
    assert clear_locks(repository, everything=True) == [living]


def test_acquire_waits_for_the_other_to_end(repository: Repository, foreign: Foreign, clock: HeldClock) -> None:
    other = foreign(exclusive=True)

    class Impatient:
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks == 4:
                repository.delete_file(FileKind.LOCK, other)

    lock = RepositoryLock(repository, exclusive=False)
    lock.acquire(wait_seconds=60, control=Impatient())
    assert 2 < clock.slept < 5
    lock.release()


def test_acquire_gives_up_in_time(repository: Repository, foreign: Foreign, clock: HeldClock) -> None:
    foreign(exclusive=True)
    with pytest.raises(RepositoryLocked):
        RepositoryLock(repository, exclusive=False).acquire(wait_seconds=10)
    assert 9 < clock.slept < 12


def test_refreshing_replaces_the_file(repository: Repository, clock: HeldClock) -> None:
    lock = take(repository, exclusive=False)
    before = lock.id
    clock.advance(300)
    lock.refresh()
    (info,) = list_locks(repository)
    assert info.id == lock.id != before
    assert info.age_seconds == 0
    lock.release()


def test_the_background_thread_refreshes(repository: Repository) -> None:
    refreshed = threading.Event()

    class Told(RepositoryLock):
        def refresh(self) -> None:
            super().refresh()
            refreshed.set()

    lock = Told(repository, exclusive=False)
    lock.acquire()
    first = lock.id
    lock.start_refreshing(every_seconds=0.01)
    assert refreshed.wait(60)
    lock.check()
    lock.release()
    assert lock.id is None
    assert first is not None
    assert list_locks(repository) == []


def test_a_lock_that_somebody_removed_is_lost(repository: Repository) -> None:
    lock = take(repository, exclusive=True)
    clear_locks(repository, everything=True)
    lock.start_refreshing(every_seconds=0.01)
    assert lock._thread is not None
    lock._thread.join(60)
    with pytest.raises(RepositoryLocked, match="removed by somebody"):
        lock.check()
    lock.release()


def test_after_a_long_sleep_of_the_machine_the_lock_is_looked_at_before_going_on(
    repository: Repository, clock: HeldClock
) -> None:
    lock = take(repository, exclusive=True)
    clock.advance(LOST_SECONDS + 10)
    lock.check()
    assert [info.age_seconds for info in list_locks(repository)] == [0]
    clear_locks(repository, everything=True)
    clock.advance(LOST_SECONDS + 10)
    with pytest.raises(RepositoryLocked):
        lock.check()
    lock.release()


def test_a_forked_child_does_not_release_its_parents_lock(repository: Repository) -> None:
    lock = take(repository, exclusive=False)
    child = fork()
    if not child:
        lock.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(list_locks(repository)) == 1
    lock.release()


def test_the_context_releases_when_the_work_fails(repository: Repository) -> None:
    with pytest.raises(RepositoryLocked), locked(repository, exclusive=True):
        take(repository, exclusive=False)
    assert list_locks(repository) == []


def test_the_probe_of_stock_restic_does_not_end_a_process_that_holds_a_lock(repository: Repository) -> None:
    before = signal.getsignal(signal.SIGHUP)
    with locked(repository, exclusive=False):
        os.kill(os.getpid(), signal.SIGHUP)
        assert len(list_locks(repository)) == 1
    signal.signal(signal.SIGHUP, before)


def test_an_unreadable_lock_is_named_and_an_empty_one_is_none(repository: Repository) -> None:
    repository.media.put(f"locks/{'a' * 64}", [b""])
    assert list_locks(repository) == []
    bad = repository.write_file(FileKind.LOCK, b'{"time":"now"}')
    with pytest.raises(RepositoryDamaged) as caught:
        take(repository, exclusive=False)
    assert caught.value.name == f"locks/{bad}"
    clear_locks(repository, everything=True)
    take(repository, exclusive=False).release()
