"""``btrfs send | btrfs receive``: the bytes between two child processes, counted, and stopped when asked to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Final

from ..errors import EngineError, EngineUnsupported, StorageBusy
from ..events import Control
from .btrfs_progs import ENVIRONMENT, no_program, progs_failure
from .channel import MOST_BYTES, Channel, raise_failure

_LOOK_SECONDS: Final = 0.2
_PIPE_BYTES: Final = 1 << 20
_END_SECONDS: Final = 5.0


class _Child:
    """One end of the stream. ``complaint`` is what it said on standard error."""

    def __init__(self, program: str, arguments: Sequence[str], *, stdin: int, stdout: int) -> None:
        self.what = f"btrfs {arguments[0]}"
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        try:
            self.process = subprocess.Popen(
                [program, *arguments], stdin=stdin, stdout=stdout, stderr=self._said, env=ENVIRONMENT
            )
        except OSError as error:
            self._said.close()
            raise no_program(program, error) from error

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
        if not self.process.returncode:
            return None
        complaint = self.complaint
        if "File name too long" in complaint:
            return EngineUnsupported(
                "btrfs cannot send a snapshot that holds a path of more than 4,095 bytes.",
                hint="Shorten the directories above it, or feed the backup copies from the primary snap copy.",
            )
        return progs_failure(self.what, complaint)

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


def send_and_receive(path: str, into: str, *, base: str | None, control: Control, program: str = "btrfs") -> int:
    """Send the read-only snapshot ``path`` into the directory ``into`` of another btrfs; returns the bytes sent.

    With ``base``, an older snapshot that the other btrfs has received, only the difference. Raises the errors of
    btrfs-progs and what ``control`` raises; what was received by then is left for the caller to remove.
    """
    difference = ["-p", base] if base is not None else []
    with contextlib.ExitStack() as stack:
        sender = _Child(
            program, ["send", "-q", *difference, "--", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        stack.callback(sender.close)
        receiver = _Child(program, ["receive", "-q", "--", into], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        stack.callback(receiver.close)
        sent = _pump(sender.process, receiver.process, control)
        for child in (sender, receiver):
            _wait(child.process, control)
        if failure := _worse(sender, receiver):
            raise failure
    return sent


def send_to(path: str, channel: Channel, *, base: str | None, control: Control, program: str = "btrfs") -> int:
    """The sending half of :func:`send_and_receive`, into a channel. What the other end says went wrong is raised."""
    difference = ["-p", base] if base is not None else []
    arguments = ["send", "-q", *difference, "--", path]
    with contextlib.closing(_Child(program, arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)) as sender:
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


def receive_from(channel: Channel, into: str, *, control: Control, program: str = "btrfs") -> int:
    """The receiving half of :func:`send_and_receive`; returns the bytes received. Only a stream with its end counts."""
    arguments = ["receive", "-q", "--", into]
    with contextlib.closing(_Child(program, arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)) as receiver:
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
