"""What wraps any medium: retries, bandwidth, transfers at once, an end to waiting, answers that are checked."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import EngineError, FileMissing, MediaRefused, MediaUnavailable, NoSpace, RepositoryDamaged
from jobs.engine.media.base import Buffer, Media
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.checked import Checked
from jobs.engine.media.layers import LOCAL, REMOTE, Limits, layered
from jobs.engine.media.limited import Limited
from jobs.engine.media.retrying import Retrying
from jobs.engine.media.throttled import SMALL_BYTES, Throttled
from jobs.engine.media.timed import Timed
from jobs.engine.media.wrapping import Wrapper, transfers_of
from tests.forks import fork

from .odd_media import HeldClock, MemoryMedia, SlowMedia
from .repositories import disk_at

CONTENT = b"some sealed bytes"
PACK = f"data/{sha256(CONTENT).hexdigest()[:2]}/{sha256(CONTENT).hexdigest()}"
AWAY = MediaUnavailable("The server answered 503.")
MIB = 1 << 20


class Tried:
    """A medium that is tried again, with a clock that does not wait."""

    def __init__(self, *answers: EngineError | bytes, retries: int = 4, give_up_seconds: float = 900.0) -> None:
        self.inner, self.board, self.clock = MemoryMedia(*answers), MediaBoard(), HeldClock()
        self.media = Retrying(
            self.inner,
            board=self.board,
            retries=retries,
            give_up_seconds=give_up_seconds,
            clock=self.clock,
            draw=lambda: 1.0,
        )


def test_what_fails_for_a_while_is_tried_again_after_growing_pauses() -> None:
    tried = Tried(AWAY, AWAY, AWAY)
    tried.media.put(PACK, [CONTENT])
    assert tried.inner.files == {PACK: CONTENT}
    assert tried.clock.seconds == 0.25 + 0.5 + 1.0
    troubles = tried.board.troubles()
    assert (troubles.retries, troubles.given_up, troubles.last) == (3, 0, AWAY.sentence)


@pytest.mark.parametrize("refusal", [MediaRefused("no"), NoSpace("full"), FileMissing("gone")], ids=lambda e: e.code)
def test_a_refusal_is_never_tried_again(refusal: EngineError) -> None:
    tried = Tried(refusal)
    with pytest.raises(type(refusal)):
        tried.media.get(PACK)
    assert tried.inner.calls == ["get"]
    assert tried.board.troubles().retries == 0


def test_a_medium_that_stays_away_is_given_up_with_its_own_error() -> None:
    tried = Tried(*[AWAY] * 9)
    with pytest.raises(MediaUnavailable, match="503"):
        tried.media.exists(PACK)
    assert len(tried.inner.calls) == 5
    assert tried.board.troubles().given_up == 1


def test_nothing_is_tried_again_later_than_allowed() -> None:
    tried = Tried(*[AWAY] * 99, retries=50, give_up_seconds=20.0)
    with pytest.raises(MediaUnavailable):
        tried.media.delete(PACK)
    assert tried.clock.seconds <= 20


def test_a_job_that_is_to_end_tries_nothing_again() -> None:
    tried = Tried(AWAY)
    tried.board.stop()
    with pytest.raises(MediaUnavailable):
        tried.media.put(PACK, [CONTENT])
    assert tried.clock.slept == []


def test_a_put_whose_answer_was_lost_is_not_refused_the_second_time() -> None:
    """An append-only server refuses a file that is there already."""
    tried = Tried(AWAY, MediaRefused("It is there already."))
    tried.inner.files[PACK] = CONTENT
    tried.media.put(PACK, [CONTENT])
    refused = Tried(AWAY, MediaRefused("No right to write."))
    with pytest.raises(MediaRefused):
        refused.media.put("config", [CONTENT])


def test_a_listing_that_breaks_off_is_begun_again_and_names_nothing_twice() -> None:
    tried = Tried()
    tried.inner.files = {"index/a": b"1", "index/b": b"22"}
    tried.inner.answers = [AWAY]
    assert list(tried.media.list("index")) == [("index/a", 1), ("index/b", 2)]


def test_a_damaged_answer_is_asked_for_again_but_not_for_ever() -> None:
    damaged = RepositoryDamaged("It ends too early.", name=PACK)
    tried = Tried(damaged, retries=8)
    tried.inner.files[PACK] = CONTENT
    assert tried.media.get(PACK) == CONTENT
    tried = Tried(*[damaged] * 9, retries=8)
    with pytest.raises(RepositoryDamaged):
        tried.media.get(PACK)
    assert len(tried.inner.calls) == 3


def test_a_short_answer_and_a_long_one_are_damage() -> None:
    inner = MemoryMedia(b"some", b"some sealed bytes that nobody asked for")
    for _ in range(2):
        with pytest.raises(RepositoryDamaged, match="were asked for"):
            Checked(inner).get(PACK, offset=0, length=len(CONTENT))


def test_content_that_does_not_fit_its_name_is_read_again() -> None:
    inner = MemoryMedia(b"a lie", b"another lie")
    inner.files[PACK] = CONTENT
    assert Checked(inner).get(PACK) == CONTENT


def test_what_a_medium_says_twice_is_what_it_holds() -> None:
    """A check is to see the damaged bytes, not only that there are some."""
    inner = MemoryMedia()
    inner.files[PACK] = b"rotten"
    assert Checked(inner).get(PACK) == b"rotten"
    assert inner.calls == ["get", "get"]


def test_bandwidth_is_kept_to_by_puts_and_gets_together() -> None:
    clock, board = HeldClock(), MediaBoard(bytes_per_second=MIB)
    media = Throttled(MemoryMedia(), board=board, clock=clock)
    media.put("config", [bytes(4 * MIB)])
    media.get("config", length=4 * MIB)
    media.get("config")
    assert clock.seconds == pytest.approx(12 - 0.5, abs=0.6)


def test_a_limit_that_is_changed_or_lifted_counts_for_what_waits_already() -> None:
    clock, board = HeldClock(), MediaBoard(bytes_per_second=1024)
    media = Throttled(MemoryMedia(), board=board, clock=clock)
    normal_sleep = clock.sleep

    def sleep(seconds: float) -> None:
        normal_sleep(seconds)
        if clock.seconds > 3:
            board.bytes_per_second = MIB

    clock.sleep = sleep  # type: ignore[method-assign]
    media.put("config", [bytes(2 * MIB)])
    assert 3 < clock.seconds < 8


def test_small_files_such_as_locks_do_not_wait_for_bandwidth() -> None:
    clock, board = HeldClock(), MediaBoard(bytes_per_second=1)
    media = Throttled(MemoryMedia(), board=board, clock=clock)
    media.put("locks/a", [bytes(SMALL_BYTES)])
    assert clock.slept == []


def test_bandwidth_that_nobody_used_is_not_saved_up() -> None:
    clock, board = HeldClock(), MediaBoard(bytes_per_second=MIB)
    media = Throttled(MemoryMedia(), board=board, clock=clock)
    clock.seconds = 1000
    media.put("config", [bytes(10 * MIB)])
    assert clock.seconds - 1000 > 9


def test_forked_processes_share_one_bandwidth(tmp_path: Path) -> None:
    board = MediaBoard(bytes_per_second=2 * MIB)
    children = []
    started = time.monotonic()
    for number in range(3):
        child = fork()
        if not child:
            media = Throttled(disk_at(tmp_path), board=board, clock=SystemClock())
            media.put(f"data/{number}", [bytes(MIB)])
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert 0.9 < time.monotonic() - started < 60


class Pairs(Wrapper):
    """A put waits for another one beside it."""

    def __init__(self, inner: Media) -> None:
        super().__init__(inner)
        self._barrier = threading.Barrier(2)

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        self._barrier.wait(60)
        self.inner.put(name, pieces)


def test_no_more_transfers_at_once_than_allowed() -> None:
    slow = SlowMedia(Pairs(MemoryMedia()), seconds=0.02)
    media = Limited(slow, board=MediaBoard(), transfers=2, patience_seconds=60, clock=SystemClock())
    threads = [threading.Thread(target=media.put, args=(f"data/{n}", [bytes(MIB)])) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slow.most == 2
    assert transfers_of(media) == 2


def test_the_places_of_a_process_that_was_killed_are_free_again(tmp_path: Path) -> None:
    """Also before anybody has waited for it."""
    board = MediaBoard()
    reading, writing = os.pipe()
    child = fork()
    if not child:
        board.enter(1)
        os.write(writing, b".")
        signal.pause()
    os.read(reading, 1)
    media = Limited(disk_at(tmp_path), board=board, transfers=1, patience_seconds=0.05, clock=SystemClock())
    with pytest.raises(MediaUnavailable, match="None of 1 transfers"):
        media.put("config", [bytes(MIB)])
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    media.put("config", [bytes(MIB)])
    os.waitpid(child, 0)


def test_an_operation_that_does_not_end_is_left_behind_and_the_next_one_works() -> None:
    class Stuck(MemoryMedia):
        released = threading.Event()

        def exists(self, name: str) -> bool:
            return name != "config" or self.released.wait()

    inner = Stuck()
    inner.files[PACK] = CONTENT
    media = Timed(inner, seconds=0.05)
    with pytest.raises(MediaUnavailable, match="did not look up “config”"):
        media.exists("config")
    assert media.get(PACK) == CONTENT, "a transfer has more time, which a busy machine may need"
    inner.released.set()


def test_errors_come_through_an_operation_with_an_end() -> None:
    with pytest.raises(FileMissing):
        Timed(MemoryMedia(), seconds=60).get(PACK)


def test_a_medium_gets_the_wrappers_that_its_limits_ask_for(tmp_path: Path) -> None:
    disk: Media = disk_at(tmp_path)
    assert layered(disk, LOCAL, board=MediaBoard(), is_throttled=False) is disk
    remote = layered(disk, REMOTE, board=MediaBoard())
    assert (transfers_of(remote), str(remote)) == (8, str(disk))
    remote.put(PACK, [CONTENT])
    assert remote.get(PACK, offset=5, length=6) == b"sealed"
    assert remote.test().ok
    few = layered(disk, Limits(transfers=1, retries=0, timeout_seconds=None), board=MediaBoard(), is_throttled=False)
    assert isinstance(few, Limited)
