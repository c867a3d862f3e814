"""Making snapshots of a PowerStore readable on this node: where they are seen, and exports that come and go."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ...clock import Clock
from ...errors import EngineError, SourceUnavailable, StorageBusy
from ..arrays.reading import refuse_while_read
from ..content import is_inside
from ..mounts import mounts
from .client import PowerStoreClient
from .places import SNAPSHOTS
from .shelf import Held
from .values import Access, Export

_LOOK_SECONDS: Final = 0.1
_NFS_PORT: Final = 2049
_UNSAID: Final = ("", "0.0.0.0", "::")  # noqa: S104 - nobody is listened to
APPEARS_SECONDS = 15.0
"""An NFS client asks for a name that it never saw at once; one that was asked too early it may remember a while as
missing (``acdirmin`` of nfs(5))."""


class Reader:
    """Of the file systems mounted below ``mount``. Holds nothing between calls."""

    def __init__(self, client: PowerStoreClient, mount: Path, clock: Clock) -> None:
        self._client = client
        self._mount = mount
        self._clock = clock

    def top(self, held: Held) -> Path:
        """The directory that the snapshot of one file system is seen at, if it is."""
        if held.taken.access == Access.PROTOCOL:
            return self._mount / held.taken.name
        return self._mount / held.file_system / SNAPSHOTS / held.taken.name

    @contextlib.contextmanager
    def visible(self, held: Sequence[Held]) -> Iterator[None]:
        """Exports those that need it, waits until they are seen, and takes the exports away if nobody reads them."""
        with contextlib.ExitStack() as stack:
            for one in held:
                if one.taken.access == Access.PROTOCOL:
                    stack.callback(self._let_go, one)
                    self._export(one)
            for one in held:
                self._await(self.top(one))
            yield

    def refuse_while_read(self, held: Sequence[Held], name: str) -> None:
        """Raises StorageBusy while this node reads one of them."""
        refuse_while_read([self.top(one) for one in held], name)

    def remove_exports(self, held: Held) -> None:
        """Those of ours: of its name, and of that snapshot."""
        for export in self._client.exports(held.taken.name):
            if export.file_system == held.taken.id:
                self._client.remove_export(export.id, export.name)

    def _export(self, held: Held) -> None:
        """One that is there serves all: with NFS each export has a path of its own, so there is no second one."""
        name, host = held.taken.name, node_address(self._mount, self._client.host)
        export = self._exported(held)
        if export is None:
            try:
                self._client.export(held.taken, f"/{name}", name, host)
                return
            except StorageBusy:
                export = self._exported(held)
                if export is None:
                    raise
        if not export.admits(host):
            self._client.admit(export, host)

    def _exported(self, held: Held) -> Export | None:
        found = self._client.exports(held.taken.name)
        return next((one for one in found if one.file_system == held.taken.id), None)

    def _let_go(self, held: Held) -> None:
        """What cannot be taken away now is taken away when the snapshot is deleted."""
        with contextlib.suppress(EngineError):
            self.refuse_while_read([held], held.taken.name)
            self.remove_exports(held)

    def _await(self, top: Path) -> None:
        """A while at most; whoever opens it tells what it lacks."""
        ends_at = self._clock.monotonic() + APPEARS_SECONDS
        while not os.path.isdir(top) and self._clock.monotonic() < ends_at:
            self._clock.sleep(_LOOK_SECONDS)


def node_address(mount: Path, array: str) -> str:
    """By which the NAS server knows this node: ``clientaddr`` of the NFS mount (nfs(5)), else the way to its ``addr``.

    Where neither is told, it is the address that the node reaches the array's management by. Raises SourceUnavailable.
    """
    real = os.path.realpath(mount)
    around = [one for one in mounts() if is_inside(real, one.point)]
    nearest = max(around, key=lambda one: len(one.point), default=None)
    said = dict(option.partition("=")[::2] for option in nearest.options) if nearest else {}
    if said.get("clientaddr", "") not in _UNSAID:
        return said["clientaddr"]
    try:
        family, kind, _protocol, _name, address = socket.getaddrinfo(
            said.get("addr") or array, _NFS_PORT, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind) as way:  # nothing is sent
            way.connect(address)
            return str(way.getsockname()[0])
    except OSError as error:
        raise SourceUnavailable(
            f"This node does not know its own address towards the NAS server: {error.strerror or error}.",
            hint="Mount the NAS server by NFSv4, or read the snapshots in .snapshot.",
        ) from error
