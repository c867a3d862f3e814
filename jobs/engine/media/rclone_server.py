"""A child ``rclone serve restic`` on a unix socket: started, watched, started again after a crash, ended with us.

A thread of its own starts the child and hears its standard error: the system ends the child with the thread that
started it, and this one stays as long as the process. A forked reader uses its parent's child, through connections of
its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from ..errors import MediaUnavailable

Command = tuple[list[str], int | None]
"""Words, and the descriptor that the program reads its configuration from; it is closed when it runs."""

START_SECONDS: Final = 60
_FAILED_SECONDS: Final = 2
"""Many callers at once do not each start what has just failed."""
_BORROWED_SECONDS: Final = 15
_WORDS_SECONDS: Final = 0.5
_SHORT_LIFE_SECONDS: Final = 5
_SHORT_LIVES: Final = 3
"""So many ends right after the start, and the child is given up until somebody asks again."""
_LINES_KEPT: Final = 40
_LINE: Final = re.compile(r"(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )?(?:(\w+) *: )?(.*)")
_TELLING: Final = frozenset({"ERROR", "CRITICAL", "FATAL", "EMERGENCY"})


def find_rclone() -> str | None:
    """The program on PATH, else of the optional extra ``rclone`` beside this Python."""
    beside = Path(sys.executable).parent / "rclone"
    return shutil.which("rclone") or (str(beside) if os.access(beside, os.X_OK) else None)


class RcloneServer:
    """The child of one process, started on first use; ``command`` gives its words for the path of the socket.

    Thread-safe. ``borrowed`` is the socket of the parent's child, which is then used instead.
    """

    def __init__(self, command: Callable[[str], Command], *, label: str, borrowed: str | None) -> None:
        self._command = command
        self._label = label
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._guard = threading.Lock()
        self._changed = threading.Condition(self._guard)
        self._keeper: threading.Thread | None = None
        self._child: subprocess.Popen[str] | None = None
        self._folder: str | None = None
        self._is_ready = False
        self._is_closing = False
        self._failed_at: float | None = None
        self._is_borrowed = borrowed is not None
        self.path = borrowed

    def socket(self) -> str:
        """The path of a socket that is listened on. Raises MediaUnavailable with what rclone said."""
        if self._is_borrowed and self.path is not None:
            return self._await_borrowed(self.path)
        with self._changed:
            has_failed = self._failed_at is not None and time.monotonic() - self._failed_at < _FAILED_SECONDS
            if self._keeper is None and not has_failed:
                self._start()
            ends_at = time.monotonic() + START_SECONDS
            while not self._is_ready and self._keeper is not None and (left := ends_at - time.monotonic()) > 0:
                self._changed.wait(left)
            if self._is_ready and self.path is not None:
                return self.path
        said = self.last_words()
        because = f": {said}" if said else ""
        raise MediaUnavailable(
            f"{self._label} does not start{because}.", hint="Correct the remote, its path or the section."
        )

    def last_words(self) -> str:
        """The last error on the child's standard error, without its time; '' = none."""
        parsed = [match.groups() for line in list(self._lines) if (match := _LINE.match(line.strip()))]
        errors = [text for level, text in parsed if level in _TELLING and text]
        return "".join(character for character in errors[-1] if character.isprintable())[:400] if errors else ""

    def await_words(self) -> str:
        """The last words about a request that failed; its answer may come before the line that tells why."""
        with self._changed:
            if self._child is not None:
                self._changed.wait_for(lambda: self.last_words() or self._child is None, _WORDS_SECONDS)
        return self.last_words()

    def forget_words(self) -> None:
        """What is said from here on belongs to the next request."""
        if self._is_ready:
            self._lines.clear()

    def close(self) -> None:
        """End the child and remove its folder; a borrowed one stays."""
        with self._changed:
            self._is_closing = True
            if self._child is not None:
                self._child.kill()
            keeper = self._keeper
        if keeper is not None:
            keeper.join()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        self._folder = self._folder or tempfile.mkdtemp(prefix="snapcopy-rclone-")
        self.path = os.path.join(self._folder, "socket")
        self._lines.clear()
        self._keeper = threading.Thread(target=self._keep, args=(self.path,), name="rclone-keeper", daemon=True)
        self._keeper.start()

    def _keep(self, path: str) -> None:
        """Run children one after the other until it is closed, or they end too soon."""
        short_lives = 0
        try:
            while not self._is_closing and short_lives < _SHORT_LIVES:
                started = time.monotonic()
                was_ready = self._live(path)
                short_lives = short_lives + 1 if time.monotonic() - started < _SHORT_LIFE_SECONDS else 0
                if not was_ready:
                    return
        finally:
            with self._changed:
                self._failed_at = time.monotonic()
                self._keeper = None
                self._changed.notify_all()

    def _live(self, path: str) -> bool:
        """One child from its start to its end; whether it ever listened."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        command, kept_fd = self._command(path)
        try:
            child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                pass_fds=() if kept_fd is None else (kept_fd,),
            )
        except OSError as error:
            self._lines.append(f"CRITICAL: {command[0]} cannot be run: {error.strerror}")
            return False
        finally:
            if kept_fd is not None:
                os.close(kept_fd)
        with self._changed:
            self._child = child
            if self._is_closing:
                child.kill()
        with child:
            was_ready = self._hear(child.stderr)
        with self._changed:
            self._is_ready = False
            self._child = None
            self._changed.notify_all()
        return was_ready

    def _hear(self, stderr: IO[str] | None) -> bool:
        was_ready = False
        for line in stderr or ():
            with self._changed:
                if not was_ready and "Serving restic REST API" in line:
                    was_ready = self._is_ready = True
                self._lines.append(line)
                self._changed.notify_all()
        return was_ready

    def _await_borrowed(self, path: str) -> str:
        """The parent starts its child again when that crashes; until then nobody listens."""
        ends_at = time.monotonic() + _BORROWED_SECONDS
        while True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(path) == 0 or time.monotonic() > ends_at:
                    return path
            time.sleep(0.05)
