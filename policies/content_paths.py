"""Content paths as people type them: cleaned, and refused with a reason that names the path."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from django.core.exceptions import ValidationError


def cleaned_paths(paths: Sequence[str]) -> list[str]:
    """Absolute, normalised, without repeats, in the order given. Raises ValidationError with one message per fault."""
    faults: list[str] = []
    cleaned: list[str] = []
    for given in paths:
        path = given.strip()
        if not path:
            continue
        fault = _fault(path)
        if fault:
            faults.append(fault)
            continue
        normal = "/" + posixpath.normpath(path).lstrip("/")
        if normal not in cleaned:
            cleaned.append(normal)
    faults += [
        f"{inner} lies inside {outer}, which already holds it. Remove one of them."
        for inner in cleaned
        for outer in cleaned
        if inner != outer and inner.startswith(outer.rstrip("/") + "/")
    ]
    if not cleaned and not faults:
        faults.append("Type at least one path, like /srv/data.")
    if faults:
        raise ValidationError(faults)
    return cleaned


def _fault(path: str) -> str:
    if not path.startswith("/"):
        return f"“{path}” is not absolute: begin it with a slash."
    if ".." in path.split("/"):
        return f"“{path}” holds “..”: type the path it leads to."
    if not path.isprintable():
        return f"“{path!r}” holds a control character."
    return ""
