"""What pressing **Test** does on every engine: a probe snapshot is taken, opened, listed, deleted, and all is timed."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..errors import EngineError, InvalidOptions
from ..ids import SnapshotName, snapshot_name
from ..media.base import TestReport, TestStep, Usage
from .base import SnapshotEngine, SnapshotRef
from .storage_errors import reason

PROBE_JOB: Final = 0
"""No real job has this number, so a probe left by a killed node is known for what it is."""
_PROBE_FILE: Final = "snapcopy-probe"


class Probe:
    """The steps all engines share. Each raises an engine error or tells what it saw."""

    def __init__(self, engine: SnapshotEngine, install: str, folder: Path) -> None:
        """``folder`` is where a probe file may be written and is then part of the snapshot's content."""
        self.name: SnapshotName = snapshot_name(install, PROBE_JOB, secrets.randbelow(1_000_000))
        self._engine = engine
        self._file = folder / f".{_PROBE_FILE}-{secrets.token_hex(4)}"
        self._content = secrets.token_bytes(4096)
        self._ref: SnapshotRef | None = None

    def write(self) -> str:
        try:
            with open(self._file, "xb") as file:
                file.write(self._content)
        except OSError as error:
            raise InvalidOptions(
                f"The node cannot write a probe file to “{self._file.parent}”: {reason(error)}.",
                hint="Run the access node as root, or give its account the right to write there.",
            ) from error
        return f"a probe file in “{self._file.parent}”"

    def take(self, create: Callable[[SnapshotName], SnapshotRef]) -> str:
        self._ref = create(self.name)
        return f"snapshot {self.name}"

    def read(self) -> str:
        with self._engine.open(self._taken()) as roots:
            path = roots[0].directory / self._file.name
            try:
                same = path.read_bytes() == self._content
            except OSError as error:
                raise EngineError(f"The probe file in the snapshot cannot be read: {reason(error)}.") from error
        if not same:
            raise EngineError("The probe file in the snapshot is not what was written.")
        return "the probe file is in it, identical"

    def look(self) -> str:
        """For storages where nothing is written: the snapshot can be opened and listed."""
        with self._engine.open(self._taken()) as roots:
            directory = roots[0].directory
            try:
                count = len(os.listdir(directory))
            except OSError as error:
                raise EngineError(f"The probe snapshot cannot be read at “{directory}”: {reason(error)}.") from error
        return f"readable at “{directory}”, {count} entr{'y' if count == 1 else 'ies'} at its top"

    def find(self) -> str:
        refs = self._engine.list()
        if self.name not in {ref.name for ref in refs}:
            raise EngineError("The probe snapshot is not listed.")
        return f"listed among {len(refs)} snapshots of this installation"

    def delete(self) -> str:
        self._engine.delete(self._taken())
        if self._engine.exists(self._taken()):
            raise EngineError("The probe snapshot is still there after its deletion.")
        return "the probe snapshot is gone"

    def clean_up(self) -> None:
        """Whatever the steps left, as far as it goes."""
        try:
            os.unlink(self._file)
        except OSError:
            pass
        try:
            if self._ref is not None and self._engine.exists(self._ref):
                self._engine.delete(self._ref)
        except EngineError:
            return

    def _taken(self) -> SnapshotRef:
        if self._ref is None:
            raise EngineError("There is no probe snapshot.")
        return self._ref


def run_steps(steps: list[tuple[str, Callable[[], str]]], place: Path) -> TestReport:
    """Run steps until one fails; free space is that of ``place``. Never raises an engine error."""
    done: list[TestStep] = []
    for name, action in steps:
        done.append(timed_step(name, action))
        if not done[-1].ok:
            break
    return TestReport(steps=tuple(done), usage=_usage(place))


def timed_step(name: str, action: Callable[[], str]) -> TestStep:
    """Run one step; an engine error makes it one that failed, in its words."""
    started = time.perf_counter()
    try:
        detail, ok, hint = action(), True, ""
    except EngineError as error:
        detail, ok, hint = error.sentence, False, error.hint
    return TestStep(name=name, ok=ok, seconds=time.perf_counter() - started, detail=detail, hint=hint)


def _usage(place: Path) -> Usage | None:
    """Of the nearest directory that exists."""
    for directory in (place, *place.parents):
        try:
            usage = shutil.disk_usage(directory)
        except OSError:
            continue
        return Usage(total_bytes=usage.total, free_bytes=usage.free)
    return None
