"""One snapshot on several volumes of ONTAP: taken on all or on none, found, and described from what its comments tell.

The handle of a reference holds, with the number of each content path, its volume's uuid and what is below the volume.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ...clock import Clock
from ...errors import EngineError, SourceUnavailable, StorageBusy
from ...events import Control, FreeRun
from ...ids import SnapshotName
from ..arrays.description import Description, all_parts, write_description
from ..base import SnapshotRef
from .volumes import MOST_COMMENT, Placed, Volume, VolumeSnapshot

VOLUME: Final = "volume."
BELOW: Final = "below."
_LOST_COMMENT: Final = "Its comment was changed or is missing: instead of its content paths, the volumes are shown."
_SECOND: Final = 1_000_000_000


class Taker(Protocol):
    """What of :class:`.client.OntapClient` is needed here."""

    def snapshots(self, name: str, *, volume: str = "*") -> list[VolumeSnapshot]: ...
    def create_snapshot(self, volume: Volume, name: str, comment: str, control: Control) -> None: ...
    def delete_snapshot(self, found: VolumeSnapshot, control: Control) -> None: ...


def take(client: Taker, clock: Clock, name: SnapshotName, placed: Sequence[Placed], control: Control) -> int:
    """Take it of every volume, or of none; when it was taken, ns. Raises what the client and the control raise."""
    volumes = list({one.volume.uuid: one.volume for one in placed}.values())
    here = {one.uuid for one in volumes}
    if any(one.volume in here for one in client.snapshots(name)):
        raise StorageBusy(f"There is already a snapshot “{name}”.", hint="Resubmit the job; it takes a new name.")
    control.check()
    taken_at_ns = clock.now_ns()
    try:
        for volume in volumes:
            client.create_snapshot(volume, name, _comment(name, taken_at_ns, placed, volume), control)
        made = [one for one in client.snapshots(name) if one.volume in here]
        if len(made) < len(volumes):
            raise SourceUnavailable(f"ONTAP said that it took “{name}”, and does not list it on every volume.")
    except BaseException:
        _undo(client, name, taken_at_ns, here)
        raise
    return min(_moment(taken_at_ns, one.created_at_ns) for one in made)


def _undo(client: Taker, name: str, taken_at_ns: int, volumes: set[str]) -> None:
    """What :func:`take` made, as far as it goes: nobody else's comment has its very nanosecond."""
    with contextlib.suppress(EngineError):
        for one in client.snapshots(name):
            is_made_here = one.told is None or one.told.taken_at_ns == taken_at_ns
            if one.volume in volumes and is_made_here:
                client.delete_snapshot(one, FreeRun())


def ref_of(
    name: SnapshotName, engine: str, found: Sequence[VolumeSnapshot], path_of: Callable[[str], str]
) -> SnapshotRef:
    """From what the cluster lists. ``path_of``: the content path of a whole volume by its uuid, empty = unknown."""
    told = [one.told for one in found if one.told is not None]
    parts = all_parts(told) if len(told) == len(found) else ()
    if parts:
        volume_of = {part.number: one.volume for one in found if one.told for part in one.told.parts}
        return SnapshotRef(
            name=name,
            engine=engine,
            taken_at_ns=min(_moment(one.told.taken_at_ns, one.created_at_ns) for one in found if one.told),
            content=tuple(part.path for part in parts),
            handle={f"{VOLUME}{part.number}": volume_of[part.number] for part in parts}
            | {f"{BELOW}{part.number}": part.below for part in parts},
        )
    known = [(one.volume, path_of(one.volume)) for one in found if path_of(one.volume)]
    return SnapshotRef(
        name=name,
        engine=engine,
        taken_at_ns=min(one.created_at_ns for one in found),
        content=tuple(path for _uuid, path in known),
        handle={f"{VOLUME}{number}": uuid for number, (uuid, _path) in enumerate(known)}
        | {f"{BELOW}{number}": "" for number in range(len(known))},
        warnings=("It is not on every volume that it was taken of." if told else _LOST_COMMENT,),
    )


def handle_of(placed: Sequence[Placed]) -> dict[str, str]:
    return {f"{VOLUME}{one.part.number}": one.volume.uuid for one in placed} | {
        f"{BELOW}{one.part.number}": one.part.below for one in placed
    }


def places_of(ref: SnapshotRef) -> list[tuple[str, str]]:
    """(uuid of the volume, what is below it) of each content path, as far as the reference tells."""
    return [
        (ref.handle[f"{VOLUME}{number}"], ref.handle.get(f"{BELOW}{number}", ""))
        for number in range(len(ref.content))
        if f"{VOLUME}{number}" in ref.handle
    ]


def _comment(name: SnapshotName, taken_at_ns: int, placed: Sequence[Placed], volume: Volume) -> str:
    parts = tuple(one.part for one in placed if one.volume.uuid == volume.uuid)
    told = Description(taken_at_ns=taken_at_ns, total=len(placed), parts=parts)
    return write_description(name, told, most_characters=MOST_COMMENT)


def _moment(taken_at_ns: int, created_at_ns: int) -> int:
    """The node's own time just before; the cluster's, of whole seconds, where its clock is behind the node's."""
    return taken_at_ns if taken_at_ns < created_at_ns + _SECOND else created_at_ns
