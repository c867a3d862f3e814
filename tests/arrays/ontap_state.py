"""What the emulated ONTAP keeps: volumes, their snapshots, jobs, relationships of SnapMirror; and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from .https_server import Answer

Json = dict[str, Any]


@dataclass(kw_only=True)
class StoredSnapshot:
    name: str
    created: datetime
    comment: str = ""
    label: str = ""
    uuid: str = field(default_factory=lambda: str(uuid4()))
    owners: list[str] = field(default_factory=list)
    is_locked: bool = False


@dataclass(kw_only=True)
class StoredVolume:
    """``filler``: so many snapshots of others are counted besides, without being there."""

    name: str
    directory: Path
    path: str
    type: str = "rw"
    shows_snapshots: bool = True
    state: str = "online"
    parent: str = ""
    filler: int = 0
    uuid: str = field(default_factory=lambda: str(uuid4()))
    snapshots: list[StoredSnapshot] = field(default_factory=list)


@dataclass(kw_only=True)
class StoredJob:
    """``polls``: so many times it is still running when somebody looks."""

    uuid: str
    act: Callable[[], None]
    polls: int
    state: str = "queued"
    error: Json | None = None


@dataclass(kw_only=True)
class StoredTransfer:
    uuid: str
    snapshot: str
    polls: int
    state: str = "transferring"
    error: Json | None = None


@dataclass(kw_only=True)
class Relation:
    source: StoredVolume
    source_path: str
    destination: StoredVolume
    state: str = "snapmirrored"
    uuid: str = field(default_factory=lambda: str(uuid4()))
    transfers: dict[str, StoredTransfer] = field(default_factory=dict)


class Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status=status, body={"error": {"message": message, "code": code}})
        self.error = {"message": message, "code": code}


def named(volume: StoredVolume, name: str) -> StoredSnapshot:
    found = next((one for one in volume.snapshots if one.name == name), None)
    if found is None:
        raise Refusal(404, "4", "entry doesn't exist")
    return found
