"""The live side of btrfs: whether a path is a subvolume, where content lies in it, and what a snapshot cannot hold."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from ...errors import EngineUnsupported, InvalidOptions
from ..content import is_inside, require_directory
from ..mounts import mounts
from ..storage_errors import source_error
from .ioctl import SubvolumeInfo, file_system_id, is_subvolume_root, nested_subvolumes, subvolume_info
from .progs import REFUSED_HINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A subvolume as it was found. ``real`` is its path without links."""

    real: str
    device: int
    file_system: UUID
    info: SubvolumeInfo

    @classmethod
    def look(cls, path: Path) -> Volume:
        """Raises SourceMissing, SourceUnavailable, EngineUnsupported, InvalidOptions (``volume``)."""
        status = require_directory(str(path))
        with _open(str(path)) as fd:
            try:
                info, file_system = subvolume_info(fd), file_system_id(fd)
            except OSError as error:
                raise EngineUnsupported(
                    f"“{path}” is not on btrfs.",
                    hint="Mount the volume if it is not mounted; for another file system use another snapshot engine.",
                ) from error
            if not is_subvolume_root(fd):
                raise InvalidOptions(
                    f"“{path}” is a plain directory, not the top of a btrfs subvolume.",
                    field="volume",
                    hint="“btrfs subvolume list” shows the subvolumes; content paths may be any directories in one.",
                )
        return cls(real=os.path.realpath(path), device=status.st_dev, file_system=file_system, info=info)

    def require_rights(self) -> None:
        """Raises InvalidOptions (``volume``) for a user who could take snapshots but never delete one."""
        if os.geteuid() == 0:
            return
        holding = [mount for mount in mounts() if is_inside(self.real, mount.point)]
        if holding and "user_subvol_rm_allowed" not in max(holding, key=lambda mount: len(mount.point)).options:
            raise InvalidOptions(
                f"This account may not delete snapshots of “{self.real}”.", field="volume", hint=REFUSED_HINT
            )

    def relative(self, content: Sequence[str]) -> tuple[str, ...]:
        """Each content path relative to the subvolume, “.” for its top. Raises InvalidOptions (``content_paths``)."""
        return tuple(self._relative(path) for path in content)

    def require_area(self, area: Path) -> None:
        """Raises InvalidOptions (``area``) if the existing directory is not on the same btrfs."""
        with _open(str(area)) as fd:
            try:
                same = file_system_id(fd) == self.file_system
            except OSError:
                same = False
        if not same:
            raise InvalidOptions(
                f"The snapshot area “{area}” is not on the same btrfs as “{self.real}”.",
                field="area",
                hint="Leave it empty for the default.",
            )

    def left_out(self, relative: Sequence[str], area: Path) -> Iterator[str]:
        """What lies below the content and is no part of its snapshot, as sentences."""
        hidden = os.path.relpath(os.path.realpath(area), self.real)
        with _open(self.real) as fd, contextlib.suppress(OSError):
            for nested in nested_subvolumes(fd):
                if nested != hidden and any(_below(nested, path) for path in relative):
                    yield f"“{nested}” is a subvolume of its own and is not in the snapshot; make a file server for it."
        for mount in mounts():
            inside = os.path.relpath(mount.point, self.real)
            if mount.device != self.device and any(_below(inside, path) for path in relative):
                yield f"“{mount.point}” is another file system and is not in the snapshot."

    def _relative(self, path: str) -> str:
        real = os.path.realpath(path)
        if not is_inside(real, self.real):
            raise InvalidOptions(
                f"“{path}” is not inside the volume “{self.real}”.",
                field="content_paths",
                hint="Make a file server for each subvolume.",
            )
        if require_directory(real).st_dev != self.device:
            raise InvalidOptions(
                f"“{path}” belongs to another subvolume or file system inside “{self.real}”.",
                field="content_paths",
                hint="Make a file server whose volume is that subvolume.",
            )
        return os.path.relpath(real, self.real)


def _below(path: str, folder: str) -> bool:
    """Whether a relative ``path`` lies strictly below ``folder``; nothing above or beside the volume does."""
    return not path.startswith("..") and path not in (".", folder) and (folder == "." or is_inside(path, folder))


@contextlib.contextmanager
def _open(path: str) -> Iterator[int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise source_error(error, path) from error
    try:
        yield fd
    finally:
        os.close(fd)
