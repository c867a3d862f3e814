"""File servers that are reached by NDMP only: their storage is read as the stream of a dump.

A snapshot of such a file server is a *point*: a name and a time in the history. The file server makes its own snapshot
at the moment of the dump, and drops it afterwards; there is nothing here that outlives a session. The dumps themselves
are made by an operation, which is told by :meth:`NdmpEngine.dump_source` whom to ask, and for what.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import ClassVar

from ...clock import Clock, SystemClock
from ...errors import EngineUnsupported
from ...events import Control
from ...ids import SnapshotName, owned_snapshot_name
from ...media.base import TestReport
from ...ndmp.dump_source import DumpSource
from ...ndmp.login import capabilities, connect
from ...ndmp.profiles import PROFILES, Profile, suggested
from ...ndmp.session import Session
from ..base import Capability, SnapshotRef, SnapshotRoot
from ..content import checked_content
from .options import NdmpOptions, ProfileChoice
from .test import file_systems_of, run_test, unknown_paths

POINT_WORDS = (
    "The file server makes its own snapshot while it is copied and keeps none: what is here is a point in the history."
)


class NdmpEngine:
    """See :class:`~jobs.engine.snapshots.base.SnapshotEngine` and :class:`~jobs.engine.snapshots.base.DumpStreamer`."""

    name: ClassVar[str] = "ndmp"
    label: ClassVar[str] = "NDMP"
    summary: ClassVar[str] = (
        "Volumes of a filer, read as dumps over the network. A snapshot job marks a point; the filer makes its own "
        "snapshot when the backup copy runs, so restores come from media only."
    )
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.INSTANT, Capability.DUMP_STREAM})

    def __init__(self, options: NdmpOptions, install: str, clock: Clock | None = None) -> None:
        self.options = options
        self.install = install
        self.clock = clock or SystemClock()

    def validate_content(self, content: Sequence[str]) -> None:
        checked_content(content)

    def create(self, name: SnapshotName, content: Sequence[str], control: Control) -> SnapshotRef:
        """A point of this moment. The login shows that the file server is there; nothing is made on it."""
        owned_snapshot_name(name, self.install)
        paths = checked_content(content)
        with self._session(control) as session:
            unknown = unknown_paths(paths, file_systems_of(session))
        return SnapshotRef(
            name=name,
            engine=self.name,
            taken_at_ns=self.clock.now_ns(),
            content=paths,
            warnings=tuple(
                f"The file server does not name “{path}” among its file systems; the copy will show whether it has it."
                for path in unknown
            ),
        )

    def open(self, ref: SnapshotRef) -> AbstractContextManager[tuple[SnapshotRoot, ...]]:
        raise EngineUnsupported(
            f"“{ref.name}” cannot be opened. {POINT_WORDS}", hint="Restore from one of its backup copies."
        )

    def exists(self, ref: SnapshotRef) -> bool:
        """A point cannot be lost."""
        owned_snapshot_name(ref.name, self.install)
        return True

    def list(self) -> Sequence[SnapshotRef]:
        """Nothing lies on the storage."""
        return ()

    def delete(self, ref: SnapshotRef) -> None:
        """Only the name is checked: there is nothing to delete."""
        owned_snapshot_name(ref.name, self.install)

    def test(self) -> TestReport:
        return run_test(self.options)

    def dump_source(self, control: Control, ref: SnapshotRef | None = None) -> DumpSource:
        """Logs in only where the kind of the file server is not chosen."""
        return DumpSource(
            server=self.options.server(),
            profile=self._profile(control),
            type=self.options.backup_type,
            history=self.options.history,
            added=self.options.pairs(),
            data_path=self.options.data_path(),
        )

    def _profile(self, control: Control) -> Profile:
        if self.options.profile is not ProfileChoice.AUTO:
            return PROFILES[self.options.profile.value]
        with self._session(control) as session:
            return suggested(capabilities(session).info)

    def _session(self, control: Control) -> Session:
        return connect(self.options.server(), control)
