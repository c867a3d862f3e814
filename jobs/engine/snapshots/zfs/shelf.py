"""The snapshots of one dataset and all below it: what describes them, what holds them, and taking one away.

A snapshot is described by user properties (zfsprops(7)) of its own, set in the same moment it is made: one line of
JSON, cut in pieces because zfs-fuse allows 1,023 bytes in each. One without is not whole: it is being received.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any, Final

from ...errors import EngineError, InvalidOptions, SnapshotMissing, SnapshotNotOurs, SourceMissing
from ...events import Control
from ...ids import SnapshotName, owned_snapshot_name
from ..base import SnapshotRef
from ..content import is_inside
from .command import Zfs
from .reading import ReadingRoom
from .volume import Part, handle_of, parts_of_ref, replicas_dataset, whole_name

ENGINE: Final = "zfs"
_PROPERTY: Final = "snapcopy:ref"
_PIECES: Final = 8
_PIECE_CHARACTERS: Final = 1000
_COLUMNS: Final = tuple(f"{_PROPERTY}{number}" for number in range(_PIECES))
_MOST_WARNINGS: Final = 10


class Shelf:
    """Of one installation. Holds nothing between calls."""

    def __init__(self, dataset: str, install: str, zfs: Zfs, room: ReadingRoom) -> None:
        self.dataset = dataset
        self.install = install
        self.room = room
        self._zfs = zfs

    @property
    def tag(self) -> str:
        """Of our holds."""
        return f"snapcopy-{self.install}"

    def owned(self, name: str) -> SnapshotName:
        """Raises SnapshotNotOurs."""
        return owned_snapshot_name(name, self.install)

    def refs(self, control: Control) -> list[SnapshotRef]:
        """Of all that are there whole."""
        found: dict[SnapshotName, SnapshotRef] = {}
        for whole, *values in self._zfs.snapshots(self.dataset, _COLUMNS, control):
            with contextlib.suppress(SnapshotNotOurs):
                name = self.owned(whole.partition("@")[2])
                if name not in found and (ref := _read(name, values)) is not None:
                    found[name] = ref
        return list(found.values())

    def find(self, name: SnapshotName, control: Control) -> SnapshotRef | None:
        """None = it is not there, or not whole."""
        return next((ref for ref in self.refs(control) if ref.name == name), None)

    def whole_names(self, control: Control) -> list[tuple[str, str]]:
        """(dataset, name) of every snapshot here, anybody's, those of one dataset oldest first."""
        rows = self._zfs.snapshots(self.dataset, (), control)
        return [(dataset, name) for dataset, _, name in (row[0].partition("@") for row in rows)]

    def hold(self, datasets: Sequence[str], name: SnapshotName, control: Control) -> None:
        for dataset in datasets:
            self._zfs.hold(self.tag, whole_name(dataset, name), control)

    def guid(self, dataset: str, name: SnapshotName, control: Control) -> str:
        """The same at both ends of a stream. Raises SourceMissing."""
        return self._zfs.value(whole_name(dataset, name), "guid", control)

    def make_replicas(self, control: Control) -> None:
        """The dataset above what is taken over."""
        self._zfs.create(self.replicas, {"mountpoint": "none", "canmount": "off", "readonly": "on"}, control)

    def describe(self, ref: SnapshotRef, control: Control) -> None:
        """One that was received, on the first dataset it lies in: from now on it is there."""
        dataset = parts_of_ref(ref, self.dataset)[0].dataset
        for key, value in reversed(description(ref).items()):
            self._zfs.set(whole_name(dataset, ref.name), key, value, control)

    def remove(self, name: SnapshotName, control: Control) -> None:
        """Take it away from every dataset; one that is not there is no error. Raises StorageBusy while it is read."""
        with self.room.without_readers(self.dataset, name, control):
            there = [dataset for dataset, found in self.whole_names(control) if found == name]
            self._remove_from(there, name, control)

    def sweep(self, control: Control) -> int:
        """Take away what killed jobs received in part; how many. What is being received stays."""
        whole = {ref.name for ref in self.refs(control)}
        parts: dict[SnapshotName, list[str]] = {}
        for dataset, found in self.whole_names(control):
            with contextlib.suppress(SnapshotNotOurs):
                if is_inside(dataset, self.replicas) and (name := self.owned(found)) not in whole:
                    parts.setdefault(name, []).append(dataset)
        left = {name: datasets for name, datasets in parts.items() if not self.room.is_received(self.dataset, name)}
        for name, datasets in left.items():
            self._remove_from(datasets, name, control)
        return len(left)

    def drop(self, name: SnapshotName, control: Control) -> None:
        """What has come of one that was being received."""
        there = [dataset for dataset, found in self.whole_names(control) if found == name]
        self._remove_from([one for one in there if is_inside(one, self.replicas)], name, control)

    @property
    def replicas(self) -> str:
        """The dataset above what was taken over."""
        return replicas_dataset(self.dataset, self.install)

    def _remove_from(self, datasets: Sequence[str], name: SnapshotName, control: Control) -> None:
        for dataset in datasets:
            self._remove_one(dataset, name, control)
        for dataset in [one for one in datasets if is_inside(one, self.replicas)]:
            for empty in (dataset, self.replicas):
                with contextlib.suppress(EngineError):  # it holds others
                    self._zfs.destroy(empty, control)

    def _remove_one(self, dataset: str, name: SnapshotName, control: Control) -> None:
        whole = whole_name(dataset, name)
        self._zfs.release(self.tag, whole, control)
        try:
            self._zfs.destroy(whole, control)
        except BaseException:
            with contextlib.suppress(EngineError):
                self._zfs.hold(self.tag, whole, control)
            raise

    def require(self, name: SnapshotName, control: Control) -> SnapshotRef:
        """Raises SnapshotMissing."""
        try:
            found = self.find(name, control)
        except SourceMissing as error:
            raise SnapshotMissing(error.sentence) from error
        if found is None:
            raise SnapshotMissing(f"Snapshot “{name}” is not in “{self.dataset}” any more.")
        return found


def new_ref(name: SnapshotName, parts: Sequence[Part], *, taken_at_ns: int, warnings: Sequence[str]) -> SnapshotRef:
    more = len(warnings) - _MOST_WARNINGS
    return SnapshotRef(
        name=name,
        engine=ENGINE,
        taken_at_ns=taken_at_ns,
        content=tuple(part.content for part in parts),
        handle=handle_of(parts),
        warnings=(*warnings[:_MOST_WARNINGS], *((f"There were {more} more warnings.",) if more > 0 else ())),
    )


def description(ref: SnapshotRef) -> dict[str, str]:
    """As properties. Raises InvalidOptions (``content_paths``) for more than fits in."""
    text = json.dumps(
        {"version": 1, "at": ref.taken_at_ns, "content": ref.content, "handle": ref.handle, "warnings": ref.warnings},
        separators=(",", ":"),
    )
    pieces = [text[start : start + _PIECE_CHARACTERS] for start in range(0, len(text), _PIECE_CHARACTERS)]
    if len(pieces) > _PIECES:
        raise InvalidOptions(
            "These content paths are too many for one ZFS snapshot to remember.",
            field="content_paths",
            hint="Name directories further up, or make several subclients.",
        )
    return dict(zip(_COLUMNS, pieces, strict=False))


def _read(name: SnapshotName, values: Sequence[str]) -> SnapshotRef | None:
    """None for one without a readable description."""
    try:
        told: Any = json.loads("".join(value for value in values if value != "-"))
        return SnapshotRef(
            name=name,
            engine=ENGINE,
            taken_at_ns=int(told["at"]),
            content=tuple(map(str, told["content"])),
            handle={str(key): str(value) for key, value in told["handle"].items()},
            warnings=tuple(map(str, told["warnings"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
