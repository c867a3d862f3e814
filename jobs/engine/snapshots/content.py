"""Content paths of a subclient: what every engine demands of their form, before it looks at its own storage."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence

from ..errors import InvalidOptions, SourceMissing
from .storage_errors import source_error


def checked_content(content: Sequence[str]) -> tuple[str, ...]:
    """Absolute, in normal form, none inside another. Raises InvalidOptions (``content_paths``)."""
    if not content:
        raise _wrong("A subclient needs at least one content path.")
    for path in content:
        if not path.startswith("/") or path.startswith("//") or "\0" in path or posixpath.normpath(path) != path:
            raise _wrong(
                f"“{path}” is not a plain absolute path.",
                "Write it like /srv/data, without “..”, “//” or a slash at the end.",
            )
    for place, path in enumerate(content):
        for other in (*content[:place], *content[place + 1 :]):
            if is_inside(path, other):
                raise _wrong(
                    f"“{path}” is inside “{other}”, so it would be taken twice.", "Keep only the outer of the two."
                )
    return tuple(content)


def is_inside(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or below it; both in normal form."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def require_directory(path: str) -> os.stat_result:
    """The status of a content path that can be read as a directory. Raises SourceMissing, SourceUnavailable."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise source_error(error, path) from error
    if not stat.S_ISDIR(status.st_mode):
        raise SourceMissing(f"“{path}” is not a directory.", hint="Give the directory that holds it as content path.")
    return status


def refuse_missing(content: Sequence[str]) -> None:
    """For a form: the same demand as :func:`require_directory`, as InvalidOptions (``content_paths``)."""
    for path in content:
        try:
            require_directory(path)
        except SourceMissing as error:
            raise _wrong(error.sentence, error.hint) from error


def _wrong(sentence: str, hint: str = "") -> InvalidOptions:
    return InvalidOptions(sentence, field="content_paths", hint=hint)
