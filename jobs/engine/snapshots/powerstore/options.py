"""Settings of a PowerStore: where it is managed, as whom to come, and where this node sees its file systems."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from ...errors import InvalidOptions
from ...media.object.place import checked_ca_file
from ...plan import Secret
from .values import Access, ArraySettings

HTTPS: Final = 443


class Reading(StrEnum):
    """How new snapshots are made readable."""

    DIRECTORY = "directory"
    EXPORT = "export"

    @property
    def access(self) -> Access:
        return Access.SNAPSHOT if self is Reading.DIRECTORY else Access.PROTOCOL


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerStoreOptions:
    """One NAS server of one array."""

    host: str = field(
        metadata={
            "label": "Address",
            "help": "Name or address of the array’s management, as in its certificate: powerstore1.example.",
        }
    )
    port: int = field(
        default=HTTPS,
        metadata={"label": "Port", "minimum": 1, "maximum": 65_535, "help": "443 unless something is in between."},
    )
    account: str = field(
        metadata={"label": "Account", "help": "With the role Storage Operator or Storage Administrator."}
    )
    password: Secret = field(metadata={"label": "Password", "help": "Of that account."})
    ca_file: Path | None = field(
        default=None,
        metadata={
            "label": "CA file",
            "help": "On the access nodes: certificates (PEM) of the authority that signed the array’s. Empty: those "
            "that the node trusts.",
        },
    )
    nas_server: str = field(
        metadata={"label": "NAS server", "help": "Its name on the array. Test lists those that there are."}
    )
    mount: Path = field(
        metadata={
            "label": "Mounted at",
            "help": "The directory on the access nodes below which the NAS server is mounted. Its file system “home” "
            "must be at /mnt/nas1/home if this is /mnt/nas1.",
        }
    )
    reading: Reading = field(
        default=Reading.DIRECTORY,
        metadata={
            "label": "Snapshots are read",
            "choice_labels": {
                Reading.DIRECTORY: "In .snapshot of the file system",
                Reading.EXPORT: "Through an NFS export",
            },
            "help": "An export is made while a snapshot is read, and removed afterwards. Users see no such snapshot in "
            ".snapshot.",
        },
    )
    timeout_seconds: int = field(
        default=60,
        metadata={
            "label": "Time limit",
            "help": "Seconds that the array may take for one answer.",
            "minimum": 1,
            "maximum": 3_600,
        },
    )

    def __post_init__(self) -> None:
        if not self.host or any(sign in self.host for sign in "/ @?#"):
            raise InvalidOptions(
                "The address is a name or an address, without “https://” and without a path.", field="host"
            )
        if not self.password.reveal():
            raise InvalidOptions("Password is missing.", field="password")
        checked_ca_file(self.ca_file)

    def settings(self) -> ArraySettings:
        return ArraySettings(
            host=self.host,
            port=self.port,
            account=self.account,
            password=self.password,
            ca_file="" if self.ca_file is None else str(self.ca_file),
            timeout_seconds=self.timeout_seconds,
        )
