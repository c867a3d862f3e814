"""Restores for tests: from a stock restic repository or ours, with every event kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from jobs.engine.clock import SystemClock
from jobs.engine.errors import Killed
from jobs.engine.events import Control, Event, FileFailed, FreeRun, Notice, PhaseStarted, Progress
from jobs.engine.ids import FileId
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.operations import restore
from jobs.engine.operations.browse import Browser
from jobs.engine.plan import RestorePlan, RestoreResult
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import find_snapshot_file
from tests.engine.repositories import PASSWORD


@dataclass(slots=True)
class Record:
    """A sink that keeps everything."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    @property
    def failures(self) -> dict[bytes, FileFailed]:
        return {event.path: event for event in self.events if isinstance(event, FileFailed)}

    @property
    def notices(self) -> list[Notice]:
        return [event for event in self.events if isinstance(event, Notice)]

    @property
    def phases(self) -> list[str]:
        return [event.phase.value for event in self.events if isinstance(event, PhaseStarted)]

    @property
    def progress(self) -> list[Progress]:
        return [event for event in self.events if isinstance(event, Progress)]


class StopAfter:
    """A control that stops after so many looks."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed("stopped by the test")


def medium(repository: Path) -> DiskMedia:
    return DiskMedia(DiskOptions(path=repository, fsync=False))


def latest(repository: Path) -> FileId:
    found = find_snapshot_file(Repository.open(medium(repository), PASSWORD), "latest").id
    assert found is not None
    return found


def open_browser(repository: Path, snapshot: FileId | None = None) -> Browser:
    opened = Repository.open(medium(repository), PASSWORD)
    return Browser.open(opened, snapshot or latest(repository))


def run_restore(
    repository: Path,
    target: Path,
    *,
    record: Record | None = None,
    control: Control | None = None,
    **plan: object,
) -> RestoreResult:
    """Restore the latest snapshot file, or the one that ``plan`` names, with two workers unless it says otherwise."""
    values: dict[str, object] = {"snapshot_file_id": None, "readers": 2} | plan
    values["snapshot_file_id"] = values["snapshot_file_id"] or latest(repository)
    return restore.run(
        RestorePlan(target=target, **values),  # type: ignore[arg-type]
        medium(repository),
        PASSWORD,
        record or Record(),
        control or FreeRun(),
        SystemClock(),
    )


def leftovers(target: Path) -> list[Path]:
    """Temporary names that a restore must not leave."""
    return [path for path in target.rglob("*") if path.name.startswith(".snapcopy")]
