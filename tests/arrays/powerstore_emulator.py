"""An emulator of the part of a Dell PowerStore that the product uses, over TLS, with real files behind it.

It is no PowerStore. It answers what these sources document, and fails the test for everything else:

- Dell EMC PowerStore REST API Reference Guide and Developers Guide: paths, attributes, ``login_session`` with the
  header ``DELL-EMC-TOKEN`` and the cookie ``auth_cookie``, filters ``attribute=eq.value``, ``select``, ``order``, pages
  of 100 with status 206 and ``content-range: 0-99/256``, the header ``Range``, 416 beyond the end;
  ``file_system/{id}/restore`` answers 200 with a backup snapshot and 204 without one; access types of a snapshot; the
  length of a description.
- PyPowerStore 3.5 (Dell): the paths again, and what it expects in the answers. Error bodies and the codes
  0xE08010080001 and 0xE08010080003 are those of its tests; 0xE08010080009, 0xE04040020009, 0xE04040010005 and
  0xE080100F0008 are named in Dell's gopowerstore (``api/error_codes.go``).
- Dell's Ansible collection (``docs/modules/nfs.rst``): an export is mounted as ``<NAS server>:/<export name>``, has a
  path of its own, and a snapshot can only be exported if its access type is Protocol; a snapshot is known by its name
  on the NAS server, so names are unique there.

Not documented, and chosen here: the sentence for a full file system (after the one for a full NAS server, which
gopowerstore's tests quote), and that nothing else of the array is seen in ``.snapshot``.

A file system is a btrfs subvolume, a snapshot of it a read-only one, a restore exchanges the live subvolume
for a writable twin of it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from .https_server import HERE, Answer, HttpsServer, Request

ACCOUNT: Final = "snapcopy"
PASSWORD: Final = "Very-Secret-1"
NAS: Final = "nas1"
API: Final = "/api/rest"
PAGE: Final = 100
MOST_ON_A_PAGE: Final = 2000
MOST_SNAPSHOTS: Final = 256
VERSION: Final = "4.1.0.0"


def _new_id() -> str:
    return str(uuid.uuid4())


def refusal(status: int, words: str, code: str = "") -> Answer:
    """As the array says no."""
    message: dict[str, Any] = {"severity": "Error", "message_l10n": words, "arguments": []}
    return Answer(status=status, body={"messages": [message | ({"code": code} if code else {})]})


class CannotBeDone(Exception):
    """The storage below fails."""


@dataclass(kw_only=True)
class Volume:
    """A file system or a snapshot: its attributes as the array has them, and where its files are."""

    row: dict[str, Any]
    directory: Path


@dataclass
class PowerStore:
    """``folder`` is on btrfs; below it is what a node sees where it has mounted the NAS server."""

    folder: Path
    server: HttpsServer = field(init=False)
    sessions: dict[str, str] = field(default_factory=dict)
    logins: int = 0
    volumes: dict[str, Volume] = field(default_factory=dict)
    exports: dict[str, dict[str, Any]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """What was asked and is not documented: a fault of the engine, or of the test."""
    nas_id: str = field(default_factory=_new_id)

    def __post_init__(self) -> None:
        self.mount = self.folder / NAS
        self.hidden = self.folder / "not-exported"
        for directory in (self.mount, self.hidden):
            directory.mkdir()
        self.server = HttpsServer(self.answer)

    # What a test does at the array itself

    def add_file_system(self, name: str) -> Path:
        """A new one, exported under its name; where the node sees it."""
        directory = self.mount / name
        _btrfs("subvolume", "create", directory)
        _btrfs("subvolume", "create", directory / ".snapshot")
        row = _row(name=name, filesystem_type="Primary", nas_server_id=self.nas_id, size_total=10 << 30)
        self.volumes[row["id"]] = Volume(row=row | {"size_used": 1 << 30}, directory=directory)
        return directory

    def options(self, **others: object) -> dict[str, object]:
        """Of an engine that reaches it, but for the password."""
        return {
            "host": HERE,
            "port": self.server.port,
            "account": ACCOUNT,
            "ca_file": str(self.server.certificate.authority),
            "nas_server": NAS,
            "mount": str(self.mount),
            "timeout_seconds": 60,
        } | others

    def expire_sessions(self) -> None:
        """As when nothing came for longer than the idle timeout."""
        self.sessions.clear()

    def reset(self) -> None:
        """No snapshots, exports, sessions and faults; nothing was ever asked."""
        for name in self.snapshots():
            self.lose(name)
        for started in (self.exports, self.sessions, self.server.requests, self.server.faults, self.wrong):
            started.clear()
        self.logins = 0

    def snapshots(self, file_system: str = "") -> list[str]:
        """Names, of everybody."""
        parents = {one.row["id"] for one in self.volumes.values() if file_system in ("", one.row["name"])}
        return sorted(one.row["name"] for one in self.volumes.values() if one.row["parent_id"] in parents)

    def lose(self, name: str) -> None:
        """A snapshot is deleted by somebody else."""
        (id,) = [key for key, one in self.volumes.items() if one.row["name"] == name]  # noqa: A001
        self._remove(id)

    def take_as_somebody_else(self, file_system: str, name: str) -> str:
        """Id of a snapshot that no product of ours took; without files, so that many are quick."""
        (parent,) = [one for one in self.volumes.values() if one.row["name"] == file_system]
        row = _row(name=name, filesystem_type="Snapshot", nas_server_id=self.nas_id, parent_id=parent.row["id"])
        self.volumes[row["id"]] = Volume(
            row=row | {"access_type": "Snapshot", "creator_type": "Scheduler"}, directory=self.hidden / name
        )
        return str(row["id"])

    def stop(self) -> None:
        self.server.stop()

    # What it answers

    def answer(self, request: Request) -> Answer:
        try:
            return self._answer(request)
        except CannotBeDone as reason:
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, f"Internal error: {reason}")
        except BaseException as error:
            self.wrong.append(f"{request.method} {request.path}: {error!r}")
            raise

    def _answer(self, request: Request) -> Answer:
        assert request.path.startswith(f"{API}/"), request.path
        kind, *rest = request.path.removeprefix(f"{API}/").split("/")
        if (request.method, kind) == ("GET", "login_session"):
            return self._log_in(request)
        if not self._is_logged_in(request):
            return refusal(HTTPStatus.UNAUTHORIZED, "Authentication required.")
        asked = (request.method, kind, *rest[1:])
        return self._actions()[asked](request, *rest[:1])

    def _actions(self) -> Mapping[tuple[str, ...], Callable[..., Answer]]:
        return {
            ("POST", "logout"): self._log_out,
            ("GET", "cluster"): self._cluster,
            ("GET", "software_installed"): self._software,
            ("GET", "nas_server"): self._nas_servers,
            ("GET", "file_system"): self._file_systems,
            ("POST", "file_system", "snapshot"): self._snap,
            ("POST", "file_system", "restore"): self._restore,
            ("DELETE", "file_system"): self._delete,
            ("GET", "nfs_export"): self._exports,
            ("POST", "nfs_export"): self._export,
            ("PATCH", "nfs_export"): self._admit,
            ("DELETE", "nfs_export"): self._unexport,
        }

    def _log_in(self, request: Request) -> Answer:
        self.logins += 1
        if request.login != (ACCOUNT, PASSWORD):
            return refusal(HTTPStatus.UNAUTHORIZED, "Invalid credentials.")
        token, cookie = _new_id(), _new_id()
        self.sessions[token] = cookie
        row = {
            "id": _new_id(),
            "user": ACCOUNT,
            "role_ids": ["2"],
            "is_password_change_required": False,
            "is_built_in_user": False,
            "idle_timeout": 3600,
        }
        return Answer(body=[row], headers={"DELL-EMC-TOKEN": token, "Set-Cookie": f"auth_cookie={cookie}; Path=/"})

    def _is_logged_in(self, request: Request) -> bool:
        cookie = self.sessions.get(request.headers.get("dell-emc-token", ""))
        return cookie is not None and f"auth_cookie={cookie}" in request.headers.get("cookie", "")

    def _log_out(self, request: Request) -> Answer:
        del self.sessions[request.headers["dell-emc-token"]]
        return Answer(status=HTTPStatus.NO_CONTENT)

    def _cluster(self, request: Request) -> Answer:
        row = dict.fromkeys(request.query["select"].split(","))
        return Answer(body=[row | {"id": "0", "name": "emulated-1", "state": "Configured"}])

    def _software(self, request: Request) -> Answer:
        return Answer(body=[{"release_version": VERSION}])

    def _nas_servers(self, request: Request) -> Answer:
        rows = [{"id": self.nas_id, "name": NAS, "operational_status": "Started"}]
        return _page(request, [*rows, {"id": _new_id(), "name": "nas2", "operational_status": "Stopped"}])

    def _file_systems(self, request: Request) -> Answer:
        return _page(request, [one.row for one in self.volumes.values()])

    def _snap(self, request: Request, id: str) -> Answer:  # noqa: A002
        parent, body = self.volumes.get(id), request.body
        assert set(body) <= {"name", "description", "expiration_timestamp", "access_type"}, body
        assert len(body["description"]) <= 255
        if parent is None:
            return _unknown_file_system()
        if any(one.row["name"] == body["name"] for one in self.volumes.values()):
            return refusal(422, f"The file system name {body['name']} is already in use.", "0xE08010080009")
        if sum(one.row["parent_id"] == id for one in self.volumes.values()) >= MOST_SNAPSHOTS:
            return refusal(422, f"The limit of {MOST_SNAPSHOTS} snapshots for the file system has been reached.")
        is_seen = body.get("access_type", "Snapshot") == "Snapshot"
        directory = (parent.directory / ".snapshot" if is_seen else self.hidden) / body["name"]
        _snap(parent.directory, directory)
        row = _row(filesystem_type="Snapshot", nas_server_id=self.nas_id, parent_id=id, creator_type="User")
        row |= {"access_type": "Snapshot", "creation_timestamp": datetime.now(UTC).isoformat(timespec="seconds")}
        self.volumes[row["id"]] = Volume(row=row | body, directory=directory)
        return Answer(status=HTTPStatus.CREATED, body={"id": row["id"]})

    def _restore(self, request: Request, id: str) -> Answer:  # noqa: A002
        snapshot = self.volumes.get(id)
        if snapshot is None or snapshot.row["parent_id"] is None:
            return _unknown_file_system()
        assert request.body is None, "no backup snapshot is asked for"
        _put_back(snapshot.directory, self.volumes[snapshot.row["parent_id"]].directory)
        return Answer(status=HTTPStatus.NO_CONTENT)

    def _delete(self, request: Request, id: str) -> Answer:  # noqa: A002
        volume = self.volumes.get(id)
        if volume is None:
            return _unknown_file_system()
        if any(one["file_system_id"] == id for one in self.exports.values()):
            words = "Deletion of File System failed as, [File system delete rejected due to existing NFS export(s).]"
            return refusal(422, words, "0xE08010080003")
        self._remove(id)
        return Answer(status=HTTPStatus.NO_CONTENT)

    def _remove(self, id: str) -> None:  # noqa: A002
        volume = self.volumes.pop(id)
        if volume.directory.exists():
            _btrfs("subvolume", "delete", volume.directory)

    def _exports(self, request: Request) -> Answer:
        return _page(request, list(self.exports.values()))

    def _export(self, request: Request) -> Answer:
        body = request.body
        known = {"file_system_id", "path", "name", "description", "default_access", "read_only_root_hosts"}
        assert set(body) == known, body
        volume = self.volumes.get(body["file_system_id"])
        if volume is None:
            return _unknown_file_system()
        assert volume.row["access_type"] == "Protocol", "only such a snapshot can be exported"
        assert body["path"].split("/")[1] == volume.row["name"], "the path begins at the NAS server's root"
        if any(body["path"] == one["path"] or body["name"] == one["name"] for one in self.exports.values()):
            return refusal(422, "The NFS export name or path is already in use.")
        row = {"id": _new_id()} | body
        row["read_only_root_hosts"] = [f"{host}/255.255.255.255" for host in body["read_only_root_hosts"]]
        volume.directory = _moved(volume.directory, self.mount / body["name"])
        self.exports[row["id"]] = row
        return Answer(status=HTTPStatus.CREATED, body={"id": row["id"]})

    def _admit(self, request: Request, id: str) -> Answer:  # noqa: A002
        assert set(request.body) == {"add_read_only_root_hosts"}, request.body
        hosts = self.exports[id]["read_only_root_hosts"]
        for host in request.body["add_read_only_root_hosts"]:
            if f"{host}/255.255.255.255" in hosts:
                return refusal(400, f"The host {host} is in the list already.", "0xE080100F0008")
            hosts.append(f"{host}/255.255.255.255")
        return Answer(status=HTTPStatus.NO_CONTENT)

    def _unexport(self, request: Request, id: str) -> Answer:  # noqa: A002
        if id not in self.exports:
            return refusal(404, "The NFS export was not found.", "0xE04040020009")
        volume = self.volumes[self.exports.pop(id)["file_system_id"]]
        volume.directory = _moved(volume.directory, self.hidden / volume.row["name"])
        return Answer(status=HTTPStatus.NO_CONTENT)


@contextlib.contextmanager
def emulated(folder: Path, *file_systems: str) -> Iterator[PowerStore]:
    """One with these file systems, for the length of the block."""
    array = PowerStore(folder)
    try:
        for name in file_systems:
            array.add_file_system(name)
        yield array
    finally:
        array.stop()


def _page(request: Request, rows: list[dict[str, Any]]) -> Answer:
    """The rows that are asked for, in their order, with the attributes that are asked for."""
    filters = dict(request.query)
    names, order = filters.pop("select").split(","), filters.pop("order")
    for name, condition in filters.items():
        assert condition.startswith("eq."), condition
        rows = [row for row in rows if str(row[name]) == condition.removeprefix("eq.")]
    rows = [{name: row[name] for name in names} for row in sorted(rows, key=lambda row: str(row[order]))]
    first, last = 0, PAGE - 1
    if "range" in request.headers:
        first, last = (int(number) for number in request.headers["range"].split("-"))
        last = min(last, first + MOST_ON_A_PAGE - 1)
        if first >= len(rows):
            return refusal(416, "The range that was asked for cannot be given.", "0xE04040010005")
    found = rows[first : last + 1]
    if len(found) == len(rows):
        return Answer(body=found)
    told = f"{first}-{first + len(found) - 1}/{len(rows)}"
    return Answer(status=HTTPStatus.PARTIAL_CONTENT, body=found, headers={"content-range": told})


def _row(**known: object) -> dict[str, Any]:
    """Of a file system or snapshot: what is not known is null."""
    names = ("description", "parent_id", "access_type", "creation_timestamp", "creator_type", "size_total", "size_used")
    return {"id": _new_id()} | dict.fromkeys(names) | known


def _unknown_file_system() -> Answer:
    words = "Operation failed because File System ID is invalid. Enter a valid File System ID and try again."
    return refusal(404, words, "0xE08010080001")


def _snap(live: Path, snapshot: Path) -> None:
    """Read-only, and without the directory of snapshots, whose place in it nobody sees on an array."""
    times = live.stat()
    _btrfs("subvolume", "snapshot", live, snapshot)
    (snapshot / ".snapshot").rmdir()
    os.utime(snapshot, ns=(times.st_atime_ns, times.st_mtime_ns))
    _btrfs("property", "set", snapshot, "ro", "true")


def _put_back(snapshot: Path, live: Path) -> None:
    """A writable twin of the snapshot takes the place of what is live, and its directory of snapshots."""
    twin, former = live.with_name(".twin"), live.with_name(".former")
    times = snapshot.stat()
    _btrfs("subvolume", "snapshot", snapshot, twin)
    (live / ".snapshot").rename(twin / ".snapshot")
    os.utime(twin, ns=(times.st_atime_ns, times.st_mtime_ns))
    live.rename(former)
    twin.rename(live)
    _btrfs("subvolume", "delete", former)


def _moved(snapshot: Path, to: Path) -> Path:
    """A subvolume that is read-only cannot be moved."""
    _btrfs("property", "set", snapshot, "ro", "false")
    snapshot.rename(to)
    _btrfs("property", "set", to, "ro", "true")
    return to


def _btrfs(*words: str | Path) -> None:
    done = subprocess.run(["btrfs", *map(str, words)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise CannotBeDone(done.stderr.strip())
