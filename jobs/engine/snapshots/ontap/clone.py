"""Reading a snapshot that a volume hides: through a FlexClone, mounted into the namespace while it is read.

A clone is named after its snapshot and something random, so that whoever deletes the snapshot finds what a killed node
left of it.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from ...errors import EngineError
from ...events import Control, FreeRun
from .volumes import Namespace, Volume


class Cloner(Protocol):
    """What of :class:`.client.OntapClient` is needed here."""

    def make_clone(self, volume: Volume, snapshot: str, name: str, path: str, control: Control) -> None: ...
    def clones(self, name: str) -> list[Volume]: ...
    def remove_clone(self, clone: Volume, control: Control) -> None: ...


@contextlib.contextmanager
def cloned(
    connect: Callable[[], AbstractContextManager[Cloner]], namespace: Namespace, volume: Volume, snapshot: str
) -> Iterator[Path]:
    """The directory where a clone of the volume's snapshot is seen. It is gone after the block, as far as it goes."""
    name = f"{clone_prefix(snapshot)}{secrets.token_hex(4)}"
    path = f"/{name}"
    try:
        with connect() as client:
            client.make_clone(volume, snapshot, name, path, FreeRun())
        yield namespace.mount / name
    finally:
        with contextlib.suppress(EngineError), connect() as client:
            remove_clones(client, name)


def remove_clones(client: Cloner, name: str) -> None:
    """All with that name, or that match it. Raises what keeps one from being removed."""
    for clone in client.clones(name):
        client.remove_clone(clone, FreeRun())


def clone_prefix(snapshot: str) -> str:
    """Of the names of its clones: a volume's name holds letters, digits and underscores."""
    return f"{snapshot.replace('-', '_')}_"
