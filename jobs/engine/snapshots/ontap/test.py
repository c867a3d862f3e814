"""What **Test** of an ONTAP file server finds: who it is, its volumes, and whether a snapshot works. Not a test module.

Nothing is written into a volume: the probe is a snapshot of the one that has the fewest, opened and deleted again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ...errors import EngineError, SourceMissing
from ...events import FreeRun
from ...media.base import TestReport
from ..probe import Probe, run_steps
from .volumes import MOST_SNAPSHOTS, Namespace, Volume, require_mount

if TYPE_CHECKING:
    from .engine import OntapEngine

MOST_VOLUMES: Final = 2_000
"""So many are kept for the forms."""
_NEAR: Final = 0.8
"""RULES R8."""
_NAMED: Final = 20


def run_test(engine: OntapEngine) -> TestReport:
    """Never raises an engine error for a failed step."""
    return _Test(engine).run()


@dataclass
class _Test:
    engine: OntapEngine
    facts: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _volumes: tuple[Volume, ...] = ()
    _probed: Volume | None = None

    def run(self) -> TestReport:
        mount = self.engine.options.namespace_mount
        probe = Probe(self.engine, self.engine.install, mount)
        try:
            report = run_steps(
                [
                    ("login", self._log_in),
                    ("storage VM", self._svm),
                    ("volumes", self._list_volumes),
                    ("mount", self._look_at_mount),
                    (
                        "snapshot",
                        lambda: probe.take(lambda name: self.engine.create(name, [self._content()], FreeRun())),
                    ),
                    ("open", probe.look),
                    ("list", probe.find),
                    ("delete", probe.delete),
                ],
                self._namespace().directory(self._probed) if self._probed else mount,
            )
        finally:
            probe.clean_up()
        return replace(report, facts=self.facts, warnings=tuple(self.warnings))

    def _log_in(self) -> str:
        options = self.engine.options
        with self.engine.connect() as client:
            name, version = client.cluster()
        self.facts |= {"cluster": name, "version": version}
        return f"as “{options.account}” at {options.address}: {name}, {version}"

    def _svm(self) -> str:
        with self.engine.connect() as client:
            state = client.svm()
        return f"{self.engine.options.svm} is {state or 'there'}"

    def _list_volumes(self) -> str:
        with self.engine.connect() as client:
            self._volumes = client.volumes()
        namespace = self._namespace()
        mounted = [one for one in self._volumes if one.path]
        self.facts["file_systems"] = [_described(namespace, one) for one in mounted[:MOST_VOLUMES]]
        if not mounted:
            raise SourceMissing(
                f"The SVM “{self.engine.options.svm}” has no volume with a junction path.",
                hint="volume mount -vserver … -volume … -junction-path /vol1",
            )
        self._warn(mounted)
        return f"{len(self._volumes)}: {', '.join(one.name for one in self._volumes[:_NAMED])}"

    def _warn(self, mounted: list[Volume]) -> None:
        for told, found in (
            ("Without a junction path, so no node can see them", [one for one in self._volumes if not one.path]),
            (
                "They hide their snapshots: each is read through a FlexClone",
                [one for one in mounted if not one.shows_snapshots],
            ),
            ("Not online", [one for one in mounted if one.state != "online"]),
            (
                f"Near the limit of {MOST_SNAPSHOTS:,} snapshots",
                [one for one in mounted if one.snapshot_count >= _NEAR * MOST_SNAPSHOTS],
            ),
        ):
            if found:
                self.warnings.append(f"{told}: {', '.join(one.name for one in found[:_NAMED])}.")

    def _look_at_mount(self) -> str:
        """The volume that is probed, too."""
        mount = self.engine.options.namespace_mount
        require_mount(mount)
        namespace = self._namespace()
        able = [one for one in self._volumes if one.path and one.is_writable and one.state == "online"]
        seen = [one for one in able if namespace.directory(one).is_dir()]
        if not seen:
            raise SourceMissing(
                f"This node sees no volume of the SVM below “{mount}”.",
                hint=f"Mount its root there: mount -t nfs {self.engine.options.svm}:/ {mount}",
            )
        self._probed = min(seen, key=lambda one: (one.snapshot_count, one.name))
        unseen = len(able) - len(seen)
        return f"{len(seen)} volume{'' if len(seen) == 1 else 's'} seen below “{mount}”" + (
            f", {unseen} not" if unseen else ""
        )

    def _content(self) -> str:
        if self._probed is None:
            raise EngineError("There is no volume to probe.")
        return str(self._namespace().directory(self._probed))

    def _namespace(self) -> Namespace:
        return Namespace(self.engine.options.namespace_mount, self._volumes)


def _described(namespace: Namespace, one: Volume) -> dict[str, object]:
    """JSON-compatible, as the form and the page show it."""
    return {
        "path": str(namespace.directory(one)),
        "kind": one.style if one.is_writable else f"{one.style}, SnapMirror destination",
        "total_bytes": one.total_bytes,
        "used_bytes": one.used_bytes,
        "status": one.state,
        "snapshots": one.snapshot_count,
        "reading": "its snapshot directory" if one.shows_snapshots else "a FlexClone",
    }
