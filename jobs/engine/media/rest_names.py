"""Names in restic's REST protocol: packs lie flat below ``data/``, and only the folders of a repository exist."""

from __future__ import annotations

import re
from typing import Final

from ..errors import MediaRefused
from .names import checked_name

FOLDERS: Final = ("keys", "locks", "snapshots", "index", "data")
_SPREAD: Final = re.compile(r"data/(..)/(\1[^/]*)\Z")


def rest_path(name: str) -> str:
    """``data/ab/ab12…`` is ``data/ab12…`` there. Raises MediaRefused for what the protocol cannot name."""
    checked_name(name)
    folder, _, rest = name.partition("/")
    if name == "config" or (folder in FOLDERS and folder != "data" and "/" not in rest):
        return name
    spread = _SPREAD.match(name)
    if spread is None:
        raise MediaRefused(
            f"“{name}” cannot be a file name on a REST server.", hint="This is a defect; please report it."
        )
    return f"data/{spread[2]}"


def listed_name(folder: str, base: str) -> str | None:
    """The name on the medium of what a listing of ``folder`` gave; None for what no repository holds."""
    name = f"data/{base[:2]}/{base}" if folder == "data" else f"{folder}/{base}"
    try:
        rest_path(name)
    except MediaRefused:
        return None
    return name
