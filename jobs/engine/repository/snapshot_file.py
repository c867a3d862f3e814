"""Snapshot files: what one backup copy left in the repository (design document, "Snapshots").

A *snapshot file* is restic's object; a *snapshot* elsewhere in SnapCopy is the storage's. Fields that are not
known here are ignored when reading.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

import orjson

from ..errors import NotInCopy, RepositoryDamaged
from ..ids import BlobId, FileId
from ..media.ahead import read_ahead
from ..media.wrapping import transfers_of
from .gojson import go_time, json_body_of_bytes, parse_go_time
from .layout import FileKind, blob_id, damaged, file_name, is_file_id
from .repository import Repository

LATEST: Final = "latest"
_SHORTEST_PREFIX: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Figures of the copy, named as restic >= 0.17 stores them. Times are ns since the epoch, UTC."""

    backup_start_ns: int
    backup_end_ns: int
    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    dirs_new: int = 0
    dirs_changed: int = 0
    dirs_unmodified: int = 0
    data_blobs: int = 0
    tree_blobs: int = 0
    data_added: int = 0
    data_added_packed: int = 0
    total_files_processed: int = 0
    total_bytes_processed: int = 0


_FIGURES: Final = tuple(field.name for field in fields(Summary) if not field.name.endswith("_ns"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFile:
    """``paths`` are raw bytes, absolute; ``time_ns`` is the time of the storage's snapshot. ``id`` None = not stored.

    ``program_version`` is "snapcopy X" for ours. ``tags`` must hold no secret.
    """

    time_ns: int
    tree: BlobId
    paths: tuple[bytes, ...]
    hostname: str = ""
    username: str = ""
    uid: int = 0
    gid: int = 0
    tags: tuple[str, ...] = ()
    parent: FileId | None = None
    original: FileId | None = None
    program_version: str = ""
    summary: Summary | None = None
    id: FileId | None = None

    def to_json(self) -> bytes:
        """As ``encoding/json`` writes it; empty fields are left out."""
        parts = [f'"time":"{go_time(self.time_ns)}"']
        if self.parent:
            parts.append(f'"parent":"{self.parent}"')
        parts.append(f'"tree":"{self.tree.hex()}"')
        parts.append(f'"paths":{_strings(self.paths)}')
        for name, text in (("hostname", self.hostname), ("username", self.username)):
            if text:
                parts.append(f'"{name}":{_string(text.encode())}')
        parts += [f'"{name}":{number}' for name, number in (("uid", self.uid), ("gid", self.gid)) if number]
        if self.tags:
            parts.append(f'"tags":{_strings(tag.encode() for tag in self.tags)}')
        if self.original:
            parts.append(f'"original":"{self.original}"')
        if self.program_version:
            parts.append(f'"program_version":{_string(self.program_version.encode())}')
        if self.summary:
            parts.append(f'"summary":{_summary_json(self.summary)}')
        return f"{{{','.join(parts)}}}".encode()


def _string(raw: bytes) -> str:
    return f'"{json_body_of_bytes(raw)}"'


def _strings(items: Iterable[bytes]) -> str:
    return f"[{','.join(_string(item) for item in items)}]"


def _summary_json(summary: Summary) -> str:
    value: dict[str, object] = {
        "backup_start": go_time(summary.backup_start_ns),
        "backup_end": go_time(summary.backup_end_ns),
    }
    value.update((name, getattr(summary, name)) for name in _FIGURES)
    return json.dumps(value, separators=(",", ":"))


def parse_snapshot_file(file_id: FileId, text: bytes) -> SnapshotFile:
    """Raises RepositoryDamaged naming the snapshot file."""
    try:
        value = orjson.loads(text)
        get = value.get
        return SnapshotFile(
            id=file_id,
            time_ns=parse_go_time(value["time"]),
            tree=blob_id(value["tree"]),
            paths=tuple(path.encode() for path in get("paths") or ()),
            hostname=str(get("hostname") or ""),
            username=str(get("username") or ""),
            uid=int(get("uid") or 0),
            gid=int(get("gid") or 0),
            tags=tuple(str(tag) for tag in get("tags") or ()),
            parent=_file_id(get("parent")),
            original=_file_id(get("original")),
            program_version=str(get("program_version") or ""),
            summary=_parse_summary(get("summary")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(file_name(FileKind.SNAPSHOT, file_id), f"it is not a snapshot file ({error})") from error


def _file_id(value: str | None) -> FileId | None:
    if value is None:
        return None
    if not is_file_id(value):
        raise ValueError("not an id")
    return FileId(value)


def _parse_summary(value: dict[str, Any] | None) -> Summary | None:
    if not value:
        return None
    return Summary(
        backup_start_ns=parse_go_time(value["backup_start"]),
        backup_end_ns=parse_go_time(value["backup_end"]),
        **{name: int(value.get(name, 0)) for name in _FIGURES},
    )


def save_snapshot_file(repository: Repository, snapshot: SnapshotFile) -> FileId:
    """Store it: the last step of a copy. Everything it refers to must be durable and in an index file."""
    return repository.write_file(FileKind.SNAPSHOT, snapshot.to_json())


def read_snapshot_file(repository: Repository, file_id: FileId) -> SnapshotFile:
    """Raises NotInCopy if there is none of that id, RepositoryDamaged."""
    if not is_file_id(file_id) or not repository.media.exists(file_name(FileKind.SNAPSHOT, file_id)):
        raise NotInCopy(f"There is no snapshot file {file_id[:12]} in the repository.")
    return parse_snapshot_file(file_id, repository.read_file(FileKind.SNAPSHOT, file_id))


def list_snapshot_files(
    repository: Repository, *, on_damaged: Callable[[RepositoryDamaged], None] | None = None
) -> list[SnapshotFile]:
    """All, oldest first. A damaged one is raised, or told ``on_damaged`` and left out; one that vanishes is none."""

    def read(file_id: FileId) -> bytes | RepositoryDamaged:
        try:
            return repository.read_file(FileKind.SNAPSHOT, file_id)
        except RepositoryDamaged as error:
            return error

    found = []
    names = [file_id for file_id, _ in repository.list_files(FileKind.SNAPSHOT)]
    for file_id, text in read_ahead(names, read, transfers=transfers_of(repository.media)):
        try:
            if isinstance(text, RepositoryDamaged):
                raise text
            found.append(parse_snapshot_file(file_id, text))
        except RepositoryDamaged as error:
            if not repository.media.exists(file_name(FileKind.SNAPSHOT, file_id)):
                continue
            if on_damaged is None:
                raise
            on_damaged(error)
    return sorted(found, key=lambda snapshot: (snapshot.time_ns, snapshot.id or ""))


def find_snapshot_file(
    repository: Repository,
    wanted: str,
    *,
    hostname: str | None = None,
    paths: tuple[bytes, ...] | None = None,
    tags: tuple[str, ...] = (),
) -> SnapshotFile:
    """By id, by an unambiguous prefix of at least 4 digits, or "latest" among those that match the filters.

    Raises NotInCopy if none or several match.
    """
    if wanted == LATEST:
        return _latest(repository, hostname, paths, tags)
    if is_file_id(wanted):
        return read_snapshot_file(repository, FileId(wanted))
    found = list(_with_prefix(repository, wanted)) if len(wanted) >= _SHORTEST_PREFIX else []
    if len(found) != 1:
        count = "no" if not found else f"{len(found)}"
        raise NotInCopy(f"“{wanted}” matches {count} snapshot files.", hint="Give more digits of the id, or “latest”.")
    return read_snapshot_file(repository, found[0])


def _with_prefix(repository: Repository, prefix: str) -> Iterator[FileId]:
    return (file_id for file_id, _ in repository.list_files(FileKind.SNAPSHOT) if file_id.startswith(prefix))


def _latest(
    repository: Repository, hostname: str | None, paths: tuple[bytes, ...] | None, tags: tuple[str, ...]
) -> SnapshotFile:
    matching = [
        snapshot
        for snapshot in list_snapshot_files(repository)
        if (hostname is None or snapshot.hostname == hostname)
        and (paths is None or sorted(snapshot.paths) == sorted(paths))
        and set(tags) <= set(snapshot.tags)
    ]
    if not matching:
        raise NotInCopy("The repository holds no snapshot file that matches.")
    return matching[-1]
