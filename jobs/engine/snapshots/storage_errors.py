"""What the kernel said, as one of the engine's errors: sentence, hint and whether a retry makes sense."""

from __future__ import annotations

import errno
import os
from typing import Final

from ..errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    NoSpace,
    Retryable,
    SourceMissing,
    SourceUnavailable,
    StorageBusy,
    TargetRefused,
)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_GONE: Final = frozenset(
    {errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT}
)
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_BUSY: Final = frozenset({errno.EBUSY, errno.ETXTBSY, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_UNABLE: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY})


def area_error(error: OSError, action: str, area: str) -> EngineError:
    """An error met in the snapshot area. ``action`` completes “cannot …”."""
    sentence = f"The node cannot {action} “{area}”: {reason(error)}."
    if error.errno in _FULL:
        return NoSpace(sentence)
    if error.errno in _REFUSED:
        hint = "Run the access node as root, or give its account the right to write there, or choose another area."
        return InvalidOptions(sentence, field="area", hint=hint)
    if error.errno in _UNABLE:
        return EngineUnsupported(sentence)
    if error.errno in _BUSY:
        return StorageBusy(sentence)
    if error.errno in _GONE:
        return SourceUnavailable(sentence)
    return Retryable(sentence)


def source_error(error: OSError, path: str) -> EngineError:
    """An error that keeps a whole content path or volume from being used."""
    sentence = f"The node cannot open “{path}”: {reason(error)}."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return SourceMissing(sentence)
    if error.errno in _REFUSED:
        return SourceUnavailable(
            sentence, hint="Run the access node as root, or give its account the right to read there."
        )
    return SourceUnavailable(sentence)


def live_error(error: OSError, path: str) -> EngineError:
    """An error that keeps live data from being written to, not only one file of it."""
    sentence = f"The node cannot write to “{path}”: {reason(error)}."
    if error.errno in _FULL:
        return NoSpace(sentence)
    if error.errno in _REFUSED:
        return TargetRefused(
            sentence, hint="Run the access node as root, and see that the file system is not mounted read-only."
        )
    return SourceUnavailable(sentence)


def reason(error: OSError) -> str:
    """The kernel's words, lower case, without number and path: “permission denied”."""
    words = os.strerror(error.errno) if error.errno else str(error)
    return words[:1].lower() + words[1:]
