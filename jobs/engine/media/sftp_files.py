"""What is done with files in one SFTP session; each function is one action of a link and may be run again.

Servers: OpenSSH syncs files and folders and renames over an existing file. One that cannot is used as far as it can.
"""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import time
from collections.abc import Sequence
from typing import Final, cast

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_DIRECTORY

from .base import Buffer
from .disk_leftovers import STALE_AFTER_SECONDS, is_temporary
from .pieces import portions

_PORTION_BYTES: Final = 4 * 2**20
_LISTED_AT_ONCE: Final = 16
_PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700

Missing: Final = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
Existing: Final = (asyncssh.SFTPFileAlreadyExists, asyncssh.SFTPFailure)


async def store(
    client: asyncssh.SFTPClient, path: str, temporary: str, pieces: Sequence[Buffer], *, is_synced: bool
) -> None:
    """Write a hidden file, sync it, give it its name, sync its folder. The folder is made if it is not there."""
    try:
        await _write(client, temporary, pieces, is_synced=is_synced)
        try:
            await _rename(client, temporary, path)
        except Missing:
            await _make_folder(client, posixpath.dirname(path), above=posixpath.dirname(temporary))
            await _rename(client, temporary, path)
        if is_synced:
            await _sync_folder(client, posixpath.dirname(path))
    except BaseException:
        with contextlib.suppress(asyncssh.SFTPError, OSError):
            await client.remove(temporary)
        raise


async def fetch(client: asyncssh.SFTPClient, path: str, offset: int, length: int | None) -> tuple[bytes, int]:
    """(the bytes there are of that part, how many were wanted)."""
    async with client.open(path, "rb", encoding=None) as file:
        wanted = length
        if wanted is None:
            wanted = ((await file.stat()).size or 0) - offset
        data = await file.read(wanted, offset) if wanted > 0 else b""
        return bytes(cast("bytes", data)), wanted


async def remove(client: asyncssh.SFTPClient, path: str, *, is_synced: bool) -> None:
    await client.remove(path)
    if is_synced:
        await _sync_folder(client, posixpath.dirname(path))


async def make_root(client: asyncssh.SFTPClient, root: str) -> None:
    """The folder and those above it."""
    await client.makedirs(root, asyncssh.SFTPAttrs(permissions=_PRIVATE_FOLDER), exist_ok=True)


async def walk(client: asyncssh.SFTPClient, root: str, folder: str) -> list[tuple[str, int]]:
    """(name below ``root``, bytes) of all files below a folder. Several folders are read at once."""
    found: list[tuple[str, int]] = []
    turns = asyncio.Semaphore(_LISTED_AT_ONCE)

    async def look(name: str) -> None:
        below: list[str] = []
        async with turns:
            with contextlib.suppress(*Missing):
                async for entry in client.scandir(posixpath.join(root, name) if name else root):
                    base = str(entry.filename)
                    relative = f"{name}/{base}" if name else base
                    if entry.attrs.type == FILEXFER_TYPE_DIRECTORY:
                        if base not in {".", ".."}:
                            below.append(relative)
                    elif not is_temporary(base.encode(errors="surrogateescape")):
                        found.append((relative, entry.attrs.size or 0))
        await asyncio.gather(*(look(one) for one in below))

    await look(folder)
    return found


async def sweep(client: asyncssh.SFTPClient, root: str) -> None:
    """Remove what killed writers left a day ago: hidden files of ours, all in the root. What cannot go stays."""
    old = time.time() - STALE_AFTER_SECONDS
    with contextlib.suppress(asyncssh.SFTPError):
        async for entry in client.scandir(root):
            base = str(entry.filename)
            is_ours = base.startswith(".") and is_temporary(base.encode(errors="surrogateescape"))
            if is_ours and entry.attrs.mtime is not None and entry.attrs.mtime < old:
                with contextlib.suppress(asyncssh.SFTPError):
                    await client.remove(posixpath.join(root, base))


async def _write(client: asyncssh.SFTPClient, path: str, pieces: Sequence[Buffer], *, is_synced: bool) -> None:
    attrs = asyncssh.SFTPAttrs(permissions=_PRIVATE_FILE)
    async with client.open(path, "xb", attrs, encoding=None) as file:
        offset = 0
        for portion in portions(pieces, at_least=_PORTION_BYTES):
            offset += await file.write(cast("bytes", memoryview(portion).cast("B")), offset)
        if is_synced:
            with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                await file.fsync()


async def _rename(client: asyncssh.SFTPClient, temporary: str, path: str) -> None:
    """Over an existing file at once; a server without that gets it removed first."""
    try:
        await client.posix_rename(temporary, path)
    except asyncssh.SFTPOpUnsupported:
        with contextlib.suppress(*Missing):
            await client.remove(path)
        await client.rename(temporary, path)


async def _make_folder(client: asyncssh.SFTPClient, path: str, *, above: str) -> None:
    """A folder below the root, which is never made here. Somebody else may make it at the same moment."""
    if path == above:
        raise asyncssh.SFTPNoSuchFile(f"{path} is gone")
    attrs = asyncssh.SFTPAttrs(permissions=_PRIVATE_FOLDER)
    for _ in range(2):
        try:
            await client.mkdir(path, attrs)
        except Missing:
            await _make_folder(client, posixpath.dirname(path), above=above)
        except Existing:
            if await client.isdir(path):
                return
            raise
        else:
            await _sync_folder(client, posixpath.dirname(path))
            return


async def _sync_folder(client: asyncssh.SFTPClient, path: str) -> None:
    """A folder is opened like a file, which OpenSSH allows; a server that does not keeps its own order."""
    with contextlib.suppress(asyncssh.SFTPOpUnsupported, asyncssh.SFTPFailure, asyncssh.SFTPPermissionDenied):
        async with client.open(path, "rb", encoding=None) as folder:
            await folder.fsync()
