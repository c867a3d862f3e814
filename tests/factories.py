"""Rows of the configuration for tests, through the services where a rule is theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group, User

from jobs.engine.plan import Secret
from policies.models import Copy, FileServer, Media, StoragePolicy, Subclient
from policies.secrets import REPOSITORY_PASSWORD
from policies.services import create_copy, create_file_server, create_media, create_policy, create_subclient
from snapcopy_site.lib.roles import Role

PASSWORD = "a repository password"


def make_user(role: Role | None = Role.VIEWER, *, username: str = "", **values: Any) -> User:
    """A user of one role, or of none; without a password unless given one: hashing it takes a quarter of a second."""
    user = User.objects.create_user(username or (role.value if role else "nobody"), **values)
    if role:
        user.groups.add(Group.objects.get(name=role.value))
    return user


def make_media(path: Path | str = "/srv/backup", *, name: str = "disk-a", password: str = PASSWORD) -> Media:
    """A disk medium. Nothing is written to ``path``."""
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
    """A policy with its primary snap copy, and a backup copy if a medium is given."""
    policy = create_policy(user=None, name=name, is_inline=is_inline)
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
