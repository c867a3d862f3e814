"""Copies that end early: stopped, killed, or with a reader that dies. What was written is valid and used again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from jobs.engine.errors import Killed, NoSpace, ReaderLost, Suspended
from jobs.engine.media.disk import DiskMedia
from jobs.engine.operations.copy_pipeline import coordinator, crew, forked, large_files
from jobs.engine.operations.copy_pipeline.channel import WorkerEnd
from jobs.engine.operations.copy_pipeline.messages import Idle
from jobs.engine.operations.copy_pipeline.process import WorkerProcess, fork_worker
from jobs.engine.operations.copy_pipeline.tally import SharedBoard
from jobs.engine.operations.copy_pipeline.worker import Worker
from jobs.engine.repository.claims import Claims
from tests.interop.restic import Restic
from tests.odd_tree import describe_tree

from .copying import Copier, StopWhen, grow_tree
from .readers import descriptors_of, ignores_interrupts, readers_of, wait_for, wait_for_the_end_of

PACK_BYTES = 256 << 10
SOON_SECONDS = 20.0
"""A stop is over by then on any machine; the work that was left would take longer."""
needs_restic = pytest.mark.skipif(shutil.which("restic") is None, reason="stock restic is not installed")


@pytest.fixture(autouse=True)
def _a_crew_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "_ALONE_SECONDS", 0.0)
    monkeypatch.setattr("jobs.engine.repository.lock.SETTLE_SECONDS", 0.0)


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    return Copier(tmp_path, at_top=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    grow_tree(tmp_path / "source", directories=120, files=20, size=4000)
    return tmp_path / "source"


@pytest.fixture
def slow_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers, which inherit this, take their time for every directory."""
    real = Worker.step

    def step(self: Worker) -> None:
        if self.number:
            time.sleep(0.03)
        real(self)

    monkeypatch.setattr(Worker, "step", step)


def new_bytes_of_a_first_copy(base: Path, source: Path) -> int:
    (base / "fresh").mkdir()
    return Copier(base / "fresh", at_top=True).copy(source).counters.bytes_new


def stored_packs(copier: Copier) -> int:
    return sum(1 for path in (copier.path / "data").rglob("*") if path.is_file())


@needs_restic
@pytest.mark.parametrize("error", [Killed("Killed."), Suspended("Suspended.")], ids=["killed", "suspended"])
def test_a_stopped_copy_ends_within_a_second_and_is_reused(
    copier: Copier, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Killed | Suspended
) -> None:
    """Readers would be killed after that second. Here they have all the time, and end because they are told to."""
    assert crew._GRACE_SECONDS + crew._REAP_SECONDS < 1
    monkeypatch.setattr(crew, "_GRACE_SECONDS", 3 * SOON_SECONDS)
    real = Worker.step

    def step(self: Worker) -> None:
        while self.number and stored_packs(copier) >= 4 and not self._board.stopping:
            time.sleep(0.01)
        real(self)

    monkeypatch.setattr(Worker, "step", step)
    stop = StopWhen(lambda: stored_packs(copier) >= 4, error)
    with pytest.raises(type(error)):
        copier.run(copier.plan(source, pack_bytes=PACK_BYTES), stop)
    assert time.monotonic() - stop.stopped_at < SOON_SECONDS
    monkeypatch.undo()
    assert readers_of(os.getpid()) == []
    assert copier.locks == []
    restic = Restic(repository=copier.path)
    restic.judge()
    second = copier.copy(source)
    assert second.counters.files_done == 2400
    assert second.counters.bytes_new < new_bytes_of_a_first_copy(tmp_path, source)
    restic.judge()


@needs_restic
@pytest.mark.parametrize("packs", [1, 5])
def test_a_reader_killed_from_outside_is_noticed_and_what_was_written_is_used_again(
    copier: Copier, source: Path, tmp_path: Path, slow_workers: None, packs: int
) -> None:
    killed: list[int] = []

    def kill_one() -> bool:
        readers = readers_of(os.getpid())
        if not killed and readers and stored_packs(copier) >= packs:
            killed.append(readers[-1])
            os.kill(readers[-1], signal.SIGKILL)
        return False

    with pytest.raises(ReaderLost, match="signal 9"):
        copier.run(copier.plan(source, pack_bytes=PACK_BYTES), StopWhen(kill_one))
    assert readers_of(os.getpid()) == []
    assert copier.locks == []
    second = copier.copy(source)
    assert second.counters.bytes_new < new_bytes_of_a_first_copy(tmp_path, source)
    assert second.counters.files_done == 2400
    restic = Restic(repository=copier.path)
    assert "no errors were found" in restic.run("check", "--read-data")


_CHILD = """
import sys, time
from pathlib import Path
from jobs.engine.operations.copy_pipeline import coordinator
from jobs.engine.operations.copy_pipeline.worker import Worker
from jobs.engine.repository import index_file
from tests.engine.copying import Copier
coordinator._ALONE_SECONDS = 0.0
real = Worker.step
base, most_index_files = Path(sys.argv[1]), int(sys.argv[2])
def step(self):
    time.sleep(0.01)
    while self.number and copier.indexed >= most_index_files:
        time.sleep(0.01)
    real(self)
Worker.step = step
copier = Copier.__new__(Copier)
copier.path, copier.state, copier.last, copier.at_top = base / "repository", base / "state", None, True
index_file.IndexWriter.__init__.__kwdefaults__["full_blobs"] = 200
copier.run(copier.plan(base / "source", pack_bytes=1 << 17))
"""


@needs_restic
@pytest.mark.parametrize("index_files", [1, 3])
def test_a_killed_process_leaves_no_readers_and_a_repository_that_goes_on(
    copier: Copier, source: Path, tmp_path: Path, index_files: int
) -> None:
    command = [sys.executable, "-c", _CHILD, str(tmp_path), str(index_files)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as process:
        wait_for(lambda: copier.indexed >= index_files and readers_of(process.pid))
        readers = readers_of(process.pid)
        process.kill()
        process.wait()
        wait_for_the_end_of(readers)
    assert copier.locks
    restic = Restic(repository=copier.path)
    second = copier.copy(source)
    assert copier.locks == []
    assert second.counters.files_done == 2400
    assert second.counters.bytes_new < new_bytes_of_a_first_copy(tmp_path, source)
    assert "no errors were found" in restic.run("check", "--read-data")
    assert copier.copy(source).counters.bytes_read == 0


def test_a_medium_that_is_full_ends_the_copy_with_its_error(
    copier: Copier, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = DiskMedia.put

    def put(self: DiskMedia, name: str, pieces: list[bytes]) -> None:
        if name.startswith("data/") and stored_packs(copier) >= 3:
            raise NoSpace("The medium is full.")
        real(self, name, pieces)

    monkeypatch.setattr(DiskMedia, "put", put)
    with pytest.raises(NoSpace, match="full"):
        copier.run(copier.plan(source, pack_bytes=PACK_BYTES))
    assert copier.locks == []
    assert readers_of(os.getpid()) == []
    monkeypatch.undo()
    assert copier.copy(source).counters.files_done == 2400


def test_a_reader_that_fails_inside_says_what_happened(
    copier: Copier, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_named: object) -> None:
        raise MemoryError("no memory left")

    monkeypatch.setattr(forked, "Worker", broken)
    with pytest.raises(Exception, match="no memory left"):
        copier.run(copier.plan(source))
    assert copier.locks == []


def test_readers_hold_no_descriptor_of_the_parent(copier: Copier, source: Path, slow_workers: None) -> None:
    held: dict[int, set[str]] = {}
    with open("/dev/full", "rb") as secret:

        def look() -> bool:
            for reader in readers_of(os.getpid()):
                held[reader] = descriptors_of(reader)
            return len(held) > 1 and all(names and "/dev/full" not in names for names in held.values())

        with pytest.raises(Killed):
            copier.run(copier.plan(source, readers=2), StopWhen(look))
        assert secret.readable()


def test_a_stop_before_the_repository_is_open_leaves_no_lock(copier: Copier, source: Path) -> None:
    calls: list[int] = []

    def third_time() -> bool:
        calls.append(1)
        return len(calls) > 2

    with pytest.raises(Killed):
        copier.run(copier.plan(source), StopWhen(third_time))
    assert copier.locks == []
    assert readers_of(os.getpid()) == []


def test_a_reader_that_is_killed_while_it_claims_holds_nobody_up(
    copier: Copier, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the lock of the claims with it. The parent hears of its death and ends those who wait for the lock."""
    parent = os.getpid()
    turn = tmp_path / "turn"

    class Fatal:
        def __init__(self, lock: object) -> None:
            self._lock = lock

        def acquire(self, **options: float) -> bool:
            taken: bool = self._lock.acquire(**options)  # type: ignore[attr-defined]
            if os.getpid() != parent and stored_packs(copier) >= 2:
                with contextlib.suppress(FileExistsError):
                    turn.mkdir()
                    os.kill(os.getpid(), signal.SIGKILL)
            return taken

        def release(self) -> None:
            self._lock.release()  # type: ignore[attr-defined]

    real = Claims.__init__

    def init(self: Claims) -> None:
        real(self)
        self._lock = Fatal(self._lock)  # type: ignore[assignment]

    monkeypatch.setattr(Claims, "__init__", init)
    monkeypatch.setattr("jobs.engine.repository.claims._PATIENCE_SECONDS", 600.0)
    begun = time.monotonic()
    with pytest.raises(ReaderLost, match="signal 9"):
        copier.run(copier.plan(source, pack_bytes=PACK_BYTES, readers=3))
    assert time.monotonic() - begun < 100
    assert turn.exists()
    assert readers_of(os.getpid()) == []
    assert copier.locks == []
    monkeypatch.undo()
    assert copier.copy(source).counters.files_done == 2400


def test_no_reader_is_left_when_their_last_words_cannot_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "_GRACE_SECONDS", 60.0)

    def main(number: int, end: WorkerEnd) -> None:
        end.send(Idle(number))
        time.sleep(60)

    hired = crew.Crew(2, SharedBoard(3), main)
    with closing(hired.stop()) as last_words:
        next(last_words)
    assert readers_of(os.getpid()) == []


def test_no_reader_is_left_when_another_cannot_be_started(
    copier: Copier, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fork_worker
    begun: list[int] = []

    def fork(run: Callable[[], None], *, keep_fds: frozenset[int]) -> WorkerProcess:
        begun.append(1)
        if len(begun) == 3:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real(run, keep_fds=keep_fds)

    monkeypatch.setattr("jobs.engine.operations.copy_pipeline.crew.fork_worker", fork)
    with pytest.raises(BlockingIOError):
        copier.run(copier.plan(source, readers=3))
    assert readers_of(os.getpid()) == []
    assert copier.locks == []


def test_a_large_file_is_stopped_in_the_middle(copier: Copier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = large_files._fill

    def fill(fd: int, view: memoryview, start: int, position: int) -> tuple[int, bool]:
        time.sleep(1 if stored_packs(copier) else 0)
        return real(fd, view, start, position)

    monkeypatch.setattr(large_files, "_fill", fill)
    monkeypatch.setattr(crew, "_GRACE_SECONDS", 3 * SOON_SECONDS)
    source = tmp_path / "large"
    source.mkdir()
    with open(source / "file", "wb") as file:
        file.writelines(os.urandom(8 << 20) for _ in range(24))
    stop = StopWhen(lambda: stored_packs(copier) >= 1)
    with pytest.raises(Killed):
        copier.run(copier.plan(source, pack_bytes=1 << 20), stop)
    assert time.monotonic() - stop.stopped_at < SOON_SECONDS
    monkeypatch.undo()
    assert copier.locks == []
    assert copier.copy(source).counters.bytes_new < 24 * (8 << 20)


def test_many_threads_that_wait_for_a_slow_medium_are_ended(
    copier: Copier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "large"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(64 << 20))
    real = DiskMedia.put

    def put(self: DiskMedia, name: str, pieces: list[bytes]) -> None:
        time.sleep(0.1 if stored_packs(copier) < 2 else 1)
        real(self, name, pieces)

    monkeypatch.setattr(DiskMedia, "put", put)
    monkeypatch.setattr("jobs.engine.operations.copy_pipeline.sizing.usable_cores", lambda: 12)
    stop = StopWhen(lambda: stored_packs(copier) >= 2)
    with pytest.raises(Killed):
        copier.run(copier.plan(source, pack_bytes=1 << 20, readers=1), stop)
    assert time.monotonic() - stop.stopped_at < SOON_SECONDS


def test_signals_of_the_parent_do_not_end_readers_by_surprise(copier: Copier, source: Path, slow_workers: None) -> None:
    sent: list[int] = []

    def interrupt() -> bool:
        for reader in readers_of(os.getpid()):
            if reader not in sent and ignores_interrupts(reader):
                sent.append(reader)
                os.kill(reader, signal.SIGINT)
        return False

    assert copier.run(copier.plan(source), StopWhen(interrupt)).counters.files_done == 2400
    assert sent


@needs_restic
@pytest.mark.slow
@pytest.mark.parametrize("seed", [int(os.environ.get("KILL_SEED", "1"))])
def test_kills_at_random_moments_never_damage_the_repository(
    copier: Copier, source: Path, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    restic = Restic(repository=copier.path)
    for number in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(tmp_path), "1000"],
            cwd=Path(__file__).parents[2],
            stderr=subprocess.DEVNULL,
        ) as process:
            wait_for(lambda: copier.locks or process.poll() is not None)
            time.sleep(random.uniform(0.0, 0.6))
            readers = readers_of(process.pid) if process.poll() is None else []
            victim = random.choice(readers) if readers and number % 2 else process.pid
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            process.wait(timeout=60)
            wait_for_the_end_of(readers)
        restic.run("unlock")
        assert "no errors were found" in restic.run("check", "--read-data")
    result = copier.copy(source)
    assert result.counters.files_done == 2400
    restic.run("restore", "latest", "--target", str(tmp_path / "restored"))
    assert describe_tree(tmp_path / "restored" / source.name) == describe_tree(source)
    assert "no errors were found" in restic.run("check", "--read-data")
