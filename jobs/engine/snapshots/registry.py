"""Every snapshot engine SnapCopy knows: one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..ndmp.profiles import GENERIC, Profile
from .base import Capability, SnapshotEngine
from .btrfs.engine import BtrfsEngine, BtrfsOptions
from .cephfs import MOST_SNAPSHOTS as MOST_CEPH_SNAPSHOTS
from .cephfs import CephfsEngine, CephfsOptions
from .directory import DirectoryEngine, DirectoryOptions
from .ndmp.engine import NdmpEngine
from .ndmp.options import NdmpOptions, profile_of
from .ontap.engine import OntapEngine
from .ontap.ndmp import OntapNdmpEngine
from .ontap.ndmp_options import OntapNdmpOptions
from .ontap.ndmp_options import profile_of as ontap_profile_of
from .ontap.options import OntapOptions
from .ontap.volumes import MOST_SNAPSHOTS
from .powerstore.engine import PowerStoreEngine
from .powerstore.options import PowerStoreOptions
from .script.engine import ScriptEngine, ScriptOptions
from .xfs import XfsEngine, XfsOptions
from .zfs.engine import ZfsEngine, ZfsOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """A kind of snapshot engine, for forms and for whoever builds one.

    ``build`` takes an instance of ``options`` and the installation's id (RULES O2). ``snapshot_limit``: how many
    snapshots the storage allows of one subclient's volume, None = it does not say (RULES R8). ``max_incrementals``:
    how many may follow a full before one is converted, None = no limit (RULES L2). ``profile_of``, of
    engines that speak NDMP, tells the profile from stored options and the facts of the last Test. ``finds``: what a
    Test finds that can be content, as ``file_systems`` among its facts; empty = nothing.
    """

    name: str
    label: str
    summary: str
    capabilities: frozenset[Capability]
    options: type
    build: Callable[[Any, str], SnapshotEngine]
    snapshot_limit: int | None = None
    max_incrementals: int | None = None
    profile_of: Callable[[Mapping[str, object], Mapping[str, object]], Profile] | None = None
    finds: str = ""

    def level_limit(self, options: Mapping[str, object], facts: Mapping[str, object]) -> int | None:
        """RULES L2 for one file server: its options, and what the last Test found."""
        return self.profile_of(options, facts).highest_level if self.profile_of else self.max_incrementals

    def has_tokens(self, options: Mapping[str, object], facts: Mapping[str, object]) -> bool:
        """Whether each of its dumps names the one that it is built on (RULES L5), so that it keeps no dates itself."""
        if self.profile_of is None:
            return Capability.DUMP_TOKENS in self.capabilities
        return bool(self.profile_of(options, facts).token)


def _kind(engine: type[Any], options: type, **levels: Any) -> EngineKind:
    return EngineKind(
        name=engine.name,
        label=engine.label,
        summary=engine.summary,
        capabilities=engine.capabilities,
        options=options,
        build=engine,
        **levels,
    )


ENGINES: Final[dict[str, EngineKind]] = {
    kind.name: kind
    for kind in (
        _kind(DirectoryEngine, DirectoryOptions),
        _kind(BtrfsEngine, BtrfsOptions),
        _kind(XfsEngine, XfsOptions),
        _kind(ZfsEngine, ZfsOptions),
        _kind(CephfsEngine, CephfsOptions, snapshot_limit=MOST_CEPH_SNAPSHOTS),
        _kind(ScriptEngine, ScriptOptions),
        _kind(OntapEngine, OntapOptions, snapshot_limit=MOST_SNAPSHOTS, finds="Volumes"),
        _kind(
            PowerStoreEngine, PowerStoreOptions, snapshot_limit=PowerStoreEngine.most_snapshots, finds="File systems"
        ),
        _kind(
            NdmpEngine, NdmpOptions, max_incrementals=GENERIC.highest_level, profile_of=profile_of, finds="File systems"
        ),
        _kind(
            OntapNdmpEngine,
            OntapNdmpOptions,
            snapshot_limit=MOST_SNAPSHOTS,
            profile_of=ontap_profile_of,
            finds="Volumes",
        ),
    )
}
