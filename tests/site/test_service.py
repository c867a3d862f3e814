"""One supervised child, with real processes and a clock of our own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapcopy_site import children, service
from snapcopy_site.service import Service, keep_short
from tests.system.product import is_alive, wait_for


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("snapcopy_site.service.time.monotonic", lambda: now[0])
    return now


def make(tmp_path: Path, code: str, **options: float) -> Service:
    log = tmp_path / "child.log"
    return Service(
        name="child",
        log=log,
        launch=lambda: children.start([sys.executable, "-c", code], log=log),
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Service]:
    made = make(tmp_path, "import time; print('up', flush=True); time.sleep(600)")
    yield made
    if made.child:
        children.kill_session(made.child)


def ended(child: subprocess.Popen[bytes]) -> None:
    child.wait(30)


def test_a_child_that_dies_waits_longer_every_time(tmp_path: Path, clock: list[float]) -> None:
    dying = make(tmp_path, "raise SystemExit(3)")
    waits = []
    for _ in range(9):
        ended(dying.start())
        said = dying.look()
        assert said is not None
        assert "ended with code 3" in said
        waits.append(float(said.split(" in ")[1].split(" s")[0]))
        assert dying.look() is None, "it is not started before its time"
        clock[0] += waits[-1]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_good_running_forgets_old_deaths(tmp_path: Path, clock: list[float]) -> None:
    dying = make(tmp_path, "raise SystemExit(1)")
    for _ in range(3):
        ended(dying.start())
        dying.look()
    ended(dying.start())
    clock[0] += service.STEADY_SECONDS + 1
    said = dying.look()
    assert said is not None
    assert "in 0.5 s" in said


def test_it_starts_again_when_its_wait_is_over(sleeper: Service, clock: list[float]) -> None:
    first = sleeper.start()
    first.kill()
    ended(first)
    assert "by signal 9" in (sleeper.look() or "")
    clock[0] += 1
    assert sleeper.look() == "child started again"
    assert sleeper.child is not None
    assert sleeper.child.pid != first.pid


def test_a_child_that_ignores_the_signal_is_killed_with_its_own_children(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"
    )
    stubborn = make(tmp_path, code, stop_seconds=0.2)
    child = stubborn.start()
    wait_for(lambda: stubborn.log.read_text().strip() != "", seconds=60, what="the child started its own")
    grandchild = int(stubborn.log.read_text())
    stubborn.ask_to_stop()
    assert stubborn.wait_until_stopped(hurry=lambda: False) is False
    assert child.returncode == -signal.SIGKILL
    wait_for(lambda: not is_alive(grandchild), seconds=60, what="the child of the child ends")


def test_a_second_request_ends_the_wait(tmp_path: Path) -> None:
    stubborn = make(
        tmp_path,
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)",
        stop_seconds=600,
    )
    stubborn.start()
    wait_for(lambda: stubborn.log.read_text() != "", seconds=60, what="the child ignores the signal")
    stubborn.ask_to_stop()
    assert stubborn.wait_until_stopped(hurry=lambda: True) is False


def test_a_child_dies_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    code = (
        "import os, sys; from pathlib import Path; from snapcopy_site import children;"
        f"child = children.start(['sleep', '600'], log=Path({str(log)!r})); print(child.pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(service.__file__).parent.parent,
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    with parent.stdout, parent.stdin:
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
        parent.wait()
    wait_for(lambda: not is_alive(child), seconds=60, what="the kernel tells the child")


def test_a_long_log_moves_aside_while_its_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOG_BYTES", 100)
    log = tmp_path / "web.log"
    with open(log, "ab", buffering=0) as writer:
        writer.write(b"x" * 101)
        keep_short(log)
        writer.write(b"next\n")
    assert log.read_bytes() == b"next\n"
    assert (tmp_path / "web.log.1").read_bytes() == b"x" * 101
    assert os.stat(log).st_size < 100


def test_a_log_is_only_for_its_owner(sleeper: Service) -> None:
    sleeper.start()
    assert sleeper.log.stat().st_mode & 0o777 == 0o600
