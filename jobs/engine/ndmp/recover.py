"""A recovery: the file server asks for pieces of the image, this end sends them, the file server writes the files.

All of it, selected files, or selected files by *direct access*: then the file server reads only the places where they
are, which it knows from ``fh_info`` of the file history. So the image must be readable at any offset.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from ..errors import InvalidOptions, StreamIncomplete
from . import messages
from .operation import Operation
from .refusals import refusal
from .session import LogLine, Session, readable
from .transfer import DataPath, data_connection
from .values import TO_THE_END, Pair, RecoveryStatus, WantedName

_PIECE_BYTES: Final = 1 << 20


class ImageReader(Protocol):
    """The stored image. ``read`` gives exactly ``length`` bytes, all of them below ``size_bytes``."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverOrder:
    """What to recover: the image's type, the environment of its backup, and the names (:func:`everything`)."""

    type: str
    environment: tuple[Pair, ...]
    names: tuple[WantedName, ...]
    data_path: DataPath = field(default_factory=DataPath)


@dataclass(frozen=True, slots=True)
class FileFailure:
    """A file that could not be recovered, readable, and why: “not found”."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverResult:
    """``sent_bytes`` of the image were asked for.

    ``failed`` are the files that the file server could not write, the first 10,000 of ``failed_count``. It confirmed
    ``confirmed_count`` files; some confirm none, and then a name that is not in the image goes unnoticed.
    """

    sent_bytes: int
    failed: tuple[FileFailure, ...]
    failed_count: int
    confirmed_count: int
    log: tuple[LogLine, ...]


def everything(destination: bytes) -> tuple[WantedName, ...]:
    """The one name that stands for the whole backup, to be written below ``destination``."""
    return (WantedName(b"", destination),)


def batches(names: Iterable[WantedName], at_once: int | None) -> Iterator[tuple[WantedName, ...]]:
    """Names in pieces that the file server takes in one recovery; None = all at once."""
    rest = tuple(names)
    step = at_once or max(len(rest), 1)
    for start in range(0, len(rest), step):
        yield rest[start : start + step]


def recover(
    session: Session, order: RecoverOrder, image: ImageReader, *, progress: Callable[[int], None] | None = None
) -> RecoverResult:
    """Run one recovery to its good end. ``progress`` gets the bytes sent so far, after each piece.

    Files that could not be written are in the result; it is for the caller to end as *completed with errors*. Raises
    StreamIncomplete (ended badly, logged an error, or read nothing), SourceUnavailable, AnswerUnreadable,
    EngineUnsupported, InvalidOptions (no names), what ``image`` raises and what the session's control
    raises; then it is aborted.
    """
    if not order.names or not all(name.destination_path for name in order.names):
        raise InvalidOptions("Nothing to recover was named, or no place to put it.", field="names")
    operation = Operation(session)
    with (
        session.subscribed(operation),
        operation.aborted_on_failure(),
        data_connection(session, order.data_path) as data,
        operation.aborted_on_failure(),  # before the data connection is closed
    ):
        request = messages.StartRecover(order.environment, order.names, order.type)
        error, _ = session.ask(messages.DATA_START_RECOVER, request)
        if error:
            raise refusal("DATA_START_RECOVER", error, session.log)
        sent = _serve(operation, data, image, progress)
        operation.require_success("the recovery")
        if not sent and not operation.failed_count:
            raise StreamIncomplete(
                "The file server says that the recovery went well, but asked for no byte of the image.",
                log=tuple(line.text for line in operation.log),
            )
        operation.stop()
    return RecoverResult(
        sent_bytes=sent,
        failed=tuple(FileFailure(readable(file.name), _reason(file.status)) for file in operation.failed),
        failed_count=operation.failed_count,
        confirmed_count=operation.confirmed_count,
        log=tuple(operation.log),
    )


def _serve(
    operation: Operation, data: socket.socket, image: ImageReader, progress: Callable[[int], None] | None
) -> int:
    """Send what is asked for until the file server halts; the bytes that were sent."""
    sent = 0
    is_open = True
    while True:
        operation.pause(lambda: bool(operation.reads) or operation.halted is not None)
        if operation.halted is not None:
            return sent
        if not operation.reads:
            continue
        read = operation.reads.popleft()
        if not is_open:
            continue
        for piece in _pieces(image, read):
            taken = _send(operation, data, piece)
            sent += taken
            if not (is_open := taken == len(piece)):
                break
            if progress is not None:
                progress(sent)
        if is_open and (read.length == TO_THE_END or read.offset + read.length > image.size_bytes):
            is_open = False
            _end_of_data(data)


def _pieces(image: ImageReader, read: messages.DataRead) -> Iterator[bytes]:
    if read.offset > image.size_bytes:
        raise StreamIncomplete(
            f"The file server asks for byte {read.offset} of an image of {image.size_bytes} bytes.",
            hint="The file history and the image do not belong together. Recover without direct access.",
        )
    end = image.size_bytes if read.length == TO_THE_END else min(read.offset + read.length, image.size_bytes)
    for offset in range(read.offset, end, _PIECE_BYTES):
        yield image.read(offset, min(_PIECE_BYTES, end - offset))


def _send(operation: Operation, data: socket.socket, piece: bytes) -> int:
    """How much was sent. The file server may hang up early: it has what it needs, or it failed and will say so."""
    rest = memoryview(piece)
    while rest:
        if operation.halted is not None:
            return len(piece) - len(rest)
        try:
            rest = rest[data.send(rest, socket.MSG_NOSIGNAL) :]
        except TimeoutError:
            operation.look()
        except OSError:
            return len(piece) - len(rest)
        else:
            operation.moved()
    operation.session.check()
    return len(piece)


def _end_of_data(data: socket.socket) -> None:
    """Nothing follows: the file server reads an end of file."""
    with contextlib.suppress(OSError):
        data.shutdown(socket.SHUT_WR)


def _reason(status: int) -> str:
    try:
        return RecoveryStatus(status).name.lower().replace("_", " ")
    except ValueError:
        return f"status {status}"
