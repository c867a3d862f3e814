"""A declared test engine that reverts as arrays do: each newer snapshot of the volume goes with it (RULES S6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from jobs.engine.events import Control
from jobs.engine.ids import SnapshotName
from jobs.engine.snapshots import registry
from jobs.engine.snapshots.base import Capability, Reverted, RevertPlan, SnapshotRef
from jobs.engine.snapshots.directory import DirectoryEngine, DirectoryOptions
from policies.models import Subclient


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayOptions(DirectoryOptions):
    """The same settings."""


class ArrayEngine(DirectoryEngine):
    """The directory engine, whose area is the volume: a revert takes all newer snapshots in it along."""

    name = "array"
    label = "Test array"
    capabilities = DirectoryEngine.capabilities | {Capability.REVERT_DELETES_NEWER}

    def plan_revert(self, ref: SnapshotRef, control: Control, *, seconds: float) -> RevertPlan:
        return replace(super().plan_revert(ref, control, seconds=seconds), lost=self._newer(ref))

    def revert(self, ref: SnapshotRef, control: Control) -> Reverted:
        lost = self._newer(ref)
        done = super().revert(ref, control)
        for newer in self.list():
            if newer.name in lost:
                self.delete(newer)
        return replace(done, lost=lost)

    def _newer(self, ref: SnapshotRef) -> tuple[SnapshotName, ...]:
        return tuple(one.name for one in self.list() if one.taken_at_ns > ref.taken_at_ns)


KIND: Final = registry.EngineKind(
    name=ArrayEngine.name,
    label=ArrayEngine.label,
    summary=ArrayEngine.summary,
    capabilities=ArrayEngine.capabilities,
    options=ArrayOptions,
    build=ArrayEngine,
)


@contextmanager
def registered() -> Iterator[None]:
    """The product knows the engine within the block."""
    registry.ENGINES[KIND.name] = KIND
    try:
        yield
    finally:
        del registry.ENGINES[KIND.name]


def use_it(subclient: Subclient) -> None:
    """Its file server is one of this engine."""
    subclient.file_server.engine = KIND.name
    subclient.file_server.save()
