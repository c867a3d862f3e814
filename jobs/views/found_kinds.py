"""Kinds of the catalog as pages show them."""

from __future__ import annotations

from typing import Final

from jobs.models import CatalogKind

_ICONS: Final = {CatalogKind.FILE: "file", CatalogKind.DIRECTORY: "folder", CatalogKind.SYMLINK: "symlink"}


def icon_of_kind(kind: str) -> str:
    """The name of an icon."""
    return _ICONS.get(CatalogKind(kind), "device")
