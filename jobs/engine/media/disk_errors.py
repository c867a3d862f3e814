"""What an ``OSError`` on a mounted directory means: wait, change something, or free space."""

from __future__ import annotations

import errno
import os
from typing import Final

from ..errors import EngineError, FileMissing, MediaRefused, MediaUnavailable, NoSpace

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def media_error(error: OSError, *, action: str, name: str, root: bytes, medium: str) -> EngineError:
    """The error of the drawn tree for a failed call on ``name`` below ``root``.

    A missing file below a root that is itself gone means the medium is not there, not that the file is lost.
    """
    what = f"“{name}” on {medium}"
    if error.errno in _FULL:
        return NoSpace(f"There is no space left to {action} {what}.")
    if error.errno == errno.EFBIG:
        return NoSpace(f"{what} is larger than the file system or a limit allows.", hint="Raise the file size limit.")
    if error.errno == errno.EROFS:
        return MediaRefused(f"Cannot {action} {what}: the file system is read-only.", hint="Mount it for writing.")
    if error.errno in _DENIED:
        return MediaRefused(f"Cannot {action} {what}: permission denied.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return _missing(action, name, root, medium)
    return MediaUnavailable(f"Cannot {action} {what}: {os.strerror(error.errno or 0)}.")


def _missing(action: str, name: str, root: bytes, medium: str) -> EngineError:
    try:
        os.stat(root + b"/.")
    except OSError as gone:
        reason = os.strerror(gone.errno or 0).lower()
        return MediaUnavailable(f"The directory of {medium} is not there ({reason}).")
    if action == "write":
        return MediaUnavailable(f"Cannot write “{name}” on {medium}: its folder disappeared.")
    return FileMissing(f"There is no file “{name}” on {medium}.", name=name)
