"""What a dump is to do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...ids import FileId
from ...ndmp.dump_source import DumpSource
from ...ndmp.session import Waits
from ...ndmp.values import Pair
from ...plan import CopyResult, CopySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpPlan:
    """Dumps of ``file_systems``, all of one ``level``, in this order.

    ``base_tokens``: per content path the token to build on, NO_BASE for a full; None = the file server counts levels
    by itself. ``parent`` is the snapshot file of the dump it is built on, only noted. ``taken_at_ns`` becomes the
    snapshot file's time. ``repository_id`` is the repository that must be there; None = any. Of ``settings`` the
    compression, the size of packs and the places of the index count. ``tags`` must hold no secret.
    """

    source: DumpSource
    file_systems: tuple[str, ...]
    level: int
    base_tokens: Mapping[str, str] | None
    hostname: str
    username: str
    taken_at_ns: int
    parent: FileId | None = None
    repository_id: str | None = None
    tags: tuple[str, ...] = ()
    settings: CopySettings = field(default_factory=CopySettings)
    waits: Waits = field(default_factory=Waits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dumped:
    """One content path's dump. ``environment`` is the file server's own at its end, ``token`` what the next one is
    built on (None = it counts levels by itself). ``history_records`` 0 = it did not say which files are in it."""

    file_system: str
    environment: tuple[Pair, ...]
    token: str | None
    image_bytes: int
    history_records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpResult:
    """What was committed; ``dumps`` in the order of the plan. Of the counters, files are those that history names."""

    copy: CopyResult
    dumps: tuple[Dumped, ...]
