"""Which names a medium accepts: relative, ``/`` separated, and nothing that could leave the medium."""

from __future__ import annotations

import re
from typing import Final

from ..errors import MediaRefused

_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_NAME: Final = re.compile(rf"{_PART.pattern}(?:/{_PART.pattern})*\Z")


def checked_name(name: str) -> str:
    """``name`` itself if it can be the name of a stored file. Raises MediaRefused."""
    if _NAME.match(name) is None:
        raise MediaRefused(f"“{name!a}” cannot be a file name on a medium.", hint="This is a defect; please report it.")
    return name


def checked_prefix(prefix: str) -> str:
    """A folder to list, without trailing slash; empty = everything. Raises MediaRefused."""
    folder = prefix.rstrip("/")
    return checked_name(folder) if folder else ""
