"""What **Test** of a PowerStore finds, and a probe snapshot taken and deleted again. Not a test module.

Nothing is written into a file system: the one with the fewest snapshots is snapped, and what is in it is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...errors import EngineError, InvalidOptions, StorageBusy
from ...events import FreeRun
from ...media.base import TestReport, Usage
from ..probe import Probe, run_steps
from .options import Reading
from .shelf import Nas

if TYPE_CHECKING:
    from .engine import PowerStoreEngine

MOST_FILE_SYSTEMS: Final = 2_000
"""So many are kept for the forms."""
_NEAR: Final = 0.8
"""RULES R8."""
_STARTED: Final = frozenset({"", "Started"})


def run_test(engine: PowerStoreEngine) -> TestReport:
    """Never raises an engine error for a failed step."""
    return _Test(engine).run()


@dataclass
class _Test:
    """The steps are built on each other; the first that fails is the last."""

    engine: PowerStoreEngine
    facts: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _nas: Nas | None = None
    _counts: Counter[str] = field(default_factory=Counter)
    _probed: str = ""

    def run(self) -> TestReport:
        probe = Probe(self.engine, self.engine.install, self.mount)
        try:
            report = run_steps(
                [
                    ("array", self._identify),
                    ("NAS server", self._look),
                    ("mount", self._see),
                    ("snapshot", lambda: probe.take(lambda name: self.engine.create(name, self._content(), FreeRun()))),
                    ("open", probe.look),
                    ("list", probe.find),
                    ("delete", probe.delete),
                ],
                self.mount,
            )
        finally:
            probe.clean_up()
        return replace(report, usage=self._usage(), facts=self.facts, warnings=tuple(self.warnings))

    @property
    def mount(self) -> Path:
        return self.engine.options.mount

    def _identify(self) -> str:
        found = self.engine.client.identity()
        self.facts |= {"vendor": "Dell", "product": "PowerStore", "version": found.version, "host": found.name}
        return f"{found.name or 'a PowerStore'}, PowerStoreOS {found.version or 'of an unknown version'}"

    def _look(self) -> str:
        servers = self.engine.client.nas_servers()
        self.facts["suggestions"] = {"nas_server": sorted(one.name for one in servers)}
        self._nas = nas = self.engine.shelf.look()
        if nas.server.status not in _STARTED:
            self.warnings.append(f"The NAS server is {nas.server.status.lower()}.")
        taken = self.engine.client.snapshots(nas_server_id=nas.server.id)
        self._counts = Counter(nas.name_of(one.file_system) for one in taken)
        self.facts["file_systems"] = [self._described(name) for name in self._names[:MOST_FILE_SYSTEMS]]
        most = self.engine.most_snapshots
        near = [f"{name} ({self._counts[name]})" for name in self._names if self._counts[name] >= _NEAR * most]
        if near:
            self.warnings.append(f"Near the limit of {most} snapshots: {', '.join(near[:20])}.")
        others = f"one of {len(servers)}, " if len(servers) > 1 else ""
        return f"“{nas.server.name}”, {others}with {_counted(len(self._names), 'file system')}"

    def _described(self, name: str) -> dict[str, object]:
        """As other file servers' Tests tell them, with the path on the access nodes."""
        system = self.nas.file_systems[name]
        return {
            "path": str(self.mount / name),
            "kind": "",
            "total_bytes": system.total_bytes,
            "used_bytes": system.used_bytes,
            "status": "mounted" if self._is_seen(name) else "not mounted",
            "snapshots": self._counts[name],
            "reading": "its .snapshot" if self.engine.options.reading is Reading.DIRECTORY else "an NFS export",
        }

    def _see(self) -> str:
        """The file system that is probed, too."""
        seen = [name for name in self._names if self._is_seen(name)]
        if not seen:
            raise InvalidOptions(
                f"None of its file systems is below “{self.mount}” on this node.",
                field="mount",
                hint=f"Export each file system under its own name, and mount the NAS server: mount -t nfs4 ADDRESS:/ "
                f"{self.mount}",
            )
        self._warn_of_unseen(seen)
        free = [name for name in seen if self._counts[name] < self.engine.most_snapshots]
        if not free:
            raise StorageBusy("Every file system holds as many snapshots as it may.", hint="Keep fewer of them.")
        self._probed = min(free, key=lambda name: (self._counts[name], name))
        return f"{len(seen)} of {_counted(len(self._names), 'file system')} below “{self.mount}”"

    def _warn_of_unseen(self, seen: Sequence[str]) -> None:
        unseen = [name for name in self._names if name not in seen]
        if unseen:
            self.warnings.append(f"Not below “{self.mount}” on this node: {', '.join(unseen[:20])}.")

    def _usage(self) -> Usage | None:
        """Of the file system that was probed, as the array tells it."""
        one = self.nas.file_systems[self._probed] if self._probed else None
        if one is None or one.total_bytes is None or one.used_bytes is None:
            return None
        return Usage(total_bytes=one.total_bytes, free_bytes=one.total_bytes - one.used_bytes)

    def _content(self) -> list[str]:
        return [str(self.mount / self._probed)]

    @property
    def nas(self) -> Nas:
        if self._nas is None:
            raise EngineError("There is no NAS server.")
        return self._nas

    @property
    def _names(self) -> list[str]:
        return sorted(self.nas.file_systems)

    def _is_seen(self, name: str) -> bool:
        return (self.mount / name).is_dir()


def _counted(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"
