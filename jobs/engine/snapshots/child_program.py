"""Programs of others as child processes: argument arrays, a time limit, an output limit, and a look at the control.

No shell is ever between: what is in an argument stays an argument. A child is the first of a process group of its own,
so that whatever it started ends with it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..clock import Clock
from ..errors import EngineUnsupported, SourceUnavailable, StorageBusy
from ..events import Control

ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
MOST_OUTPUT: Final = 64 << 20
_LOOK_SECONDS: Final = 0.2
_END_SECONDS: Final = 2.0
_PIECE_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """``code`` is the exit code, negative for a signal; ``output`` and ``complaint`` are what it said."""

    code: int
    output: str
    complaint: str


class ChildPrograms:
    """Runs programs one at a time, each for at most ``timeout_seconds``.

    ``slow_hint`` is what to do about one that does not end, ``install_hint`` about one that is not there.
    """

    def __init__(
        self,
        timeout_seconds: float,
        clock: Clock,
        *,
        slow_hint: str,
        install_hint: str,
        most_output: int = MOST_OUTPUT,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self.install_hint = install_hint
        self._clock = clock
        self._slow_hint = slow_hint
        self._most_output = most_output

    def run(
        self, command: Sequence[str], what: str, control: Control, environment: Mapping[str, str] | None = None
    ) -> Ended:
        """``what`` names it in sentences; ``environment`` is added to :data:`ENVIRONMENT`.

        Raises EngineUnsupported (it cannot be run), StorageBusy (it did not end in time), SourceUnavailable (it says
        too much), and what the control raises. One that hangs in the kernel is left to it.
        """
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT | dict(environment or {}),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise no_program(command[0], error, self.install_hint) from error
        try:
            output, complaint = self._listen(child, what, control)
        finally:
            _end(child)
        return Ended(
            code=child.returncode,
            output=output.decode("utf-8", "surrogateescape"),
            complaint=complaint.decode("utf-8", "backslashreplace"),
        )

    def _listen(self, child: subprocess.Popen[bytes], what: str, control: Control) -> tuple[bytes, bytes]:
        """Until it has ended; what a grandchild says afterwards is nobody's."""
        said: dict[int, bytearray] = {}
        deadline = self._clock.monotonic() + self.timeout_seconds
        with selectors.DefaultSelector() as selector:
            for stream in filter(None, (child.stdout, child.stderr)):
                os.set_blocking(stream.fileno(), False)
                said[stream.fileno()] = bytearray()
                selector.register(stream, selectors.EVENT_READ)
            while True:
                has_ended = child.poll() is not None
                for key, _events in selector.select(0 if has_ended or not selector.get_map() else _LOOK_SECONDS):
                    self._take(key, said, selector, what)
                if has_ended:
                    break
                if not selector.get_map():
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(timeout=_LOOK_SECONDS)
                control.check()
                if self._clock.monotonic() > deadline:
                    raise StorageBusy(f"“{what}” did not end within {self.timeout_seconds:g} s.", hint=self._slow_hint)
        first, second = said.values()
        return bytes(first), bytes(second)

    def _take(
        self, key: selectors.SelectorKey, said: dict[int, bytearray], selector: selectors.BaseSelector, what: str
    ) -> None:
        """All that is there; of one stream, at most the limit."""
        while True:
            try:
                piece = os.read(key.fd, _PIECE_BYTES)
            except BlockingIOError:
                return
            if not piece:
                selector.unregister(key.fileobj)
                return
            said[key.fd] += piece
            if len(said[key.fd]) > self._most_output:
                raise SourceUnavailable(f"“{what}” says more than {self._most_output} bytes; it was ended.")


def no_program(program: str, error: OSError, hint: str) -> EngineUnsupported:
    return EngineUnsupported(f"The program “{program}” cannot be run on this node: {error.strerror}.", hint=hint)


def _end(child: subprocess.Popen[bytes]) -> None:
    """It and what it started; nothing if all has ended."""
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=_END_SECONDS)
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            stream.close()
