"""Key files: the master key sealed by a key that scrypt derives from a password (design document, "Keys").

A repository has one master key and any number of key files, one per password. Key files are plain JSON.
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import os
import socket
import time
from dataclasses import dataclass, field
from typing import Final

import orjson

from ..clock import Clock
from ..errors import Permanent, RepositoryDamaged, RepositoryMissing, WrongPassword
from ..ids import FileId
from ..media.base import Media
from ..plan import Secret
from .crypto import BrokenSealError, MasterKey, Sealer
from .gojson import go_time
from .layout import CONFIG_NAME, FileKind, damaged, file_name, is_file_id
from .stored import list_ids, read_stored

SALT_BYTES: Final = 64
MAX_SCRYPT_MEMORY_BYTES: Final = 1 << 30
MAX_SCRYPT_WORK: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ScryptCost:
    """Parameters of scrypt (RFC 7914). The default takes about 0.1 s and 32 MiB."""

    n: int = 1 << 15
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        """Raises ValueError for what scrypt refuses, or what would take minutes or more than 1 GiB."""
        numbers = (self.n, self.r, self.p)
        if any(type(number) is not int or number < 1 for number in numbers) or self.n < 2 or self.n & (self.n - 1):
            raise ValueError("scrypt needs N a power of two, and r and p at least 1")
        memory = 128 * self.n * self.r
        if memory > MAX_SCRYPT_MEMORY_BYTES or memory * self.p > MAX_SCRYPT_WORK:
            raise ValueError("the scrypt parameters ask for too much memory or time")

    def derive(self, password: Secret, salt: bytes) -> MasterKey:
        raw = hashlib.scrypt(
            password.reveal().encode(),
            salt=salt,
            n=self.n,
            r=self.r,
            p=self.p,
            maxmem=128 * self.r * (self.n + self.p + 2) + (1 << 20),
            dklen=64,
        )
        return MasterKey.from_64_bytes(raw)


def calibrated_cost(*, seconds: float = 0.3, memory_bytes: int = 64 << 20) -> ScryptCost:
    """The cost that takes about ``seconds`` on this machine within ``memory_bytes``; never below the default."""
    base = ScryptCost()
    started = time.perf_counter()
    base.derive(Secret("calibration"), bytes(SALT_BYTES))
    factor = seconds / max(time.perf_counter() - started, 1e-4)
    n = base.n
    while factor >= 2 and 128 * n * 2 * base.r <= memory_bytes:
        n *= 2
        factor /= 2
    return ScryptCost(n=n, r=base.r, p=max(1, min(16, int(factor))))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """One key file as parsed. ``data`` is the sealed master key; it says nothing without the password."""

    id: FileId
    created: str
    username: str
    hostname: str
    cost: ScryptCost
    salt: bytes = field(repr=False)
    data: bytes = field(repr=False)

    def unlock(self, password: Secret) -> MasterKey:
        """The master key. Raises BrokenSealError for another password, RepositoryDamaged for a nonsensical key."""
        plain = Sealer(self.cost.derive(password, self.salt)).open(self.data)
        try:
            value = orjson.loads(plain)
            parts = (value["encrypt"], value["mac"]["k"], value["mac"]["r"])
            encrypt, k, r = (base64.b64decode(part, validate=True) for part in parts)
            raw = encrypt + k + r
            if (len(encrypt), len(k), len(r)) != (32, 16, 16) or not any(encrypt) or not any(k) or not any(r):
                raise ValueError("wrong sizes")
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(file_name(FileKind.KEY, self.id), "it does not hold a master key") from error
        return MasterKey.from_64_bytes(raw)


def parse_key_file(file_id: FileId, text: bytes) -> KeyFile:
    """Raises RepositoryDamaged."""
    try:
        value = orjson.loads(text)
        if value["kdf"] != "scrypt":
            raise ValueError("unknown key derivation")
        salt = base64.b64decode(value["salt"], validate=True)
        if len(salt) != SALT_BYTES:
            raise ValueError("salt of a wrong size")
        return KeyFile(
            id=file_id,
            created=str(value.get("created", "")),
            username=str(value.get("username", "")),
            hostname=str(value.get("hostname", "")),
            cost=ScryptCost(n=value["N"], r=value["r"], p=value["p"]),
            salt=salt,
            data=base64.b64decode(value["data"], validate=True),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(file_name(FileKind.KEY, file_id), f"it is not a key file ({error})") from error


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def user_name() -> str:
    """Name of the account this process runs as; empty when it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def add_key(media: Media, master: MasterKey, password: Secret, *, cost: ScryptCost, clock: Clock) -> FileId:
    """Store a new key file that opens ``master`` with ``password``. Existing ones stay as they are."""
    if not password.reveal():
        raise WrongPassword("The repository password is empty.", hint="Give the repository a password.")
    salt = os.urandom(SALT_BYTES)
    inner = {
        "mac": {"k": _base64(master.mac_k), "r": _base64(master.mac_r)},
        "encrypt": _base64(master.encrypt),
    }
    data = Sealer(cost.derive(password, salt)).seal(json.dumps(inner, separators=(",", ":")).encode())
    text = json.dumps(
        {
            "created": go_time(clock.now_ns()),
            "username": user_name(),
            "hostname": socket.gethostname(),
            "kdf": "scrypt",
            "N": cost.n,
            "r": cost.r,
            "p": cost.p,
            "salt": _base64(salt),
            "data": _base64(data),
        },
        separators=(",", ":"),
    ).encode()
    file_id = FileId(hashlib.sha256(text).hexdigest())
    media.put(file_name(FileKind.KEY, file_id), [text])
    return file_id


def read_key_file(media: Media, file_id: FileId) -> KeyFile:
    """Raises RepositoryDamaged naming the key file."""
    return parse_key_file(file_id, read_stored(media, FileKind.KEY, file_id))


def list_key_files(media: Media) -> list[FileId]:
    return sorted(file_id for file_id, _ in list_ids(media, FileKind.KEY))


def search_key(media: Media, password: Secret) -> tuple[FileId, MasterKey]:
    """Try every key file. Raises WrongPassword, RepositoryMissing, or RepositoryDamaged if none is readable."""
    broken: list[RepositoryDamaged] = []
    found = list_key_files(media)
    for file_id in found:
        try:
            return file_id, read_key_file(media, file_id).unlock(password)
        except BrokenSealError:
            continue
        except RepositoryDamaged as error:
            broken.append(error)
    if not found:
        if media.exists(CONFIG_NAME):
            raise damaged("keys", "the repository has no key file")
        raise RepositoryMissing("There is no repository at this place.", hint="Create it, or correct the path.")
    if len(broken) == len(found):
        raise broken[0]
    names = ", ".join(error.name for error in broken)
    hint = f"Correct the password. These key files are damaged and were left out: {names}." if broken else ""
    raise WrongPassword("No key of the repository opens with this password.", hint=hint)


def remove_key(media: Media, file_id: FileId) -> None:
    """Remove one key file; its password opens the repository no more. The last one is refused."""
    if not is_file_id(file_id) or [file_id] == list_key_files(media):
        raise Permanent(
            "The only key of a repository cannot be removed.",
            hint="Add a key with another password first.",
        )
    media.delete(file_name(FileKind.KEY, file_id))
