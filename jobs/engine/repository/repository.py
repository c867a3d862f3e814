"""An opened repository: master key, config, and its unpacked files (sealed, compressed, named by their SHA-256).

Blobs live in ``blob``, packs in ``pack``, the index in ``index``, locks in ``lock``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256

from ..clock import Clock, SystemClock
from ..errors import RepositoryExists, RepositoryMissing
from ..ids import FileId
from ..media.base import Media
from ..plan import Secret
from . import keys
from .compression import MAX_FILE_BYTES, BadCompressionError, compress, decompress
from .config import Config
from .crypto import BrokenSealError, MasterKey, Sealer
from .keys import KeyFile, ScryptCost
from .layout import CONFIG_NAME, FileKind, damaged, file_name
from .stored import READINGS, list_ids, read_part, read_stored

_ZSTD_MARK = b"\x02"
_PLAIN_JSON = (0x5B, 0x7B)


class _Sealers(threading.local):
    sealer: Sealer | None = None


class Repository:
    """A repository on one medium. Thread-safe; cheap to hand to a forked child: it holds keys, no connection.

    ``key_id`` is the key file that opened it.
    """

    __slots__ = ("_sealers", "clock", "config", "key", "key_id", "media")

    def __init__(self, *, media: Media, key: MasterKey, config: Config, key_id: FileId, clock: Clock) -> None:
        self.media = media
        self.key = key
        self.config = config
        self.key_id = key_id
        self.clock = clock
        self._sealers = _Sealers()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.media, self.key, self.config, self.key_id, self.clock)

    @classmethod
    def create(
        cls,
        media: Media,
        password: Secret,
        *,
        clock: Clock | None = None,
        cost: ScryptCost | None = None,
    ) -> Repository:
        """Make a new repository (format version 2). The config comes last: an interrupted create leaves none.

        Raises RepositoryExists, or RepositoryDamaged where data lies without a config.
        """
        clock = clock or SystemClock()
        if media.exists(CONFIG_NAME):
            raise RepositoryExists("There is a repository at this place already.", hint="Open it with its password.")
        _clear_leftover_keys(media)
        key, config = MasterKey.random(), Config.random()
        key_id = keys.add_key(media, key, password, cost=cost or ScryptCost(), clock=clock)
        repository = cls(media=media, key=key, config=config, key_id=key_id, clock=clock)
        media.put(CONFIG_NAME, [repository.sealer().seal(config.to_json())])
        return repository

    @classmethod
    def open(cls, media: Media, password: Secret, *, clock: Clock | None = None) -> Repository:
        """Raises RepositoryMissing, WrongPassword, RepositoryDamaged, EngineUnsupported. One scrypt per key file."""
        if not media.exists(CONFIG_NAME):
            raise RepositoryMissing("There is no repository at this place.", hint="Create it, or correct the path.")
        key_id, key = keys.search_key(media, password)
        config = Config.from_json(_open_config(media, key))
        return cls(media=media, key=key, config=config, key_id=key_id, clock=clock or SystemClock())

    @property
    def id(self) -> str:
        """64 hexadecimal digits that identify the repository wherever it lies."""
        return self.config.id

    def sealer(self) -> Sealer:
        """This thread's sealer."""
        sealer = self._sealers.sealer
        if sealer is None:
            sealer = self._sealers.sealer = Sealer(self.key)
        return sealer

    def list_files(self, kind: FileKind) -> Iterator[tuple[FileId, int]]:
        """(id, stored bytes) of every file of a kind, unordered."""
        return list_ids(self.media, kind)

    def read_file(self, kind: FileKind, file_id: FileId) -> bytes:
        """The JSON text of an index, snapshot or lock file. Raises RepositoryDamaged naming it."""
        name = file_name(kind, file_id)
        stored = read_stored(self.media, kind, file_id)
        try:
            plain = self.sealer().open(stored)
            if plain[:1] == _ZSTD_MARK:
                return decompress(memoryview(plain)[1:], at_most=MAX_FILE_BYTES)
        except (BrokenSealError, BadCompressionError) as error:
            raise damaged(name, str(error)) from error
        if not plain or plain[0] not in _PLAIN_JSON:
            raise damaged(name, "its encoding is unknown")
        return plain

    def write_file(self, kind: FileKind, text: bytes) -> FileId:
        """Seal, compress and store a JSON text; returns the new file's id. Durable when it returns."""
        stored = self.sealer().seal(_ZSTD_MARK + compress(text))
        file_id = FileId(sha256(stored).hexdigest())
        self.media.put(file_name(kind, file_id), [stored])
        return file_id

    def delete_file(self, kind: FileKind, file_id: FileId) -> None:
        """Remove a file; a missing one is no error."""
        self.media.delete(file_name(kind, file_id))

    def add_key(self, password: Secret, *, cost: ScryptCost | None = None) -> FileId:
        """Another password for the same repository."""
        return keys.add_key(self.media, self.key, password, cost=cost or ScryptCost(), clock=self.clock)

    def list_keys(self) -> list[KeyFile]:
        return [keys.read_key_file(self.media, file_id) for file_id in keys.list_key_files(self.media)]

    def remove_key(self, file_id: FileId) -> None:
        """Refuses the last one."""
        keys.remove_key(self.media, file_id)


def _open_config(media: Media, key: MasterKey) -> bytes:
    """Its name is no hash: what came damaged is read again, since it may have been damaged on the way."""
    problem: BrokenSealError | None = None
    for _ in range(READINGS):
        try:
            return Sealer(key).open(read_part(media, CONFIG_NAME))
        except BrokenSealError as error:
            problem = error
    raise damaged(CONFIG_NAME, str(problem)) from problem


def _rebuild(media: Media, key: MasterKey, config: Config, key_id: FileId, clock: Clock) -> Repository:
    return Repository(media=media, key=key, config=config, key_id=key_id, clock=clock)


def _clear_leftover_keys(media: Media) -> None:
    leftover = keys.list_key_files(media)
    if not leftover:
        return
    for kind in (FileKind.PACK, FileKind.SNAPSHOT, FileKind.INDEX):
        if next(list_ids(media, kind), None) is not None:
            raise damaged(CONFIG_NAME, "it is missing, though there are data", hint="Restore the file “config”.")
    for file_id in leftover:
        media.delete(file_name(FileKind.KEY, file_id))
