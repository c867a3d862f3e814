"""A declared test engine: the directory engine, said to keep a base snapshot and to have a limit, as arrays do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from jobs.engine.snapshots import registry
from jobs.engine.snapshots.base import Capability
from jobs.engine.snapshots.directory import DirectoryEngine, DirectoryOptions
from policies.models import Subclient

LIMIT: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingOptions(DirectoryOptions):
    """The same settings."""


class KeepingEngine(DirectoryEngine):
    """RULES P2: one snapshot stays as base of the next copy."""

    name = "keeping"
    label = "Keeps its base"
    capabilities = DirectoryEngine.capabilities | {Capability.KEEPS_BASE_SNAPSHOT}


KIND: Final = registry.EngineKind(
    name=KeepingEngine.name,
    label=KeepingEngine.label,
    summary=KeepingEngine.summary,
    capabilities=KeepingEngine.capabilities,
    options=KeepingOptions,
    build=KeepingEngine,
    max_incrementals=LIMIT,
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
