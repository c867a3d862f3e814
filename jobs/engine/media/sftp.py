"""A directory on an SSH server as a medium.

A file is written under a hidden name in the root, synced, renamed, and its folder synced, so that after a crash it is
there whole or not at all. Connections live in ``sftp_link``, what is done over them in ``sftp_files``.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncssh

from ..errors import (
    EngineError,
    FileMissing,
    InvalidOptions,
    MediaRefused,
    MediaUnavailable,
    NoSpace,
    RepositoryDamaged,
)
from ..plan import Secret
from . import sftp_files
from .base import Buffer, TestReport, Usage
from .disk_leftovers import temporary_name
from .names import checked_name, checked_prefix
from .per_process import PerProcess
from .pieces import total_bytes
from .probe import run_probe
from .sftp_errors import file_error, link_error
from .sftp_keys import login_key, pinned_key
from .sftp_link import Action, HostKeyRefused, Links, Login, Result

_CALL_SECONDS: Final = 120
_SLOWEST_BYTES_PER_SECOND: Final = 50_000
_READ_ONLY: Final = 1
"""``SSH_FXE_STATVFS_ST_RDONLY`` of OpenSSH's statvfs extension."""
_STANDARD_PORT: Final = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpOptions:
    """Where the server is, who we are there, and which key it must show."""

    host: str = field(metadata={"label": "Host", "help": "Name or address of the SSH server."})
    port: int = field(
        default=_STANDARD_PORT,
        metadata={"label": "Port", "help": "22 nearly everywhere.", "minimum": 1, "maximum": 65535},
    )
    user: str = field(metadata={"label": "User", "help": "Account on the server. One of its own for backups is best."})
    private_key: Secret | None = field(
        default=None,
        metadata={
            "label": "Private key",
            "help": "The whole file, as ssh-keygen made it. Its public half belongs into authorized_keys there.",
            "multiline": True,
        },
    )
    passphrase: Secret | None = field(
        default=None, metadata={"label": "Passphrase", "help": "Of the private key, if it has one."}
    )
    password: Secret | None = field(
        default=None, metadata={"label": "Password", "help": "Of the user, where the server takes no key."}
    )
    host_key: str | None = field(
        default=None,
        metadata={
            "label": "Host key",
            "help": "SHA256:… or ssh-ed25519 AAAA… of the server. Test shows it; nothing is sent before it is right.",
        },
    )
    path: Path = field(
        metadata={"label": "Directory", "help": "Absolute path on the server, as this user sees it."},
    )
    create_directory: bool = field(
        default=False,
        metadata={"label": "Create the directory", "help": "Make the directory if it does not exist yet."},
    )
    fsync: bool = field(
        default=True,
        metadata={
            "label": "Sync every file",
            "help": "Wait until each file is on the server's stable storage. Off: a power cut there may lose a copy.",
        },
    )

    def __post_init__(self) -> None:
        if self.private_key is None and self.password is None:
            raise InvalidOptions("A private key or a password is needed.", field="private_key")
        if self.passphrase is not None and self.private_key is None:
            raise InvalidOptions("A passphrase needs its private key.", field="private_key")
        if self.private_key is not None:
            login_key(self.private_key, self.passphrase)
        if self.host_key is not None:
            pinned_key(self.host_key)


class SftpMedia:
    """One directory on a server. Thread-safe, with a connection for each call in flight; safe after ``fork``."""

    def __init__(self, options: SftpOptions) -> None:
        """Opens no connection."""
        self._options = options
        self._root = str(options.path)
        self._login = Login(
            host=options.host,
            port=options.port,
            user=options.user,
            password=options.password.reveal() if options.password else None,
            key=login_key(options.private_key, options.passphrase) if options.private_key else None,
            pinned=pinned_key(options.host_key) if options.host_key else None,
        )
        self._links = Links(self._login)
        self._prepared: PerProcess[set[str]] = PerProcess(set)

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        """See :class:`~jobs.engine.media.base.Media`. Raises NoSpace, MediaRefused, MediaUnavailable."""
        path = self._path(name)
        self._prepare()
        length = total_bytes(pieces)
        seconds = _CALL_SECONDS + length / _SLOWEST_BYTES_PER_SECOND

        async def action(client: asyncssh.SFTPClient) -> None:
            temporary = posixpath.join(self._root, os.fsdecode(temporary_name(os.path.basename(path).encode())))
            await sftp_files.store(client, path, temporary, pieces, is_synced=self._options.fsync)

        self._call(action, "write", name, seconds=seconds, needed_bytes=length)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See :class:`~jobs.engine.media.base.Media`. Raises FileMissing, or RepositoryDamaged if it is too short."""
        path = self._path(name)
        seconds = _CALL_SECONDS + (length or 2**26) / _SLOWEST_BYTES_PER_SECOND
        data, wanted = self._call(
            lambda client: sftp_files.fetch(client, path, offset, length), "read", name, seconds=seconds
        )
        if len(data) != wanted:
            size = self.size(name)
            raise RepositoryDamaged(
                f"“{name}” on {self} ends after {size} bytes; {offset + max(0, wanted)} were expected.", name=name
            )
        return data

    def size(self, name: str) -> int:
        """Bytes of a stored file. Raises FileMissing."""
        path = self._path(name)
        return self._call(lambda client: client.stat(path), "look up", name).size or 0

    def exists(self, name: str) -> bool:
        try:
            self.size(name)
        except FileMissing:
            return False
        return True

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See :class:`~jobs.engine.media.base.Media`. A folder that does not exist is empty."""
        folder = checked_prefix(prefix)
        self._require_root()
        seconds = 30 * _CALL_SECONDS
        yield from self._call(
            lambda client: sftp_files.walk(client, self._root, folder), "list", prefix or "/", seconds=seconds
        )

    def delete(self, name: str) -> None:
        """See :class:`~jobs.engine.media.base.Media`. The removal is durable when it returns."""
        path = self._path(name)
        with contextlib.suppress(FileMissing):
            self._call(lambda client: sftp_files.remove(client, path, is_synced=self._options.fsync), "delete", name)

    def usage(self) -> Usage:
        """Of the whole file system there; None where the server cannot tell."""
        self._require_root()
        status = self._status()
        if status is None:
            return Usage(total_bytes=None, free_bytes=None)
        return Usage(total_bytes=status.blocks * status.frsize, free_bytes=status.bavail * status.frsize)

    def test(self) -> TestReport:
        """See :class:`~jobs.engine.media.base.Media`. Makes the directory only if the options say so."""
        pinned = f", host key {self._login.pinned.fingerprint}" if self._login.pinned else ""
        return run_probe(self, prepare=self._require_root, place=f"{self}{pinned}")

    def close(self) -> None:
        self._links.close()

    def __str__(self) -> str:
        port = "" if self._options.port == _STANDARD_PORT else f":{self._options.port}"
        return f"SFTP server {self._options.host}{port}"

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, checked_name(name))

    def _prepare(self) -> None:
        """Before the first file of a process: the root is there, and what killed writers left in it goes."""
        prepared = self._prepared.get()
        if "root" not in prepared:
            self._require_root()
            self._call(lambda client: sftp_files.sweep(client, self._root), "list", "/")
            prepared.add("root")

    def _require_root(self) -> None:
        async def look(client: asyncssh.SFTPClient) -> bool:
            if await client.isdir(self._root):
                return True
            if self._options.create_directory and "root" not in self._prepared.get():
                await sftp_files.make_root(client, self._root)
                return True
            return False

        if not self._run(look, "open", "/"):
            raise self._no_root()

    def _no_root(self) -> MediaUnavailable:
        return MediaUnavailable(
            f"The directory {self._root} is not there on {self}.",
            hint="Make it on the server, or turn “Create the directory” on.",
        )

    def _call(
        self, action: Action[Result], what: str, name: str, *, seconds: float | None = None, needed_bytes: int = 0
    ) -> Result:
        """A file that is not there, in a root that is not there either, is not lost: its medium is."""
        try:
            return self._run(action, what, name, seconds=seconds, needed_bytes=needed_bytes)
        except FileMissing:
            self._require_root()
            raise

    def _run(
        self, action: Action[Result], what: str, name: str, *, seconds: float | None = None, needed_bytes: int = 0
    ) -> Result:
        try:
            return self._links.run(action, seconds=seconds or _CALL_SECONDS)
        except asyncssh.SFTPFailure as error:
            raise self._why(error, what, name, needed_bytes) from error
        except asyncssh.SFTPError as error:
            raise file_error(error, action=what, name=name, label=str(self)) from error
        except (OSError, asyncssh.Error, HostKeyRefused) as error:
            raise link_error(error, self._login, str(self)) from error

    def _why(self, error: asyncssh.SFTPFailure, what: str, name: str, needed_bytes: int) -> EngineError:
        """Version 3 of the protocol, OpenSSH's, has no word for “full” and “read-only”: the file system is asked."""
        with contextlib.suppress(EngineError):
            status = self._status() if what in {"write", "delete"} else None
            if status is not None and status.flags & _READ_ONLY:
                return MediaRefused(
                    f"Cannot {what} “{name}” on {self}: the file system is read-only.", hint="Mount it for writing."
                )
            if status is not None and status.bavail * status.frsize < max(needed_bytes, 1):
                return NoSpace(f"There is no space left to {what} “{name}” on {self}.")
        return file_error(error, action=what, name=name, label=str(self))

    def _status(self) -> asyncssh.SFTPVFSAttrs | None:
        try:
            return self._links.run(lambda client: client.statvfs(self._root), seconds=_CALL_SECONDS)
        except asyncssh.SFTPOpUnsupported:
            return None
        except asyncssh.SFTPError as error:
            raise file_error(error, action="measure", name="/", label=str(self)) from error
        except (OSError, asyncssh.Error, HostKeyRefused) as error:
            raise link_error(error, self._login, str(self)) from error


def stock_sftp(options: Mapping[str, object]) -> str:
    """What ``restic -r`` takes; it logs in with the keys and known hosts of whoever runs it."""
    user, host, path = options.get("user"), str(options.get("host", "")), options.get("path")
    if options.get("port", _STANDARD_PORT) == _STANDARD_PORT and ":" not in host:
        return f"sftp:{user}@{host}:{path}"
    bracketed = f"[{host}]" if ":" in host else host
    return f"sftp://{user}@{bracketed}:{options.get('port')}/{path}"
