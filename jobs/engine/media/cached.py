"""A local cache of what remote media are asked for again: trees, in blocks of their packs, and snapshot files.

Safe to lose, and never believed: each block carries its checksum, what is in it is verified by whoever reads it, and
what does not verify is asked of the medium. Packs never change under their name, so nothing in it grows old. It holds
sealed bytes only, as the medium does. Bounded: what was not used for longest goes.

Block file: SHA-256 of what follows (32 bytes) || the block. Its name: ``<2 hex>/<pack id>-<number of the block>``.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import os
import secrets
import threading
import time
from collections import Counter, OrderedDict
from hashlib import sha256
from pathlib import Path
from typing import Final

from .base import Media
from .checked import hash_in
from .wrapping import Wrapper

logger = logging.getLogger(__name__)

BLOCK_BYTES: Final = 128 << 10
MOST_BYTES: Final = 1 << 30
_MOST_BLOCKS_AHEAD: Final = 16
"""Of a pack that is asked for again and again; the first time only the block itself is fetched."""
_BLOCKS_AT_HAND: Final = 24
"""In memory, for walks that go from folder to folder: 3 MiB."""
_DIGEST_BYTES: Final = 32
_TOUCH_AFTER_SECONDS: Final = 3600.0
_KEPT_FOLDER: Final = "snapshots/"


class Cached(Wrapper):
    """Around everything else that wraps a medium. Thread-safe; several processes may share a directory."""

    def __init__(self, inner: Media, directory: Path, *, most_bytes: int = MOST_BYTES) -> None:
        super().__init__(inner)
        self._directory = directory
        self._most_bytes = most_bytes
        self._sizes: dict[str, int] = {}
        self._misses: Counter[str] = Counter()
        self._held: int | None = None
        self._lock = threading.Lock()
        self._warm: OrderedDict[str, bytes] = OrderedDict()

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Snapshot files are kept; all else passes through."""
        wanted = hash_in(name) if name.startswith(_KEPT_FOLDER) and not offset and length is None else None
        if wanted is None:
            return self.inner.get(name, offset=offset, length=length)
        kept = self._load(wanted)
        if kept is not None and sha256(kept).hexdigest() == wanted:
            return kept
        data = self.inner.get(name)
        if sha256(data).hexdigest() == wanted:
            self._store(wanted, data)
        return data

    def get_near(self, name: str, *, offset: int, length: int, is_fresh: bool = False) -> bytes:
        """As ``get``; what lies beside it is fetched too and kept. ``is_fresh``: ask the medium in any case."""
        pack = hash_in(name)
        if pack is None or length <= 0:
            return self.inner.get(name, offset=offset, length=length)
        first, last = offset // BLOCK_BYTES, (offset + length - 1) // BLOCK_BYTES
        if not is_fresh:
            blocks = [self._load(f"{pack}-{number}") for number in range(first, last + 1)]
            joined = b"".join([block for block in blocks if block is not None])
            start = offset - first * BLOCK_BYTES
            if None not in blocks and len(joined) >= start + length:
                return joined[start : start + length]
        return self._fetch(name, pack, offset, length, first, last)

    def delete(self, name: str) -> None:
        self.inner.delete(name)
        if name.startswith(_KEPT_FOLDER) and (kept := hash_in(name)):
            with contextlib.suppress(OSError):
                self._path(kept).unlink(missing_ok=True)

    def _fetch(self, name: str, pack: str, offset: int, length: int, first: int, last: int) -> bytes:  # noqa: PLR0917
        """The blocks asked for, and the more of those behind them the more often this pack was asked for."""
        size = self._sizes.get(pack)
        if size is None:
            size = self._sizes[pack] = self.inner.size(name)
        ahead = min(_MOST_BLOCKS_AHEAD, (1 << self._misses[pack]) - 1) if self._misses[pack] < 8 else _MOST_BLOCKS_AHEAD
        self._misses[pack] += 1
        start = first * BLOCK_BYTES
        end = max(offset + length, min(size, (last + 1 + ahead) * BLOCK_BYTES))
        data = self.inner.get(name, offset=start, length=end - start)
        for number, at in enumerate(range(0, len(data), BLOCK_BYTES), first):
            self._store(f"{pack}-{number}", data[at : at + BLOCK_BYTES])
        return data[offset - start : offset - start + length]

    def _path(self, key: str) -> Path:
        return self._directory / key[:2] / key

    def _load(self, key: str) -> bytes | None:
        """A kept piece, or None. One that fails its checksum is removed. The last few are at hand."""
        with self._lock:
            at_hand = self._warm.get(key)
        if at_hand is not None:
            return at_hand
        path = self._path(key)
        try:
            with path.open("rb") as file:
                stored = file.read()
                touched = os.fstat(file.fileno()).st_mtime
            if not hmac.compare_digest(stored[:_DIGEST_BYTES], sha256(stored[_DIGEST_BYTES:]).digest()):
                path.unlink(missing_ok=True)
                return None
            if time.time() - touched > _TOUCH_AFTER_SECONDS:
                os.utime(path)
        except OSError:
            return None
        data = stored[_DIGEST_BYTES:]
        self._keep_at_hand(key, data)
        return data

    def _keep_at_hand(self, key: str, data: bytes) -> None:
        with self._lock:
            self._warm[key] = data
            self._warm.move_to_end(key)
            while len(self._warm) > _BLOCKS_AT_HAND:
                self._warm.popitem(last=False)

    def _store(self, key: str, data: bytes) -> None:
        """A cache that cannot be written is no failure."""
        self._keep_at_hand(key, data)
        path = self._path(key)
        temporary = path.with_name(f"{key}.{secrets.token_hex(4)}.tmp")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(temporary, "xb", opener=_private) as file:
                file.write(sha256(data).digest() + data)
            temporary.rename(path)
            self._bound(len(data))
        except OSError as error:
            logger.warning("The local cache at %s cannot be written: %s", self._directory, error)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _bound(self, added: int) -> None:
        """When it holds too much, what was not used for longest goes until four fifths are left."""
        with self._lock:
            if self._held is None:
                self._held = sum(size for _, size, _ in self._files())
            else:
                self._held += added
            if self._held <= self._most_bytes:
                return
            files = sorted(self._files())
            self._held = sum(size for _, size, _ in files)
            for _, size, path in files:
                if self._held <= self._most_bytes * 4 // 5:
                    break
                Path(path).unlink(missing_ok=True)
                self._held -= size

    def _files(self) -> list[tuple[float, int, str]]:
        """(last used, bytes, path) of everything kept, and of what killed writers left."""
        found = []
        for folder in os.scandir(self._directory):
            if folder.is_dir(follow_symlinks=False):
                for entry in os.scandir(folder.path):
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        found.append((status.st_mtime, status.st_size, entry.path))
        return found


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
