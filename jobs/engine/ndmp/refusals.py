"""What an error in a reply means for whoever runs the job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from ..errors import (
    EngineError,
    EngineUnsupported,
    LoginRefused,
    NoSpace,
    SourceMissing,
    SourceUnavailable,
    StorageBusy,
    StreamIncomplete,
)
from .values import ErrorCode, error_words


class Line(Protocol):
    """A line of the file server's log."""

    @property
    def text(self) -> str: ...


_MEANING: Final[dict[int, type[EngineError]]] = {
    ErrorCode.NOT_SUPPORTED: EngineUnsupported,
    ErrorCode.VERSION_NOT_SUPPORTED: EngineUnsupported,
    ErrorCode.CLASS_NOT_SUPPORTED: EngineUnsupported,
    ErrorCode.NOT_AUTHORIZED: LoginRefused,
    ErrorCode.PERMISSION: LoginRefused,
    ErrorCode.DEVICE_BUSY: StorageBusy,
    ErrorCode.NO_MEMORY: StorageBusy,
    ErrorCode.READ_IN_PROGRESS: StorageBusy,
    ErrorCode.FILE_NOT_FOUND: SourceMissing,
    ErrorCode.BAD_FILE: SourceMissing,
    ErrorCode.CONNECT: SourceUnavailable,
    ErrorCode.TIMEOUT: SourceUnavailable,
    ErrorCode.END_OF_MEDIUM: NoSpace,
}
_HINTS: Final[dict[int, str]] = {
    ErrorCode.NOT_SUPPORTED: "Look at the file server's page which kinds of backup and environment it offers.",
    ErrorCode.NOT_AUTHORIZED: "Correct the account, its password or the way of authentication; then press Test.",
    ErrorCode.CONNECT: "The file server must reach this node's address for data; look at firewalls and routes.",
    ErrorCode.ILLEGAL_ARGUMENTS: "Check the path, the level and the variables that were added to the environment.",
}


def refusal(what: str, error: int, log: Sequence[Line] = ()) -> EngineError:
    """The error for a call named ``what`` that was answered with ``error``; the newest line of the log goes along."""
    said = f" Its log says: {log[-1].text}" if log else ""
    kind = _MEANING.get(error, StreamIncomplete)
    return kind(f"The file server refused {what}: {error_words(error)}.{said}", hint=_HINTS.get(error, ""))
