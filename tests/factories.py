"""Rows of the configuration for tests, through the services where a rule is theirs."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group, User

from jobs.engine.plan import Secret
from policies.models import BlackoutWindow, Copy, FileServer, Media, Schedule, StoragePolicy, Subclient
from policies.secrets import REPOSITORY_PASSWORD
from policies.services import (
    create_blackout_window,
    create_copy,
    create_file_server,
    create_media,
    create_policy,
    create_schedule,
    create_subclient,
)
from snapcopy_site.lib.roles import Role

PASSWORD = "a repository password"


def make_user(role: Role | None = Role.VIEWER, *, username: str = "", **values: Any) -> User:
    """A user of one role, or of none; without a password unless given one: hashing it takes a quarter of a second."""
    user = User.objects.create_user(username or (role.value if role else "nobody"), **values)
    if role:
        user.groups.add(Group.objects.get(name=role.value))
    return user


def make_media(path: Path | str = "", *, name: str = "disk-a", password: str = PASSWORD) -> Media:
    """A disk medium, in a directory of its own unless told otherwise. Nothing is written to ``path``."""
    path = path or ("/srv/backup" if name == "disk-a" else f"/srv/{name}")
    return create_media(
        user=None,
        name=name,
        kind="disk",
        options={"path": str(path)},
        secrets={REPOSITORY_PASSWORD: Secret(password)},
    )


def make_file_server(*, name: str = "fs1", engine: str = "directory", **options: object) -> FileServer:
    """A file server of the directory engine, with its snapshot area below /var/tmp unless told otherwise."""
    if engine == "directory":
        options.setdefault("area", "/var/tmp/snapcopy-test-area")
    return create_file_server(user=None, name=name, engine=engine, options=options)


def make_policy(*, name: str = "gold", media: Media | None = None, is_inline: bool = False) -> StoragePolicy:
    """A policy with its primary snap copy, and a backup copy if a medium is given; without a catalog."""
    policy = create_policy(user=None, name=name, is_inline=is_inline, catalog="skip")
    if media:
        create_copy(policy, user=None, name="backup", media=media)
    return policy


def backup_copy_of(policy: StoragePolicy) -> Copy:
    """The primary backup copy."""
    return policy.copies.get(kind="primary_backup")


def make_subclient(
    *,
    name: str = "home",
    file_server: FileServer | None = None,
    policy: StoragePolicy | None = None,
    paths: tuple[str, ...] = ("/srv/home",),
) -> Subclient:
    """A subclient with everything it needs."""
    return create_subclient(
        user=None,
        name=name,
        file_server=file_server or make_file_server(),
        policy=policy or make_policy(),
        content_paths=list(paths),
    )


def make_schedule(subclient: Subclient | None, **values: Any) -> Schedule:
    """A snapshot of the subclient at every full hour of UTC, unless told otherwise."""
    given: dict[str, Any] = {
        "name": "hourly",
        "operation": "snapshot",
        "subclient": subclient,
        "cron": "0 * * * *",
        "time_zone": "UTC",
    }
    return create_schedule(user=None, **(given | values))


def make_blackout_window(**values: Any) -> BlackoutWindow:
    """Nothing starts from 08:00 to 18:00 UTC, on every day, unless told otherwise."""
    given: dict[str, Any] = {
        "name": "office",
        "days": list(range(7)),
        "starts_at": time(8, 0),
        "ends_at": time(18, 0),
        "time_zone": "UTC",
    }
    return create_blackout_window(user=None, **(given | values))
