"""The locks that lie in a repository: reading, judging and clearing them. Taking one lives in ``lock``."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

from ..clock import Clock
from ..errors import RepositoryDamaged
from ..ids import FileId
from ..processes import is_running
from .gojson import parse_go_time
from .layout import FileKind, damaged, file_name
from .repository import Repository

STALE_SECONDS: Final = 1800.0

ours: set[FileId] = set()
"""Locks that this process holds, guarded by ``ours_lock``: others with its pid are of a dead process before it."""
ours_lock = threading.Lock()


class Verdict(StrEnum):
    """What is known of a lock's owner."""

    ALIVE = "alive"
    """On this host, and its process runs."""
    ELSEWHERE = "elsewhere"
    """On another host, and not old."""
    DEAD = "dead"
    """On this host, and its process is gone."""
    EXPIRED = "expired"
    """Not refreshed for 30 minutes."""

    @property
    def is_stale(self) -> bool:
        return self in {Verdict.DEAD, Verdict.EXPIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class LockInfo:
    """A lock in the repository, as read. ``age_seconds`` may be negative when clocks differ."""

    id: FileId
    time_ns: int
    exclusive: bool
    hostname: str
    username: str
    pid: int
    age_seconds: float
    verdict: Verdict

    def __str__(self) -> str:
        kind = "exclusively " if self.exclusive else ""
        return f"{kind}by process {self.pid} on {self.hostname or 'an unnamed host'} ({self.username or 'unnamed'})"


def list_locks(repository: Repository) -> list[LockInfo]:
    """All locks, oldest first. One that vanishes meanwhile is left out. Raises RepositoryDamaged for an unreadable one.

    Empty lock files are what an interrupted upload left on some media; as in restic they are no locks.
    """
    found = []
    for file_id, size in repository.list_files(FileKind.LOCK):
        if not size:
            continue
        try:
            text = repository.read_file(FileKind.LOCK, file_id)
        except RepositoryDamaged:
            if repository.media.exists(file_name(FileKind.LOCK, file_id)):
                raise
            continue
        found.append(_parse_lock(file_id, text, repository.clock))
    return sorted(found, key=lambda lock: lock.time_ns)


def _parse_lock(file_id: FileId, text: bytes, clock: Clock) -> LockInfo:
    try:
        value = orjson.loads(text)
        time_ns = parse_go_time(value["time"])
        hostname, pid = str(value.get("hostname") or ""), value["pid"]
        if type(pid) is not int or type(value["exclusive"]) is not bool:
            raise ValueError("a field of another type")
        age = (clock.now_ns() - time_ns) / 1e9
        return LockInfo(
            id=file_id,
            time_ns=time_ns,
            exclusive=value["exclusive"],
            hostname=hostname,
            username=str(value.get("username") or ""),
            pid=pid,
            age_seconds=age,
            verdict=_verdict(file_id, hostname, pid, age),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "Remove it with “unlock --remove-all” when nobody uses the repository."
        raise damaged(file_name(FileKind.LOCK, file_id), f"it is not a lock ({error})", hint=hint) from error


def _verdict(file_id: FileId, hostname: str, pid: int, age_seconds: float) -> Verdict:
    if age_seconds > STALE_SECONDS:
        return Verdict.EXPIRED
    if hostname != socket.gethostname():
        return Verdict.ELSEWHERE
    if pid == os.getpid():
        with ours_lock:
            return Verdict.ALIVE if file_id in ours else Verdict.DEAD
    return Verdict.ALIVE if is_running(pid) else Verdict.DEAD


def clear_locks(repository: Repository, *, everything: bool = False) -> list[FileId]:
    """Remove stale locks, or all of them (also unreadable ones). Returns what was removed.

    ``everything`` is for people who know that nobody uses the repository.
    """
    if everything:
        doomed = [file_id for file_id, _ in repository.list_files(FileKind.LOCK)]
    else:
        doomed = [lock.id for lock in list_locks(repository) if lock.verdict.is_stale]
    for file_id in doomed:
        repository.delete_file(FileKind.LOCK, file_id)
    return doomed
