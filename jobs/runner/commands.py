"""Commands of a subclient around its snapshot: bring an application to rest before, let it go on after (RULES S1)."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from typing import IO, Final

from jobs.engine.events import Control
from jobs.progress import clean
from jobs.services.failures import CommandFailed

TIMEOUT_SECONDS: Final = 300.0
STOPPING_SECONDS: Final = 8.0
"""What a post command gets when the job is being stopped: enough to thaw, and the job still ends in time (J3)."""

_LOOK_SECONDS: Final = 0.1
_SHOWN_BYTES: Final = 2000
_INHERITED: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TZ", "USER")
"""Nothing else of the worker's environment gets to a command: it holds the keys of the installation."""


def split(command: str) -> list[str]:
    """The argument list of a command line as it is stored. Raises CommandFailed for an open quote."""
    try:
        return shlex.split(command)
    except ValueError as error:
        raise CommandFailed(f"“{command}” is no command line: {error}.") from error


def run(command: str, *, facts: dict[str, str], control: Control | None, seconds: float = TIMEOUT_SECONDS) -> str:
    """Run it without a shell and return what it wrote, at most 2000 bytes of the end.

    ``facts`` become environment variables. ``control`` None = it is not stopped by orders. Its whole process group is
    killed at the end, when it takes longer than ``seconds``, and when the job is told to stop. Raises CommandFailed,
    and what ``control`` raises.
    """
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | facts
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                split(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(f"“{command}” could not be started: {error.strerror}.") from error
        try:
            code = _wait(process, command, control, seconds)
        finally:
            _kill_group(process)
        said = _tail(output)
    if code != 0:
        how = f"ended with code {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"
        raise CommandFailed(f"“{command}” {how}{f': {said}' if said else ''}.")
    return said


def _wait(process: subprocess.Popen[bytes], command: str, control: Control | None, seconds: float) -> int:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_SECONDS)
        if control is not None:
            control.check()
    raise CommandFailed(f"“{command}” did not end within {seconds:.0f} seconds and was killed.")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Also what it left running in its group: a command that is over holds nothing."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _SHOWN_BYTES))
    return clean(output.read().decode("utf-8", "replace")).strip()
