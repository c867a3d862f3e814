"""A backup: the file server makes an image of a path and sends it; this end keeps it and judges whether it is whole.

The caller's thread carries the data; the session's thread takes posts and history meanwhile.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from ..errors import EngineError, SourceMissing, SourceUnavailable, StreamIncomplete
from . import messages
from .operation import HistoryTaker, Operation
from .refusals import refusal
from .session import LogLine, Session
from .transfer import DataPath, data_connection
from .values import ErrorCode, HaltReason, Nothing, Pair

_PIECE_BYTES: Final = 1 << 20
_NOTHING: Final = Nothing()


class ImageWriter(Protocol):
    """Takes the image in order, into memory of its own. Raises NoSpace and the like."""

    def room(self) -> memoryview:
        """Where the next bytes go, at least one; the same again as long as none were taken."""

    def took(self, count: int) -> None:
        """So many bytes lie at the beginning of the room now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOrder:
    """What to back up: the image's type and the environment, made by :meth:`.profiles.Profile.backup_environment`."""

    type: str
    environment: tuple[Pair, ...]
    data_path: DataPath = field(default_factory=DataPath)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupResult:
    """A whole image. ``environment`` is the file server's own at the end: store all of it, recovery needs it."""

    image_bytes: int
    environment: tuple[Pair, ...]
    log: tuple[LogLine, ...]


def back_up(
    session: Session,
    order: BackupOrder,
    image: ImageWriter,
    *,
    history: HistoryTaker | None = None,
    progress: Callable[[int], None] | None = None,
) -> BackupResult:
    """Make one backup; returns only when it is certainly whole. ``progress`` gets the bytes so far, after each piece.

    Whole = the data ended, and the file server halted *successful*, and processed as many bytes as came, and that
    is more than none, and it logged no error. Anything else aborts the operation at the file server and raises:
    SourceMissing (unknown path), StreamIncomplete (ended badly), SourceUnavailable (gone, silent, stranger),
    AnswerUnreadable (nonsense), EngineUnsupported (type or way of data refused), what ``image`` or ``history``
    raised, or what the session's control raises. The session can be used again unless it is the one that died.
    """
    operation = Operation(session, history)
    with (
        session.subscribed(operation),
        operation.aborted_on_failure(),
        data_connection(session, order.data_path) as data,
        operation.aborted_on_failure(),  # before the data connection is closed
    ):
        before = session.ask(messages.DATA_GET_STATE, _NOTHING).reply
        _start(session, order)
        count = _receive(operation, data, image, progress)
        operation.wait_for_halt()
        _judge(operation, count, counted_before=0 if before is None else before.bytes_processed)
        environment = session.call(messages.DATA_GET_ENV, _NOTHING)
        operation.stop()
    return BackupResult(image_bytes=count, environment=environment.pairs, log=tuple(operation.log))


def _start(session: Session, order: BackupOrder) -> None:
    error, _ = session.ask(messages.DATA_START_BACKUP, messages.StartBackup(order.type, order.environment))
    if error in {ErrorCode.ILLEGAL_ARGUMENTS, ErrorCode.FILE_NOT_FOUND, ErrorCode.BAD_FILE}:
        path = next((pair.value for pair in order.environment if pair.name == "FILESYSTEM"), "")
        said = f" Its log says: {session.log[-1].text}" if session.log else ""
        raise SourceMissing(
            f"The file server refuses to back up “{path}” as {order.type}.{said}",
            hint="Check the path, and the variables that were added to the environment.",
        )
    if error:
        raise refusal("DATA_START_BACKUP", error, session.log)


def _receive(
    operation: Operation, data: socket.socket, image: ImageWriter, progress: Callable[[int], None] | None
) -> int:
    """Bytes of the image, when the data has ended."""
    count = 0
    while True:
        room = image.room()
        try:
            come = data.recv_into(room, min(len(room), _PIECE_BYTES))
        except TimeoutError:
            operation.look()
            if operation.halted not in {None, HaltReason.SUCCESSFUL}:
                return count
            if operation.halted is not None and operation.silent_seconds > operation.session.waits.halt:
                raise StreamIncomplete(
                    f"The file server says that the backup went well, but did not end the data after {count} bytes.",
                    log=tuple(line.text for line in operation.log),
                ) from None
            continue
        except OSError as error:
            with contextlib.suppress(EngineError):
                operation.wait_for_halt()
                operation.require_success("the backup")
            raise SourceUnavailable(
                f"The data connection broke after {count} bytes: {error.strerror or error}."
            ) from error
        if not come:
            return count
        image.took(come)
        count += come
        operation.moved()
        operation.session.check()
        if progress is not None:
            progress(count)


def _judge(operation: Operation, count: int, *, counted_before: int) -> None:
    """``counted_before``: some file servers go on counting from the session's earlier backups."""
    operation.require_success("the backup")
    said = tuple(line.text for line in operation.log)
    status = operation.session.call(messages.DATA_GET_STATE, _NOTHING)
    if status.bytes_processed not in {count, counted_before + count}:
        raise StreamIncomplete(
            f"The file server counted {status.bytes_processed} bytes, but {count} came.",
            log=said,
            hint="Something between the two lost or added data. The copy is tried again by itself.",
        )
    if not count:
        raise StreamIncomplete(
            "The file server says that the backup went well, but sent no byte.",
            log=said,
            hint="Check the path: some file servers do this for one that does not exist.",
        )
