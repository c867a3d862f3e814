"""The contract of every snapshot engine: what a driver must do, and what it may declare.

A driver is built from its frozen ``Options`` and the installation's id; it holds no state between calls, so any
process may pick up where another died. Names follow RULES O2; a driver refuses to touch any other name.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from ..events import Control, FileFailed
from ..ids import SnapshotName
from ..media.base import TestReport


class Capability(StrEnum):
    """What an engine can do, so that rules and forms ask for capabilities and never for names."""

    INSTANT = "instant"
    """Takes the same short time whatever the size."""
    ATOMIC = "atomic"
    """All files are of one moment."""
    DIFF = "diff"
    """Can tell what changed between two of its snapshots without a walk."""
    REVERT = "revert"
    KEEPS_BASE_SNAPSHOT = "keeps_base_snapshot"
    """RULES P2: keeps one snapshot as diff base."""
    REPLICATE = "replicate"
    """Takes over snapshots of another storage: a :class:`Replicator`."""


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
