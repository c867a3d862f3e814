"""Secondary snap copies by SnapMirror: the destination's cluster pulls one snapshot over a relationship that exists.

Which volumes are mirrored, and where to, is set up on ONTAP. A transfer of a named snapshot (``source_snapshot``) keeps
its name; what was sent before is not sent again, ONTAP sees to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from ...errors import EngineUnsupported, SnapshotMissing, SourceUnavailable
from ...events import Control
from .volumes import Volume

_HINT: Final = (
    "Set it up on ONTAP: a SnapMirror relationship from that volume to a volume of the destination’s SVM, with a "
    "policy of the type async, initialized, and the destination mounted into the namespace."
)


class Mirrorer(Protocol):
    """What of :class:`.client.OntapClient` is needed here."""

    def relationships(self, source: str) -> list[Mapping[str, Any]]: ...
    def transfer(self, relationship: str, snapshot: str, control: Control) -> int: ...


class Mirror:
    """A source volume and where it is mirrored to."""

    def __init__(self, relationship: str, destination: Volume) -> None:
        self.relationship = relationship
        self.destination = destination

    def send(self, client: Mirrorer, name: str, control: Control) -> int:
        """Bytes that were transferred. Raises SourceUnavailable, StorageBusy and what the control raises."""
        return client.transfer(self.relationship, name, control)


def find_mirror(client: Mirrorer, source: str, there: Iterable[Volume]) -> Mirror:
    """Of ``SVM:volume`` to one of the volumes ``there``. Raises EngineUnsupported, SourceUnavailable."""
    by_name = {one.name: one for one in there}
    for record in client.relationships(source):
        name = str((record.get("destination") or {}).get("path") or "").partition(":")[2]
        if name not in by_name:
            continue
        state = str(record.get("state") or "")
        if state in {"snapmirrored", "in_sync"}:
            return Mirror(str(record["uuid"]), by_name[name])
        raise SourceUnavailable(
            f"The SnapMirror relationship from “{source}” to “{name}” is {state.replace('_', ' ') or 'not ready'}.",
            hint="Initialize or resync it on ONTAP; then the transfer is tried again.",
        )
    raise EngineUnsupported(f"No SnapMirror relationship leads from “{source}” to this SVM.", hint=_HINT)


def require_arrived(name: str, is_there: bool) -> None:
    """ONTAP said that a transfer succeeded. Raises SnapshotMissing."""
    if not is_there:
        raise SnapshotMissing(f"The transfer ended well, and yet the destination does not list “{name}”.")
