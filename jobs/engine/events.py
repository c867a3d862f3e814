"""What operations tell whoever runs them, and how they are told to stop.

Events are frozen values. A sink must be quick and must not raise: it runs on the engine's thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class PhaseName(StrEnum):
    """The phases of all operations, in the field's words (RULES S1)."""

    PREPARE = "prepare"
    QUIESCE = "quiesce"
    SNAPSHOT = "snapshot"
    CATALOG = "catalog"
    SCAN = "scan"
    COPY = "copy"
    COMMIT = "commit"
    RESTORE = "restore"
    METADATA = "metadata"
    CHECK = "check"
    REVERT = "revert"
    MOUNT = "mount"
    UNMOUNT = "unmount"
    PRUNE = "prune"
    FINISH = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """The one source of every figure on the job card. All are totals since the attempt began.

    ``*_total`` is None while unknown. Bytes: *logical* = what the files hold; *read* = read from the source (or
    the media, for a restore); *new* = not in the repository before, uncompressed; *stored* = as written to media.
    """

    files_total: int | None = None
    files_done: int = 0
    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    directories_done: int = 0
    bytes_total: int | None = None
    bytes_done: int = 0
    bytes_read: int = 0
    bytes_new: int = 0
    bytes_stored: int = 0
    exceptions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStarted:
    phase: PhaseName


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Sent at most a few times a second. ``in_flight`` holds display paths of large files being read."""

    counters: Counters
    in_flight: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailed:
    """One file that could not be handled; the operation goes on (*completed with errors*, RULES J6)."""

    path: bytes
    error: str
    code: str = "file-unreadable"


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A sentence for the job's event list. ``code`` is stable, for filters and tests."""

    level: Level
    code: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What is safe on media now; a later attempt may start from it. Values are JSON-compatible."""

    data: dict[str, object] = field(default_factory=dict)


Event = PhaseStarted | Progress | FileFailed | Notice | Checkpoint


class Sink(Protocol):
    """Takes events. Must be quick, thread-safe, and must not raise."""

    def emit(self, event: Event) -> None: ...


class Control(Protocol):
    """How an operation is told to stop: it calls ``check`` at least every 0.5 s of work.

    ``check`` returns, or raises :class:`~jobs.engine.errors.Stopped`. Must be quick.
    """

    def check(self) -> None: ...


class NullSink:
    """Drops everything."""

    def emit(self, event: Event) -> None:
        return None


class FreeRun:
    """A control that never stops."""

    def check(self) -> None:
        return None
