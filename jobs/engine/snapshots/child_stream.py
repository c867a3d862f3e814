"""A stream between two child processes, or a child process and a channel: counted, and stopped when asked to.

What is sent and who sends it is a driver's own: it gives each end as a :class:`Speaker`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Final

from ..errors import EngineError, StorageBusy
from ..events import Control
from .channel import MOST_BYTES, Channel, raise_failure
from .child_program import ENVIRONMENT, no_program

_LOOK_SECONDS: Final = 0.2
_PIPE_BYTES: Final = 1 << 20
_END_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """One end, before it runs. ``failure`` makes an error of ``what`` and what it said on standard error."""

    command: Sequence[str]
    what: str
    failure: Callable[[str, str], EngineError]
    install_hint: str


class _Child:
    """One end of the stream. ``complaint`` is what it said on standard error."""

    def __init__(self, speaker: Speaker, *, stdin: int, stdout: int) -> None:
        self._speaker = speaker
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        try:
            self.process = subprocess.Popen(
                speaker.command, stdin=stdin, stdout=stdout, stderr=self._said, env=ENVIRONMENT
            )
        except OSError as error:
            self._said.close()
            raise no_program(speaker.command[0], error, speaker.install_hint) from error

    @property
    def complaint(self) -> str:
        self._said.seek(0)
        return self._said.read().decode("utf-8", "backslashreplace")

    @property
    def was_cut_off(self) -> bool:
        """It could not write, because nobody read any more."""
        return self.process.returncode == -signal.SIGPIPE or "Broken pipe" in self.complaint

    def failure(self) -> EngineError | None:
        """What went wrong, once it has ended."""
        return self._speaker.failure(self._speaker.what, self.complaint) if self.process.returncode else None

    def close(self) -> None:
        """End it, if it has not ended; one that hangs in the kernel is left to it."""
        if self.process.poll() is None:
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=_END_SECONDS)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._said.close()


def between(sending: Speaker, receiving: Speaker, control: Control) -> int:
    """Until both have ended; returns the bytes sent. Raises the worse failure of the two, what the control raises."""
    with contextlib.ExitStack() as stack:
        sender = _Child(sending, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        stack.callback(sender.close)
        receiver = _Child(receiving, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        stack.callback(receiver.close)
        sent = _pump(sender.process, receiver.process, control)
        for child in (sender, receiver):
            _wait(child.process, control)
        if failure := _worse(sender, receiver):
            raise failure
    return sent


def to_channel(sending: Speaker, channel: Channel, control: Control) -> int:
    """The sending half of :func:`between`. What the other end says went wrong is raised."""
    with contextlib.closing(_Child(sending, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)) as sender:
        stream = _pipe(sender.process.stdout)
        buffer, sent = memoryview(bytearray(MOST_BYTES)), 0
        while True:
            control.check()
            if (news := channel.news()) is not None:
                raise_failure(news)
            if not select.select([stream], [], [], _LOOK_SECONDS)[0]:
                channel.keep_alive()
                continue
            count = os.readv(stream.fileno(), [buffer])
            if not count:
                break
            channel.write(buffer[:count])
            sent += count
        _wait(sender.process, control)
        if failure := sender.failure():
            raise failure
    channel.end()
    return sent


def from_channel(channel: Channel, receiving: Speaker, control: Control) -> int:
    """The receiving half of :func:`between`; returns the bytes received. Only a stream with its end counts."""
    with contextlib.closing(_Child(receiving, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)) as receiver:
        stream = _pipe(receiver.process.stdin)
        received = 0
        os.set_blocking(stream.fileno(), False)
        with contextlib.suppress(BrokenPipeError):
            while piece := channel.read():
                _write_all(stream, piece, channel, control)
                received += len(piece)
        with contextlib.suppress(BrokenPipeError):
            stream.close()
        _wait(receiver.process, control, channel.keep_alive)
        if failure := receiver.failure():
            raise failure
    return received


def _write_all(stream: IO[bytes], piece: bytes, channel: Channel, control: Control) -> None:
    """A disk that is slow is no silence: the other end hears of it."""
    rest = memoryview(piece)
    while rest:
        control.check()
        if not select.select([], [stream], [], _LOOK_SECONDS)[1]:
            channel.keep_alive()
            continue
        with contextlib.suppress(BlockingIOError):
            rest = rest[os.write(stream.fileno(), rest) :]


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise StorageBusy("The stream between the two storages could not be made.")
    with contextlib.suppress(OSError):
        fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return stream


def _worse(sender: _Child, receiver: _Child) -> EngineError | None:
    """The sender fails because the receiver did, when it cannot write; the receiver, when the stream is cut off."""
    if sender.process.returncode and receiver.process.returncode:
        return receiver.failure() if sender.was_cut_off else sender.failure()
    return sender.failure() or receiver.failure()


def _pump(sender: subprocess.Popen[bytes], receiver: subprocess.Popen[bytes], control: Control) -> int:
    """Until the sender has said everything, or the receiver listens no more."""
    source, target = _pipe(sender.stdout), _pipe(receiver.stdin)
    sent = 0
    try:
        while True:
            control.check()
            if not select.select([source], [], [], _LOOK_SECONDS)[0]:
                continue
            if not select.select([], [target], [], _LOOK_SECONDS)[1]:
                continue
            with contextlib.suppress(BlockingIOError):
                count = os.splice(source.fileno(), target.fileno(), _PIPE_BYTES, flags=os.SPLICE_F_NONBLOCK)
                if not count:
                    break
                sent += count
    except BrokenPipeError:
        source.close()
    with contextlib.suppress(BrokenPipeError):
        target.close()
    return sent


def _wait(process: subprocess.Popen[bytes], control: Control, meanwhile: Callable[[], None] = lambda: None) -> None:
    while True:
        try:
            process.wait(timeout=_LOOK_SECONDS)
            return
        except subprocess.TimeoutExpired:
            control.check()
            meanwhile()
