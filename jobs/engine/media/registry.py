"""Every kind of medium SnapCopy knows: one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .base import Media
from .disk import DiskMedia, DiskOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaKind:
    """A kind of medium for forms and for whoever builds one. ``build`` takes an instance of ``options``.

    Build inside the process that uses the medium, never before a fork.
    """

    name: str
    label: str
    summary: str
    options: type
    build: Callable[[Any], Media]


MEDIA: Final[dict[str, MediaKind]] = {
    kind.name: kind
    for kind in (
        MediaKind(
            name="disk",
            label="Disk",
            summary="A directory: local disk, NFS or SMB mount, LTFS. Written whole or not at all, synced to the disk.",
            options=DiskOptions,
            build=DiskMedia,
        ),
    )
}
