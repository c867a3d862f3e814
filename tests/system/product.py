"""A whole SnapCopy as a child process: started like a person starts it, watched from outside."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path(__file__).resolve().parents[2]
START_SECONDS: Final = 180.0
ORDINARY_USER: Final = 65534
SIGN_IN: Final = re.compile(r"Sign in\s+(http://\S+)")


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Look again and again until it is so."""
    ends_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends_at:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


def environment(home: Path) -> dict[str, str]:
    """Nothing of this test session: no variable of SnapCopy, a home of its own."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SNAPCOPY_", "DJANGO_", "PYTEST_"))
    }
    return {**kept, "HOME": str(home.parent), "PYTHONDONTWRITEBYTECODE": "1"}


def command(*words: str, as_user: bool = False) -> list[str]:
    """``manage.py WORDS``. ``as_user``: root keeps only the right to read (a checkout may lie in a closed folder)."""
    python = [sys.executable, str(ROOT / "manage.py"), *words]
    if not as_user or os.geteuid() != 0:
        return python
    return [
        *("setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--clear-groups"),
        *(
            "--inh-caps=-all,+dac_read_search",
            "--ambient-caps=-all,+dac_read_search",
            "--bounding-set=-all,+dac_read_search",
        ),
        *python,
    ]


class Product:
    """``snapcopy up`` on a home. Use it as a context manager: it never leaves a process behind."""

    def __init__(
        self, home: Path, *words: str, as_user: bool = False, variables: Mapping[str, str] | None = None
    ) -> None:
        self.home = home
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            command("up", "--home", str(home), "--port", "0", *words, as_user=as_user),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(home) | dict(variables or {}),
            cwd="/",
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        family = self.family()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        for pid in family:
            if is_alive(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def wait_for_line(self, pattern: re.Pattern[str], *, seconds: float = START_SECONDS) -> re.Match[str]:
        """The first line said from now on that holds the pattern."""
        ends_at = time.monotonic() + seconds
        while True:
            try:
                line = self._new.get(timeout=max(0.0, ends_at - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with {pattern.pattern}:\n{self.said}") from None
            if line is None:
                raise AssertionError(f"ended without a line with {pattern.pattern}:\n{self.said}")
            found = pattern.search(line)
            if found:
                return found

    def wait_until_up(self) -> str:
        """The one-time sign-in link."""
        return self.wait_for_line(SIGN_IN)[1]

    def stop(self, with_signal: signal.Signals = signal.SIGINT) -> int:
        """Its exit code after the signal."""
        self.process.send_signal(with_signal)
        return self.process.wait(120)

    def family(self) -> set[int]:
        """All living processes it started, and theirs."""
        return descendants(self.process.pid)

    @property
    def said(self) -> str:
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._new.put(line)
        self.process.stdout.close()
        self._new.put(None)


def is_alive(pid: int) -> bool:
    """A zombie nobody waited for does not count."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def command_line(pid: int) -> str:
    """The words a process was started with; '' when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid: int) -> set[int]:
    """The processes a process started itself, from /proc."""
    return {child for child, parent in _parents().items() if parent == pid}


def descendants(pid: int) -> set[int]:
    """The processes below one, from /proc."""
    parents = _parents()
    found: set[int] = set()
    grown = {pid}
    while grown:
        grown = {child for child, parent in parents.items() if parent in grown} - found
        found |= grown
    return found


def _parents() -> dict[int, int]:
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return parents
