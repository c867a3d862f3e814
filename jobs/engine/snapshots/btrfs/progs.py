"""btrfs-progs as child processes: with a time limit, a look at the caller's control, and their words as our errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...clock import Clock
from ...errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    NoSpace,
    SnapshotMissing,
    SourceUnavailable,
    StorageBusy,
)
from ...events import Control
from ..child_program import ChildPrograms

INSTALL_HINT: Final = "Install btrfs-progs on the access node (apt install btrfs-progs)."
_SLOW_HINT: Final = "The volume may be overloaded; look at “btrfs balance status” and the kernel log."
REFUSED_HINT: Final = (
    "Run the access node as root. An ordinary user may snapshot only subvolumes he owns, and delete snapshots only "
    "where the volume is mounted with user_subvol_rm_allowed."
)


class BtrfsProgs:
    """Runs ``btrfs``; every call raises engine errors only."""

    def __init__(self, timeout_seconds: float, clock: Clock, program: str = "btrfs") -> None:
        self._children = ChildPrograms(timeout_seconds, clock, slow_hint=_SLOW_HINT, install_hint=INSTALL_HINT)
        self._program = program

    def version(self, control: Control) -> str:
        """“btrfs-progs v6.2”."""
        return self._run(["--version"], control).splitlines()[0].strip()

    def make_subvolume(self, path: str, control: Control) -> None:
        self._run(["subvolume", "create", "--", path], control)

    def snapshot(self, volume: str, path: str, control: Control) -> None:
        """A read-only snapshot of ``volume`` at ``path``, which must not exist."""
        self._run(["subvolume", "snapshot", "-r", "--", volume, path], control)

    def writable_snapshot(self, snapshot: str, path: str, control: Control) -> None:
        """The same that can be written to, of a snapshot or a subvolume."""
        self._run(["subvolume", "snapshot", "--", snapshot, path], control)

    def delete(self, path: str, control: Control) -> None:
        """An ordinary user has to make a read-only snapshot of his writable first; root need not."""
        try:
            self._run(["subvolume", "delete", "--", path], control)
        except InvalidOptions as refusal:
            if "Read-only file system" not in refusal.sentence:
                raise
            self._run(["property", "set", "-f", "-t", "subvol", path, "ro", "false"], control)
            self._run(["subvolume", "delete", "--", path], control)

    def _run(self, arguments: Sequence[str], control: Control) -> str:
        """Standard output of one command."""
        what = f"btrfs {' '.join(arguments[:2])}"
        ended = self._children.run([self._program, *arguments], what, control)
        if ended.code != 0:
            raise progs_failure(what, ended.complaint or ended.output)
        return ended.output


def progs_failure(what: str, complaint: str) -> EngineError:
    """btrfs-progs end their complaint with the kernel's words (strerror in the C locale)."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    told = [line.removeprefix("ERROR: ") for line in complaint.splitlines() if line.startswith("ERROR: ")]
    last = (told or lines or ["no reason given"])[-1]
    sentence = f"“{what}” failed: {last}."
    if "No space left" in last or "quota exceeded" in last:
        return NoSpace(sentence)
    if "not permitted" in last or "Permission denied" in last or "Read-only file system" in last:
        return InvalidOptions(sentence, field="volume", hint=REFUSED_HINT)
    if "busy" in last:
        return StorageBusy(sentence)
    if "No such file" in last:
        return SnapshotMissing(sentence)
    if "Not a Btrfs" in last or "not a btrfs" in last or "Inappropriate ioctl" in last:
        return EngineUnsupported(sentence)
    return SourceUnavailable(sentence)
