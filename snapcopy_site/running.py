"""Who runs a home: the lock only one may hold, and the small file that tells others where to find the product."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jobs.engine.processes import is_running
from snapcopy_site.lib.home import Home

LOCK_WAIT_SECONDS: Final = 60.0


class CannotStart(RuntimeError):
    """``str(error)`` says why and what to do."""


def take_lock(home: Home, *, say: Callable[[str], None]) -> int:
    """The locked descriptor, to be kept open. Waits for the servers of a start that was killed. Raises CannotStart."""
    home.path.mkdir(parents=True, exist_ok=True)
    lock = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    ends_at = time.monotonic() + LOCK_WAIT_SECONDS
    said = False
    while not _try_lock(lock):
        running = _read_state(home.state)
        if running is None or is_running(int(str(running["pid"]))):
            raise _runs_already(home, running)
        if time.monotonic() > ends_at:
            raise CannotStart(f"the servers of an earlier start on {home.path} do not end.")
        if not said:
            say("An earlier start was killed; its servers are still stopping.")
            said = True
        time.sleep(0.05)
    write_state(home, url="")
    return lock


def refuse_beside(home: Home) -> None:
    """Before anything is touched: raises CannotStart when this home runs and says where; its port is taken, too."""
    if running_url(home) and _is_locked(home.lock):
        raise _runs_already(home, _read_state(home.state))


def _runs_already(home: Home, running: dict[str, object] | None) -> CannotStart:
    where = f" at {running['url'] or 'an address still to come'} (process {running['pid']})" if running else ""
    return CannotStart(
        f"SnapCopy is already running on {home.path}{where}.\n"
        "`snapcopy link` gives a new sign-in link; `--home FOLDER` starts another installation beside it."
    )


def write_state(home: Home, *, url: str) -> None:
    """Say to others on this machine that this process runs the home, and where; '' = it is still starting."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    content = json.dumps({"pid": os.getpid(), "url": url, "started_at": started_at})
    temporary = home.state.with_suffix(".new")
    temporary.write_text(content)
    os.replace(temporary, home.state)


def running_url(home: Home) -> str | None:
    """Where the product that runs on this home can be opened; None when none runs."""
    state = _read_state(home.state)
    return str(state["url"]) or None if state and is_running(int(str(state["pid"]))) else None


def _is_locked(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(lock)
    finally:
        os.close(lock)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_state(path: Path) -> dict[str, object] | None:
    try:
        state = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return state if isinstance(state, dict) else None
