"""Writing packs of one process: threads that seal the header, hash the pack and put it on the medium."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ..errors import EngineError
from ..ids import BlobId
from .crypto import Sealer
from .layout import BlobKind, pack_name
from .pack import PACK_BYTES, FullPack, Packer, sealed_header
from .repository import Repository

_LOOK_SECONDS: Final = 0.2
"""How often a thread that waits for the writers looks whether they were given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPack:
    """A pack that is durable on the medium. ``index_entry`` is its JSON object for an index file; picklable."""

    id: bytes
    kind: BlobKind
    stored_bytes: int
    blobs: int
    index_entry: str


class PackWriter:
    """Two packers and the threads that write what they fill. Made in the process that uses it, after ``fork``.

    ``on_written`` is called on a writer's thread once the pack is durable. The first error of a thread is raised by
    the next ``add`` and by ``close``; nothing is written after it.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        on_written: Callable[[WrittenPack], None],
        pack_bytes: int = PACK_BYTES,
        threads: int = 1,
        waiting_packs: int = 1,
    ) -> None:
        self._repository = repository
        self._on_written = on_written
        self._wanted_threads = threads
        self._queue: queue.Queue[FullPack | None] = queue.Queue(waiting_packs)
        self._threads: list[threading.Thread] = []
        self._start_lock = threading.Lock()
        self._error: BaseException | None = None
        self._packers = {kind: Packer(kind, submit=self._submit, pack_bytes=pack_bytes) for kind in BlobKind}

    def add(self, kind: BlobKind, blob: BlobId, pieces: tuple[bytes, ...], length: int, raw_length: int) -> None:
        """See :meth:`Packer.add`. Blocks while as many packs wait as are allowed. Raises what a writer met."""
        if self._error is not None:
            raise self._error
        self._packers[kind].add(blob, pieces, length, raw_length)

    def close(self) -> None:
        """Write what is left and wait until all is durable. Raises the first error."""
        try:
            if self._error is None:
                for packer in self._packers.values():
                    packer.flush()
        finally:
            self._end_threads()
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        """Drop what was not written yet and end the threads; packs on the medium stay, and are reused or pruned."""
        self._error = self._error or EngineError("The writing of packs was given up.")
        self._end_threads()

    def _submit(self, full: FullPack) -> None:
        with self._start_lock:
            if len(self._threads) < self._wanted_threads:
                thread = threading.Thread(target=self._run, name="pack-writer", daemon=True)
                self._threads.append(thread)
                thread.start()
        while True:
            try:
                self._queue.put(full, timeout=_LOOK_SECONDS)
                return
            except queue.Full:
                if self._error is not None:
                    raise self._error from None

    def _end_threads(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _run(self) -> None:
        sealer = Sealer(self._repository.key)
        while (full := self._queue.get()) is not None:
            if self._error is not None:
                continue
            try:
                self._on_written(self._write(full, sealer))
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that adds
                self._error = error
            del full

    def _write(self, full: FullPack, sealer: Sealer) -> WrittenPack:
        pieces = full.pieces
        pieces.append(sealed_header(full, sealer))
        hashed = sha256()
        for piece in pieces:
            hashed.update(piece)
        pack_id = hashed.digest()
        self._repository.media.put(pack_name(pack_id), pieces)
        return WrittenPack(
            id=pack_id,
            kind=full.kind,
            stored_bytes=full.blob_bytes + len(pieces[-1]),
            blobs=len(full.entries),
            index_entry=full.index_entry(pack_id),
        )
