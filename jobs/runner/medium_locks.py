"""The locks that lie in the repository of a medium, as this node sees and judges them, and removing a dead one (J3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jobs.engine.errors import RepositoryLocked, RepositoryMissing
from jobs.engine.ids import FileId
from jobs.engine.repository.layout import FileKind
from jobs.engine.repository.lock_file import LockInfo, Verdict, list_locks
from jobs.engine.repository.repository import Repository
from jobs.progress import clean
from policies.models import Media
from policies.resolve import media_password, resolve_media

_ALIVE = {
    Verdict.ALIVE: "Its process {pid} runs on {host}.",
    Verdict.ELSEWHERE: "It is of another host, {host}, and gave a sign of life {age} s ago: nobody here can tell that "
    "its process is dead.",
}


def tell_locks(values: Mapping[str, Any]) -> dict[str, Any]:
    """All of them, oldest first."""
    with _opened(values) as repository:
        return {"locks": [_as_plain(lock) for lock in list_locks(repository)]}


def clear_one(values: Mapping[str, Any]) -> dict[str, Any]:
    """Remove one lock that is expired, or whose process is known here to be dead. One that is gone is no error.

    Raises RepositoryLocked for one that may be alive.
    """
    with _opened(values) as repository:
        found = next((lock for lock in list_locks(repository) if lock.id == values["lock"]), None)
        if found is None:
            return {"cleared": False}
        if not found.verdict.is_stale:
            why = _ALIVE[found.verdict].format(
                pid=found.pid, host=clean(found.hostname) or "an unnamed host", age=round(found.age_seconds)
            )
            raise RepositoryLocked(
                f"This lock is not removed. {why}",
                hint="Kill its job, or end the restic that holds it. A lock without a sign of life for 30 minutes can "
                "be cleared.",
            )
        repository.delete_file(FileKind.LOCK, FileId(found.id))
        return {"cleared": True, "lock": _as_plain(found)}


def _as_plain(lock: LockInfo) -> dict[str, Any]:
    return {
        "id": lock.id,
        "time_ns": lock.time_ns,
        "exclusive": lock.exclusive,
        "host": clean(lock.hostname),
        "user": clean(lock.username),
        "pid": lock.pid,
        "age_seconds": lock.age_seconds,
        "verdict": lock.verdict.value,
        "is_stale": lock.verdict.is_stale,
    }


@contextmanager
def _opened(values: Mapping[str, Any]) -> Iterator[Repository]:
    media = Media.objects.filter(pk=values["media"]).first()
    if media is None:
        raise RepositoryMissing("The medium was deleted.")
    driver = resolve_media(media)
    try:
        yield Repository.open(driver, media_password(media))
    finally:
        driver.close()
