"""Every snapshot engine SnapCopy knows: one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .base import Capability, SnapshotEngine
from .btrfs import BtrfsEngine, BtrfsOptions
from .directory import DirectoryEngine, DirectoryOptions
from .xfs import XfsEngine, XfsOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """A kind of snapshot engine, for forms and for whoever builds one.

    ``build`` takes an instance of ``options`` and the installation's id (RULES O2). ``snapshot_limit``: how many
    snapshots the storage allows of one subclient's volume, None = it does not say (RULES R8). ``max_incrementals``:
    how many may follow a full before one is converted, None = no limit (RULES L2).
    """

    name: str
    label: str
    summary: str
    capabilities: frozenset[Capability]
    options: type
    build: Callable[[Any, str], SnapshotEngine]
    snapshot_limit: int | None = None
    max_incrementals: int | None = None


def _kind(engine: type[Any], options: type) -> EngineKind:
    return EngineKind(
        name=engine.name,
        label=engine.label,
        summary=engine.summary,
        capabilities=engine.capabilities,
        options=options,
        build=engine,
    )


ENGINES: Final[dict[str, EngineKind]] = {
    kind.name: kind
    for kind in (
        _kind(DirectoryEngine, DirectoryOptions),
        _kind(BtrfsEngine, BtrfsOptions),
        _kind(XfsEngine, XfsOptions),
    )
}
