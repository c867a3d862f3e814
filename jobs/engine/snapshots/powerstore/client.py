"""A PowerStore as our processes see it: each call goes to the one process that talks to that array, and has a limit."""

from __future__ import annotations

from typing import Any, Final

from ...errors import SnapshotMissing, SourceMissing, SourceUnavailable
from ...hosted.calls import Calls
from ...hosted.process import Driver
from ..arrays.clients import load
from .values import ArraySettings, Export, FileSystem, Identity, NasServer, Taken

_FACTORY: Final = f"{__name__}:open_array"
_NO_PROXY: Final = (("no_proxy", "*"), ("NO_PROXY", "*"))
"""An array is managed in one's own network: its password goes to no proxy, whatever the node's environment says."""


class PowerStoreClient:
    """Thread-safe, and safe after ``fork``. The process starts with the first call, and logs out when this is let go.

    Methods raise the errors of :mod:`.errors`, and EngineUnsupported where Dell's client is not installed.
    """

    def __init__(self, settings: ArraySettings) -> None:
        self._settings = settings
        self._calls = Calls(
            Driver(factory=_FACTORY, settings=settings, environment=_NO_PROXY),
            place=str(settings),
            call_seconds=settings.timeout_seconds,
            unavailable=SourceUnavailable,
            goodbye="log_out",
        )

    @property
    def host(self) -> str:
        """Of the array's management, as it was typed."""
        return self._settings.host

    def identity(self) -> Identity:
        found: Identity = self._call("identity")
        return found

    def nas_servers(self) -> list[NasServer]:
        found: list[NasServer] = self._call("nas_servers")
        return found

    def file_systems(self, nas_server: str) -> list[FileSystem]:
        """The primary ones of the NAS server with that id."""
        found: list[FileSystem] = self._call("file_systems", nas_server=nas_server)
        return found

    def snapshots(self, **filters: str) -> list[Taken]:
        """Of everybody, that fit the attributes given: ``parent_id``, ``nas_server_id``, ``name``."""
        found: list[Taken] = self._call("snapshots", filters=filters)
        return found

    def snap(self, file_system: FileSystem, name: str, description: str, access: str) -> str:
        """Id of the new snapshot."""
        return str(self._call("snap", file_system=file_system.id, name=name, description=description, access=access))

    def delete(self, snapshot: Taken) -> None:
        """One that is gone is no error. Raises StorageBusy."""
        try:
            self._call("delete_snapshot", snapshot=snapshot.id, name=snapshot.name)
        except SourceMissing:
            return

    def restore(self, snapshot: Taken) -> None:
        """Its file system becomes what it was, for all its clients. Raises SnapshotMissing."""
        try:
            self._call("restore", snapshot=snapshot.id, name=snapshot.name)
        except SourceMissing as error:
            raise SnapshotMissing(error.sentence) from error

    def exports(self, name: str) -> list[Export]:
        """NFS exports of that name."""
        found: list[Export] = self._call("exports", name=name)
        return found

    def export(self, snapshot: Taken, path: str, name: str, host: str) -> str:
        """Id of a new NFS export, for root of one host, read-only. Raises SnapshotMissing."""
        try:
            return str(self._call("export", snapshot=snapshot.id, path=path, name=name, host=host))
        except SourceMissing as error:
            raise SnapshotMissing(error.sentence) from error

    def admit(self, export: Export, host: str) -> None:
        """Let a further host read it."""
        self._call("admit", export=export.id, name=export.name, host=host)

    def remove_export(self, export: str, name: str) -> None:
        """One that is gone is no error."""
        try:
            self._call("remove_export", export=export, name=name)
        except SourceMissing:
            return

    def close(self) -> None:
        """Log out and end the process; the next call starts another."""
        self._calls.close()

    def __str__(self) -> str:
        return str(self._settings)

    def _call(self, method: str, **arguments: Any) -> Any:
        return self._calls.call(method, arguments)[0]


def open_array(settings: ArraySettings) -> object:
    """In the process of its own: what answers the calls. Raises EngineUnsupported."""
    made: object = load(f"{__package__}.array", package="PyPowerStore").Array(settings)
    return made
