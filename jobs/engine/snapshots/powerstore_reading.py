"""Making snapshots of a PowerStore readable on this node: where they are seen, and exports that come and go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ..clock import Clock
from ..errors import EngineError, StorageBusy
from .arrays.reading import refuse_while_read
from .powerstore_client import PowerStoreClient
from .powerstore_places import SNAPSHOTS
from .powerstore_shelf import Held
from .powerstore_values import Access

_LOOK_SECONDS: Final = 0.1
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
        name = held.taken.name
        if not any(export.file_system == held.taken.id for export in self._client.exports(name)):
            try:
                self._client.export(held.taken, f"/{name}", name)
            except StorageBusy:
                if not any(export.file_system == held.taken.id for export in self._client.exports(name)):
                    raise

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
