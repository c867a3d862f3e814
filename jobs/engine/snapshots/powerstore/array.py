"""One PowerStore through Dell's own client. Runs in a process of its own, and nowhere else.

PyPowerStore keeps the array it talked to last in a module's global, and asks *that* one which version it has: two
arrays in one process are mixed up. It has no limit over all of a call, only one for each silence. So a host
(:mod:`jobs.engine.hosted`) runs one of these for one array; what it returns are plain values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from PyPowerStore.powerstore_conn import PowerStoreConn
from PyPowerStore.utils.exception import PowerStoreException

from ...errors import AnswerUnreadable, EngineError
from .errors import told
from .values import Access, ArraySettings, Export, FileSystem, Identity, NasServer, Taken

_US: Final = "SnapCopy"
_SNAPSHOT: Final = "id,name,parent_id,description,creation_timestamp,access_type"
_EXPORT: Final = "id,name,path,file_system_id,read_only_root_hosts"
_NOBODY: Final = {"default_access": "No_Access", "description": "Made by SnapCopy while it reads the snapshot."}

Value = TypeVar("Value")


class Array:
    """One call at a time, as the client's session is one. Every method raises EngineError only."""

    def __init__(self, settings: ArraySettings) -> None:
        """Talks to nobody yet."""
        self._settings = settings
        self._lock = threading.Lock()
        self._client = PowerStoreConn(
            username=settings.account,
            password=settings.password.reveal(),
            server_ip=settings.address,
            verify=settings.ca_file or True,
            application_type=_US,
            timeout=settings.timeout_seconds,
            port_no=settings.port,
        )

    def identity(self) -> Identity:
        def ask() -> Identity:
            clusters = self._client.provisioning.get_cluster_list()
            version = self._client.provisioning.get_array_version()
            return Identity(name=_text(clusters[0], "name") if clusters else "", version=str(version or ""))

        return self._ask("say who it is", ask)

    def nas_servers(self) -> list[NasServer]:
        return self._rows(
            "list its NAS servers",
            self._client.provisioning.get_nas_servers,
            {"select": "id,name,operational_status"},
            lambda row: NasServer(id=row["id"], name=row["name"], status=_text(row, "operational_status")),
        )

    def file_systems(self, nas_server: str) -> list[FileSystem]:
        """The primary ones of the NAS server with that id."""
        return self._rows(
            "list its file systems",
            self._client.provisioning.get_file_systems,
            {
                "select": "id,name,size_total,size_used",
                "filesystem_type": "eq.Primary",
                "nas_server_id": f"eq.{nas_server}",
            },
            lambda row: FileSystem(
                id=row["id"], name=row["name"], total_bytes=row.get("size_total"), used_bytes=row.get("size_used")
            ),
        )

    def snapshots(self, filters: Mapping[str, str]) -> list[Taken]:
        """Of everybody, that fit: ``parent_id``, ``nas_server_id`` or ``name``.

        The client's own ``get_snapshots_filesystem`` reads one page of a hundred; a listing of file systems has all.
        """
        return self._rows(
            "list its snapshots",
            self._client.provisioning.get_file_systems,
            {"select": _SNAPSHOT, "filesystem_type": "eq.Snapshot"} | {name: f"eq.{filters[name]}" for name in filters},
            lambda row: Taken(
                id=row["id"],
                name=row["name"],
                file_system=row["parent_id"],
                description=_text(row, "description"),
                created_at=_text(row, "creation_timestamp"),
                access=_text(row, "access_type") or Access.SNAPSHOT.value,
            ),
        )

    def snap(self, file_system: str, name: str, description: str, access: str) -> str:
        """Id of the new snapshot."""

        def ask() -> str:
            answer = self._client.protection.create_filesystem_snapshot(
                filesystem_id=file_system, name=name, description=description, access_type=access
            )
            return str(answer["id"])

        return self._ask(f"take the snapshot “{name}”", ask)

    def delete_snapshot(self, snapshot: str, name: str) -> None:
        self._ask(f"delete the snapshot “{name}”", lambda: self._client.protection.delete_filesystem_snapshot(snapshot))

    def restore(self, snapshot: str, name: str) -> None:
        """The whole file system becomes what it was; no backup snapshot is made (RULES S6: the job makes its own)."""
        self._ask(f"go back to the snapshot “{name}”", lambda: self._client.provisioning.restore_filesystem(snapshot))

    def exports(self, name: str) -> list[Export]:
        """NFS exports of that name, of all NAS servers."""
        return self._rows(
            "list its NFS exports",
            self._client.provisioning.get_nfs_exports,
            {"select": _EXPORT, "name": f"eq.{name}"},
            lambda row: Export(
                id=row["id"],
                name=row["name"],
                path=row["path"],
                file_system=row["file_system_id"],
                hosts=tuple(row["read_only_root_hosts"] or ()),
            ),
        )

    def export(self, snapshot: str, path: str, name: str, host: str) -> str:
        """Id of a new NFS export, for root of one host, read-only."""

        def ask() -> str:
            others = _NOBODY | {"read_only_root_hosts": [host]}
            return str(self._client.provisioning.create_nfs_export(snapshot, path, name, others)["id"])

        return self._ask(f"export the snapshot as “{name}”", ask)

    def admit(self, export: str, name: str, host: str) -> None:
        """Let a further host read it."""
        self._ask(
            f"let {host} read the export “{name}”",
            lambda: self._client.provisioning.modify_nfs_export(export, {"add_read_only_root_hosts": [host]}),
        )

    def remove_export(self, export: str, name: str) -> None:
        self._ask(
            f"remove the export “{name}”", lambda: self._client.provisioning.delete_nfs_export(nfs_export_id=export)
        )

    def log_out(self) -> None:
        """End the session, if there is one. Never raises."""
        with self._lock:
            if self._login.dell_emc_token:
                try:
                    self._login.logout_session()
                except OSError:
                    return

    @property
    def _login(self) -> Any:
        return self._client.provisioning.client.auth_manager

    def _rows(
        self, action: str, listing: Callable[..., Any], filters: dict[str, str], make: Callable[[Any], Value]
    ) -> list[Value]:
        """All pages. A row on two of them, as when something came or went between, is one."""

        def ask() -> list[Value]:
            rows = listing(filter_dict=filters | {"order": "id"}, all_pages=True)
            return [make(row) for row in {row["id"]: row for row in rows}.values()]

        return self._ask(action, ask)

    def _ask(self, action: str, ask: Callable[[], Value]) -> Value:
        """A session that expired shows as a 401 of the next call: then, and only then, log in once more."""
        with self._lock:
            try:
                return ask()
            except PowerStoreException as error:
                if error.status_code != "401" or not self._login.dell_emc_token:
                    raise self._told(error, action) from error
            except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
                raise self._unreadable(action) from error
            self._login.dell_emc_token = None
            try:
                return ask()
            except PowerStoreException as error:
                raise self._told(error, action) from error
            except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
                raise self._unreadable(action) from error

    def _told(self, error: Any, action: str) -> EngineError:
        return told(
            err_code=error.err_code,
            status=error.status_code,
            text=str(error.err_text),
            place=str(self._settings),
            action=action,
            seconds=self._settings.timeout_seconds,
        )

    def _unreadable(self, action: str) -> EngineError:
        return AnswerUnreadable(
            f"{self._settings} answered something that makes no sense, asked to {action}.",
            hint="Look whether its version is one that the installed PyPowerStore knows.",
        )


def _text(row: Mapping[str, Any], name: str) -> str:
    return str(row.get(name) or "")
