"""The snapshots of this installation on one NAS server: one of ours is one of the array's on each of its file systems.

On the first file system it has its own name; Dell's tools find a snapshot by its name *on the NAS server*, so that on
the further ones its number is raised by 100,000 each, within the names of RULES O2, and the description begins with
the name of the whole. Who removes that description makes two snapshots of one, and loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from ...errors import EngineError, InvalidOptions, SnapshotMissing, SnapshotNotOurs, SourceMissing
from ...ids import SnapshotName, job_of_snapshot, owned_snapshot_name, snapshot_name
from ..arrays.description import Description, Part, all_parts, read_description, write_description
from ..base import SnapshotRef
from .client import PowerStoreClient
from .values import FileSystem, NasServer, Taken

MOST_CHARACTERS: Final = 255
"""Of a description: Dell PowerStore REST API Reference Guide, file_system."""
MOST_FILE_SYSTEMS: Final = 10
_UNDESCRIBED: Final = (
    "Its description was too long or was changed, or a part of it is gone: it is shown with whole file systems."
)
_APART: Final = 100_000
_NUMBERS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Nas:
    """A NAS server and its primary file systems, by name."""

    server: NasServer
    file_systems: Mapping[str, FileSystem]

    def file_system(self, name: str) -> FileSystem:
        """Raises SourceMissing."""
        if name not in self.file_systems:
            there = ", ".join(f"“{one}”" for one in sorted(self.file_systems)[:20]) or "none"
            raise SourceMissing(
                f"The NAS server “{self.server.name}” has no file system “{name}”. There is {there}.",
                hint="Mount each file system under its own name, and give it so in the content paths.",
            )
        return self.file_systems[name]

    def name_of(self, id: str) -> str:  # noqa: A002
        """Of the file system with that id; empty = it is not there."""
        return next((name for name, one in self.file_systems.items() if one.id == id), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What of a snapshot of ours lies on one file system."""

    file_system: str
    taken: Taken


class Shelf:
    """Holds nothing between calls. Every method raises the errors of the client."""

    def __init__(self, client: PowerStoreClient, *, nas_server: str, mount: Path, install: str, engine: str) -> None:
        self._client = client
        self._nas_server = nas_server
        self._mount = mount
        self._install = install
        self._engine = engine

    def look(self) -> Nas:
        """Raises InvalidOptions (``nas_server``)."""
        servers = self._client.nas_servers()
        server = next((one for one in servers if one.name == self._nas_server), None)
        if server is None:
            there = ", ".join(f"“{one.name}”" for one in servers[:20]) or "none"
            raise InvalidOptions(
                f"{self._client} has no NAS server “{self._nas_server}”. There is {there}.", field="nas_server"
            )
        return Nas(server=server, file_systems={one.name: one for one in self._client.file_systems(server.id)})

    def physical(self, name: SnapshotName, place: int) -> SnapshotName:
        """The name on the array, on the file system that comes as number ``place``. Raises InvalidOptions."""
        if place >= MOST_FILE_SYSTEMS:
            raise InvalidOptions(
                f"A snapshot covers at most {MOST_FILE_SYSTEMS} file systems.",
                field="content_paths",
                hint="Make further subclients.",
            )
        number = (int(name.rsplit("-", 1)[1]) + place * _APART) % _NUMBERS
        return snapshot_name(self._install, job_of_snapshot(name), number) if place else name

    def describe(self, name: SnapshotName, told: Description) -> str:
        """For one file system's snapshot. Paths are written without where the NAS server is mounted, to save room."""
        short = replace(told, parts=tuple(replace(part, path=self._shortened(part.path)) for part in told.parts))
        return f"{name}: {write_description(name, short, most_characters=MOST_CHARACTERS - len(name) - 2)}"

    def _described(self, text: str) -> Description | None:
        told = read_description(text)
        if told is None:
            return None
        return replace(told, parts=tuple(replace(part, path=self._whole_path(part.path)) for part in told.parts))

    def _shortened(self, path: str) -> str:
        """Below the mount as it is there; what is a link elsewhere gets a second slash."""
        top = str(self._mount)
        return path.removeprefix(top) if path.startswith(f"{top}/") else f"/{path}"

    def _whole_path(self, path: str) -> str:
        return path.removeprefix("/") if path.startswith("//") else f"{self._mount}{path}"

    def held(self, nas: Nas, names: Iterable[str]) -> list[Held]:
        """What there is of these names, in their order."""
        return [
            Held(file_system=nas.name_of(taken.file_system), taken=taken)
            for name in names
            for taken in self._client.snapshots(nas_server_id=nas.server.id, name=name)
        ]

    def of(self, nas: Nas, ref: SnapshotRef) -> list[Held]:
        """What there is of a snapshot. Raises SnapshotMissing unless all of it is there."""
        names = names_of(ref)
        found = self.held(nas, names)
        if missing := set(names) - {one.taken.name for one in found}:
            raise SnapshotMissing(f"Snapshot “{min(missing)}” is not on {self._client} any more.")
        return found

    def refs(self, nas: Nas) -> list[SnapshotRef]:
        """All of this installation."""
        groups: dict[SnapshotName, list[Held]] = {}
        for taken in self._client.snapshots(nas_server_id=nas.server.id):
            try:
                owned_snapshot_name(taken.name, self._install)
            except SnapshotNotOurs:
                continue
            held = Held(file_system=nas.name_of(taken.file_system), taken=taken)
            groups.setdefault(self._whole(taken), []).append(held)
        return [self.ref(name, held) for name, held in groups.items()]

    def ref(
        self, name: SnapshotName, held: Sequence[Held], asked: Mapping[str, Description] | None = None
    ) -> SnapshotRef:
        """From what the array says of its parts, or from what was just asked of it, by their names."""
        by_part: dict[int, tuple[Part, Held]] = {}
        told = []
        for one in held:
            said = asked[one.taken.name] if asked else self._described(one.taken.description)
            told += [said] if said else []
            by_part |= {part.number: (part, one) for part in said.parts} if said else {}
        parts = all_parts(told) if len(told) == len(held) else ()
        if not parts:
            return self._undescribed(name, held)
        handle = {"access": held[0].taken.access}
        for part in parts:
            one = by_part[part.number][1]
            handle |= _in_handle(part.number, one, part.below)
        systems = sorted({one.file_system for one in held})
        return SnapshotRef(
            name=name,
            engine=self._engine,
            taken_at_ns=min(one.taken_at_ns for one in told),
            content=tuple(part.path for part in parts),
            handle=handle,
            warnings=_one_after_the_other(systems) if len(systems) > 1 else (),
        )

    def _undescribed(self, name: SnapshotName, held: Sequence[Held]) -> SnapshotRef:
        handle = {"access": held[0].taken.access}
        for number, one in enumerate(held):
            handle |= _in_handle(number, one, "")
        return SnapshotRef(
            name=name,
            engine=self._engine,
            taken_at_ns=min(_nanoseconds(one.taken.created_at) for one in held),
            content=tuple(str(self._mount / one.file_system) for one in held),
            handle=handle,
            warnings=(_UNDESCRIBED,),
        )

    def _whole(self, taken: Taken) -> SnapshotName:
        """The name of the snapshot of ours that this is, or is a part of."""
        name = taken.description.partition(": ")[0]
        try:
            whole = owned_snapshot_name(name, self._install)
            is_part = any(self.physical(whole, place) == taken.name for place in range(MOST_FILE_SYSTEMS))
        except EngineError:
            is_part = False
        return whole if is_part else SnapshotName(taken.name)


def names_of(ref: SnapshotRef) -> list[str]:
    """The names that a snapshot of ours has on the array."""
    names = dict.fromkeys(ref.handle[key] for key in sorted(ref.handle) if key.startswith("snapshot."))
    return list(names) or [ref.name]


def _in_handle(number: int, held: Held, below: str) -> dict[str, str]:
    return {
        f"snapshot.{number}": held.taken.name,
        f"file_system.{number}": held.file_system,
        f"below.{number}": below,
    }


def _one_after_the_other(systems: Sequence[str]) -> tuple[str, ...]:
    named = ", ".join(f"“{one}”" for one in systems)
    return (
        f"The file systems {named} were snapped one after the other: each is of one moment, together they are not.",
    )


def _nanoseconds(text: str) -> int:
    """Of an ISO 8601 time, as the array writes it; 0 = it is none."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1_000_000_000)
    except ValueError:
        return 0
