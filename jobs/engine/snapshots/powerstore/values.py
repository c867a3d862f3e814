"""What is told by and to the process that talks to a PowerStore: plain values, without the maker's client."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ...plan import Secret


class Access(StrEnum):
    """How a snapshot of a file system is reached: FileSystemSnapshotAccessTypeEnum of Dell's REST API."""

    SNAPSHOT = "Snapshot"
    """Through the ``.snapshot`` folder of the file system."""
    PROTOCOL = "Protocol"
    """Through exports of its own; there are none until they are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySettings:
    """Where the management service is, and as whom to come. ``timeout_seconds`` is of one request."""

    host: str
    port: int
    account: str
    password: Secret
    ca_file: str
    timeout_seconds: int

    @property
    def address(self) -> str:
        """With brackets around an IPv6 address, as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host

    def __str__(self) -> str:
        port = "" if self.port == 443 else f":{self.port}"
        return f"PowerStore {self.address}{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """``name`` is that of the cluster; both are empty where the array does not tell."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NasServer:
    id: str
    name: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """A primary file system. Sizes in bytes, None = not told."""

    id: str
    name: str
    total_bytes: int | None = None
    used_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A snapshot of a file system, whoever took it. Times are ISO 8601 as the array writes them, empty = none."""

    id: str
    name: str
    file_system: str
    description: str
    created_at: str
    access: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An NFS export. ``file_system`` is the id of what it shows: a file system or a snapshot.

    ``hosts`` may read it as root, as the array writes them: some with a network mask behind a slash.
    """

    id: str
    name: str
    path: str
    file_system: str
    hosts: tuple[str, ...] = ()

    def admits(self, host: str) -> bool:
        return any(one.partition("/")[0] == host for one in self.hosts)
