"""The file that holds the keys of all secrets: outside the database, mode 0600, created on first use.

Text, one key a line: ``<key id> <32 bytes in base64> <created, UTC>``. The first key seals, all of them open. The file
is read each time it is needed, so that every process sees a rotation at once. Rows and ciphertext are not known here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from policies.errors import KeyringRefused

KEY_BYTES: Final = 32
_HEADER: Final = (
    "# SnapCopy keys. Whoever reads this file can read all stored passwords. Keep a copy in a safe place.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One AES-256 key. ``id`` is derived from it, so that a token can name its key without telling it."""

    id: str
    material: bytes = field(repr=False)
    created_at: datetime

    @classmethod
    def generate(cls) -> Key:
        material = secrets.token_bytes(KEY_BYTES)
        return cls(id=_key_id(material), material=material, created_at=datetime.now(UTC).replace(microsecond=0))


def read_keys(path: Path) -> tuple[Key, ...]:
    """All keys, the sealing one first. Creates the file with one key if there is none. Raises KeyringRefused."""
    try:
        return _read(path)
    except FileNotFoundError:
        _write_new(path, (Key.generate(),))
    return _read(path)


def put_key_first(path: Path, key: Key) -> None:
    """Make ``key`` the one that seals; the older ones stay and go on opening. Durable when it returns."""
    _replace(path, (key, *read_keys(path)))


def drop_keys(path: Path, key_ids: set[str]) -> None:
    """Remove keys; the first is never removed."""
    first, *others = read_keys(path)
    _replace(path, (first, *(key for key in others if key.id not in key_ids)))


def _read(path: Path) -> tuple[Key, ...]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(fd, encoding="ascii") as file:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & 0o077:
            raise KeyringRefused(
                f"The key file {path} has mode {mode:04o}: others on this machine may read it.",
                hint=f"Run: chmod 600 {path}. If somebody may have read it, run snapcopy rotate-key afterwards.",
            )
        try:
            lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
            keys = tuple(_parse(*line) for line in lines)
        except (TypeError, ValueError, binascii.Error) as error:
            raise _unusable(path) from error
    if not keys:
        raise _unusable(path)
    return keys


def _unusable(path: Path) -> KeyringRefused:
    return KeyringRefused(
        f"The key file {path} is empty or damaged.",
        hint="Put back a copy of it. Without it stored passwords must be typed again.",
    )


def _parse(key_id: str, material: str, created_at: str) -> Key:
    raw = base64.b64decode(material, validate=True)
    if len(raw) != KEY_BYTES or _key_id(raw) != key_id:
        raise ValueError
    return Key(id=key_id, material=raw, created_at=datetime.fromisoformat(created_at))


def _key_id(material: bytes) -> str:
    return hashlib.sha256(b"snapcopy key id" + material).hexdigest()[:16]


def _lines(keys: tuple[Key, ...]) -> str:
    return _HEADER + "".join(
        f"{key.id} {base64.b64encode(key.material).decode()} {key.created_at.isoformat()}\n" for key in keys
    )


def _write_temporary(path: Path, keys: tuple[Key, ...]) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(_lines(keys))
        file.flush()
        os.fsync(fd)
    return temporary


def _write_new(path: Path, keys: tuple[Key, ...]) -> None:
    """Another process may be first: ``link`` refuses to replace its file."""
    temporary = _write_temporary(path, keys)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        os.unlink(temporary)
        _sync_directory(path.parent)


def _replace(path: Path, keys: tuple[Key, ...]) -> None:
    os.rename(_write_temporary(path, keys), path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
