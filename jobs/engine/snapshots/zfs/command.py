"""The command ``zfs`` as child processes, and its words as our errors. Argument arrays only, in the C locale.

Written for what OpenZFS (zfs(8), zfsprops(7)) and zfs-fuse 0.7 have in common; what only one of them knows is not used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ...clock import Clock
from ...errors import (
    EngineError,
    EngineUnsupported,
    InvalidOptions,
    NoSpace,
    SnapshotMissing,
    SourceMissing,
    SourceUnavailable,
    StorageBusy,
)
from ...events import Control
from ..child_program import ChildPrograms

INSTALL_HINT: Final = "Install ZFS on the access node (apt install zfsutils-linux; with zfs-fuse, start its daemon)."
_SLOW_HINT: Final = "The pool may be overloaded or suspended; look at “zpool status” and the kernel log."
_RIGHTS_HINT: Final = "Run the access node as root; what “zfs allow” gives an ordinary user does not include mounting."
_DATASET: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.: -]*(/[A-Za-z0-9_.:-][A-Za-z0-9_.: -]*)*\Z")
_MOST_NAME: Final = 200
_BUSY: Final = ("busy", "dependent clones", "in use", "more recent snapshots exist")


def checked_dataset(name: str) -> str:
    """A file system's name as zfs(8) allows it. Raises InvalidOptions (``dataset``)."""
    if not _DATASET.match(name) or len(name) > _MOST_NAME or name != name.strip():
        raise InvalidOptions(
            f"“{name}” is not the name of a ZFS dataset.",
            field="dataset",
            hint="Write it as “zfs list” shows it, like tank/data: without a slash in front, and not its mount point.",
        )
    return name


class Zfs:
    """Every call raises engine errors only, and what the control raises."""

    def __init__(self, timeout_seconds: float, clock: Clock, program: str = "zfs") -> None:
        self.program = program
        self._children = ChildPrograms(timeout_seconds, clock, slow_hint=_SLOW_HINT, install_hint=INSTALL_HINT)

    def exists(self, name: str, control: Control) -> bool:
        """Of a dataset or a snapshot."""
        try:
            self._run(["list", "-H", "-o", "name", name], control)
        except SourceMissing:
            return False
        return True

    def file_systems(self, top: str, control: Control) -> list[str]:
        """``top`` and all below it, a parent before its children. Raises SourceMissing."""
        return self._run(["list", "-H", "-r", "-t", "filesystem", "-o", "name", top], control).splitlines()

    def snapshots(self, top: str, columns: Sequence[str], control: Control) -> list[list[str]]:
        """Of ``top`` and all below it: the whole name and the values of ``columns``, “-” where one has none.

        Those of one dataset come oldest first. Raises SourceMissing.
        """
        answer = self._run(["list", "-H", "-r", "-t", "snapshot", "-o", ",".join(("name", *columns)), top], control)
        return [line.split("\t") for line in answer.splitlines() if "@" in line]

    def value(self, name: str, key: str, control: Control) -> str:
        """One property, exact; “-” = it has none. Raises SourceMissing."""
        return self._run(["get", "-H", "-p", "-o", "value", key, name], control).strip()

    def snapshot(self, whole_name: str, properties: Mapping[str, str], control: Control, *, is_recursive: bool) -> None:
        """Of one dataset, or with all below it at the same moment. Raises StorageBusy for a name that is taken."""
        settings = [part for key, value in properties.items() for part in ("-o", f"{key}={value}")]
        self._run(["snapshot", *(["-r"] if is_recursive else []), *settings, whole_name], control)

    def hold(self, tag: str, whole_name: str, control: Control) -> None:
        """So that nobody else destroys it; one that is held by the tag already is no error."""
        self._run(["hold", tag, whole_name], control, is_done="tag already exists")

    def release(self, tag: str, whole_name: str, control: Control) -> None:
        """A hold that is not there is no error, nor is a snapshot that is not."""
        try:
            self._run(["release", tag, whole_name], control, is_done="no such tag")
        except SourceMissing:
            return

    def destroy(self, name: str, control: Control) -> None:
        """One dataset without children, or one snapshot; one that is not there is no error. Raises StorageBusy."""
        try:
            self._run(["destroy", name], control)
        except SourceMissing:
            return

    def create(self, dataset: str, properties: Mapping[str, str], control: Control) -> None:
        """One that is there already is no error."""
        settings = [part for key, value in properties.items() for part in ("-o", f"{key}={value}")]
        self._run(["create", *settings, dataset], control, is_done="dataset already exists")

    def clone(self, whole_name: str, dataset: str, control: Control) -> None:
        self._run(["clone", whole_name, dataset], control)

    def set(self, name: str, key: str, value: str, control: Control) -> None:
        self._run(["set", f"{key}={value}", name], control)

    def rollback(self, whole_name: str, control: Control) -> None:
        """To the newest snapshot of its dataset; destroys none. Raises StorageBusy if there is a newer one."""
        self._run(["rollback", whole_name], control)

    def _run(self, arguments: Sequence[str], control: Control, *, is_done: str = "") -> str:
        """``is_done`` are words of a complaint that says that there is nothing to do."""
        what = f"zfs {arguments[0]}"
        ended = self._children.run([self.program, *arguments], what, control)
        if ended.code == 0 or (is_done and is_done in ended.complaint):
            return ended.output
        raise zfs_failure(what, ended.complaint or ended.output)


def zfs_failure(what: str, complaint: str) -> EngineError:
    """Both implementations say “cannot do this 'to that': and why”, in the C locale."""
    lines = [" ".join(line.split()) for line in complaint.splitlines() if line.strip()]
    told = lines[0] if lines else "no reason given"
    sentence = f"“{what}” failed: {told.rstrip('.')}."
    words = " ".join(lines)
    if "initialize ZFS library" in words or "daemon is running" in words or "modules are not loaded" in words:
        return SourceUnavailable(
            "ZFS does not run on this node.", hint="Load its module (modprobe zfs), or start the zfs-fuse daemon."
        )
    if "out of space" in words or "No space left" in words or "quota exceeded" in words:
        return NoSpace(sentence)
    if "permission denied" in words or "Permission denied" in words or "must be superuser" in words:
        return InvalidOptions(sentence, field="dataset", hint=_RIGHTS_HINT)
    if "dataset already exists" in words:
        return StorageBusy(sentence, hint="Resubmit the job; it takes a new name.")
    if any(word in words for word in _BUSY):
        return StorageBusy(sentence)
    if "does not exist" in words or "no such pool" in words or "could not find any snapshots" in words:
        return SourceMissing(sentence, hint="Look at “zfs list”: is the pool imported, and the name right?")
    if "unrecognized command" in words or "invalid option" in words:
        return EngineUnsupported(sentence)
    return SourceUnavailable(sentence)


def as_missing(error: SourceMissing) -> SnapshotMissing:
    """For a call that is about a snapshot."""
    return SnapshotMissing(error.sentence)
