"""The contract of every snapshot engine: what a driver must do, and what it may declare.

A driver is built from its frozen ``Options`` and the installation's id; it holds no state between calls, so any
process may pick up where another died. Names follow RULES O2; a driver refuses to touch any other name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from ..events import Control, FileFailed
from ..ids import SnapshotName
from ..media.base import TestReport
from ..ndmp.dump_source import DumpSource
from .channel import Channel


class Capability(StrEnum):
    """What an engine can do, so that rules and forms ask for capabilities and never for names."""

    INSTANT = "instant"
    """Takes the same short time whatever the size."""
    ATOMIC = "atomic"
    """All files are of one moment."""
    DIFF = "diff"
    """Can tell what changed between two of its snapshots without a walk."""
    REVERT = "revert"
    """Puts the live data back to one of its snapshots: a :class:`Reverter`."""
    REVERT_DELETES_NEWER = "revert_deletes_newer"
    """A revert costs every snapshot that is newer, as on most arrays (RULES S6)."""
    READ_ONLY = "read_only"
    """Nobody can write to its snapshots, not even root."""
    KEEPS_BASE_SNAPSHOT = "keeps_base_snapshot"
    """RULES P2: keeps one snapshot as diff base."""
    REPLICATE = "replicate"
    """Takes over snapshots of another storage: a :class:`Replicator`."""
    STREAM = "stream"
    """Sends its snapshots to the same engine on another node: a :class:`Streamer`."""
    SENDS_DIFFERENCE = "sends_difference"
    """Replicates only what changed since a snapshot that both storages have, so that one is kept for it (RULES R6)."""
    DUMP_TOKENS = "dump_tokens"
    """RULES L5: is read by dumps of levels, each with a token that the next one is built on: a :class:`Dumper`."""
    DUMP_STREAM = "dump_stream"
    """Its storage is reached only by the stream of a dump, made at the moment of the copy: a :class:`DumpStreamer`.

    A snapshot cannot be opened, mounted or reverted to; it is a point in the history, and nothing lies on the storage.
    """
    DUMP_OF_SNAPSHOT = "dump_of_snapshot"
    """With ``DUMP_STREAM``: it does lie on the storage, and a dump is of it, whenever that is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRef:
    """A snapshot on the storage. ``handle`` is the driver's own, JSON-compatible, stored with the row.

    ``content`` are the absolute content paths it covers; ``exclusive_bytes`` None = unknown. ``unread`` are files that
    are not in it as they should be, because they could not be read; only ``create`` tells them.
    """

    name: SnapshotName
    engine: str
    taken_at_ns: int
    content: tuple[str, ...]
    handle: dict[str, str] = field(default_factory=dict)
    exclusive_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    unread: tuple[FileFailed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRoot:
    """One content path inside an opened snapshot: where its files are readable, and the path they live at.

    ``origins`` is the table of :mod:`jobs.engine.snapshots.origins` of an engine that copies, None where inodes, change
    times and owners in the snapshot are those of the source.
    """

    content_path: str
    directory: Path
    origins: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """A snapshot that was taken over. ``base`` is the older one that only the difference was sent from; None = all."""

    ref: SnapshotRef
    sent_bytes: int
    base: SnapshotName | None = None


class Change(StrEnum):
    """What a revert makes of one live path."""

    CREATED = "created"
    """It is gone from the live data and comes back."""
    REPLACED = "replaced"
    REMOVED = "removed"
    """It came after the snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertPlan:
    """What a revert would do. ``lost`` are the newer snapshots of this installation that the storage deletes with it.

    The counts are of files and directories, and ``examples`` the first of them; ``is_counted`` False = there was no
    time to look at everything, so they are at least that. ``is_exchanged``: the live data is exchanged at one moment
    instead of file by file.
    """

    lost: tuple[SnapshotName, ...] = ()
    created: int = 0
    replaced: int = 0
    removed: int = 0
    is_counted: bool = True
    examples: tuple[tuple[Change, bytes], ...] = ()
    is_exchanged: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverted:
    """What a revert did. ``failed`` are paths that could not be made as they were; everything else is."""

    lost: tuple[SnapshotName, ...] = ()
    created: int = 0
    replaced: int = 0
    removed: int = 0
    is_exchanged: bool = False
    failed: tuple[FileFailed, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpOrder:
    """What a dump is to hold (RULES L1, L5): the changes since the dump that ``base_dates`` names, per content path.

    The tokens are those of an earlier :class:`OpenDump` as they came, ``"0"`` for level 0: everything.
    """

    level: int
    base_dates: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDump:
    """A dump that can be read. ``dump_dates`` may be asked once ``roots`` were read to their ends: its own tokens."""

    roots: tuple[SnapshotRoot, ...]
    dump_dates: Callable[[], Mapping[str, str]]


class SnapshotEngine(Protocol):
    """One storage. All methods raise errors of :mod:`jobs.engine.errors` only."""

    name: ClassVar[str]
    label: ClassVar[str]
    summary: ClassVar[str]
    """One honest sentence for the form: instant or not, atomic or not, what it needs."""
    capabilities: ClassVar[frozenset[Capability]]

    def validate_content(self, content: Sequence[str]) -> None:
        """Raise InvalidOptions (field ``content_paths``) if a path cannot be snapped by this engine."""

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        """Take a snapshot of the content paths. Leaves nothing behind when it fails or is stopped.

        Raises SourceMissing, SourceUnavailable, NoSpace, StorageBusy, EngineUnsupported;
        StorageBusy also for a name that exists.
        """

    def open(self, ref: SnapshotRef) -> AbstractContextManager[tuple[SnapshotRoot, ...]]:
        """Make the snapshot readable for the length of the context. Raises SnapshotMissing."""

    def exists(self, ref: SnapshotRef) -> bool: ...

    def list(self) -> Sequence[SnapshotRef]:
        """All snapshots of this installation on this storage; those of others are never shown."""

    def delete(self, ref: SnapshotRef) -> None:
        """Remove a snapshot; a missing one is no error. Raises SnapshotNotOurs, StorageBusy."""

    def test(self) -> TestReport:
        """Take, open, list and delete a probe snapshot of a probe file; never raises for a failed step."""


@runtime_checkable
class Replicator(Protocol):
    """What an engine with ``Capability.REPLICATE`` does besides (RULES O1: secondary snap copies)."""

    def replicate(
        self, ref: SnapshotRef, source: SnapshotEngine, base: SnapshotRef | None, control: Control
    ) -> Replicated:
        """Take over the snapshot ``ref`` of ``source``, under the same name, whole or not at all.

        ``base`` is an older snapshot that both may hold: an engine that can sends only the difference, and everything
        where one of the two has lost it. One that is there already is returned, so that a killed job may go on.
        Raises SnapshotMissing, SourceUnavailable, InvalidOptions, NoSpace, StorageBusy, EngineUnsupported, Stopped.
        """


@runtime_checkable
class Streamer(Protocol):
    """What an engine with ``Capability.STREAM`` does besides: a replication whose two ends are on two nodes.

    Both raise what :meth:`Replicator.replicate` raises, also what failed at the other end, and SourceUnavailable when
    that one is gone or silent. A cut stream leaves nothing under the snapshot's name.
    """

    def send(self, ref: SnapshotRef, base: SnapshotRef | None, channel: Channel, control: Control) -> Replicated:
        """Send the snapshot ``ref`` into the channel, at whose other end :meth:`receive` runs."""

    def receive(self, channel: Channel, control: Control) -> Replicated:
        """Take over the snapshot that comes, under the name it has there, whole or not at all."""


@runtime_checkable
class Reverter(Protocol):
    """What an engine with ``Capability.REVERT`` does besides (RULES S6, V4)."""

    def plan_revert(self, ref: SnapshotRef, control: Control, *, seconds: float) -> RevertPlan:
        """What :meth:`revert` would do now; changes nothing. Looks at the live data for at most ``seconds``.

        Raises what the revert would raise before it touched anything.
        """

    def revert(self, ref: SnapshotRef, control: Control) -> Reverted:
        """Make the live content paths what they are in the snapshot.

        One that was cut off, by whatever, is finished by calling it again; what had to give way is kept until its
        replacement is complete. Raises SnapshotMissing, SourceMissing, SourceUnavailable, TargetRefused, NoSpace,
        StorageBusy (somebody writes to the live data), InvalidOptions, EngineUnsupported, Stopped.
        """

    def was_exchanged_since(self, ref: SnapshotRef) -> bool | None:
        """Whether the live data was exchanged for another since that snapshot; None = this storage cannot tell."""


@runtime_checkable
class Dumper(Protocol):
    """What an engine with ``Capability.DUMP_TOKENS`` does where a backup copy reads it, instead of ``open`` (L5)."""

    def open_dump(self, ref: SnapshotRef, order: DumpOrder) -> AbstractContextManager[OpenDump]:
        """Read the snapshot as a dump for the length of the context; leaves no mark of it on the storage.

        Raises SnapshotMissing, SourceUnavailable, and InvalidOptions for a token that the storage does not accept.
        """


@runtime_checkable
class DumpStreamer(Protocol):
    """What an engine with ``Capability.DUMP_STREAM`` does instead of ``open``: an operation speaks to it itself."""

    def dump_source(self, control: Control, ref: SnapshotRef | None = None) -> DumpSource:
        """How to reach it, and what to ask of it. May log in to learn what kind it is.

        ``ref`` is the snapshot that is to be dumped; None = a recovery.
        Raises SnapshotMissing, SourceUnavailable, StorageBusy, LoginRefused, EngineUnsupported, AnswerUnreadable.
        """
