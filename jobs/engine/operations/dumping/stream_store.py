"""A stream whose end nobody knows, stored as one file: cut by whoever brings it, processed by a few threads.

The windows bound the memory; waiting for a free one is the back-pressure that reaches the file server. From then on
what is not compressed yet is compressed less, until the threads have nothing left to do when the next window is full:
a dump holds a session and a snapshot of the file server as long as it runs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ...ids import BlobId
from ...media.base import Buffer
from ...repository.chunker import MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, ZERO_CHUNK_ID, Chunker
from ...repository.layout import BlobKind
from ...repository.session import AppendSession

WINDOW_BYTES: Final = 8 << 20
"""New bytes of a window; the rest of the one before comes on top."""
QUICK_LEVEL: Final = 1
"""Of zstd, where the stream comes quicker than it is compressed: twice as quick, and a tenth larger."""
_BEAT_SECONDS: Final = 0.1
_ID_BYTES: Final = 32
_ZEROS: Final = bytes(MIN_CHUNK_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStream:
    """What a stream became: so many bytes, and the ids of its blobs, 32 bytes each, one after the other."""

    size_bytes: int
    blob_ids: bytes

    def hex_ids(self) -> list[str]:
        """The ids as a node's ``content`` has them."""
        return [self.blob_ids[at : at + _ID_BYTES].hex() for at in range(0, len(self.blob_ids), _ID_BYTES)]


class _Window:
    """A buffer and the number of its chunks that are still in use."""

    __slots__ = ("buffer", "users")

    def __init__(self) -> None:
        self.buffer = bytearray(WINDOW_BYTES + MAX_CHUNK_BYTES)
        self.users = 0


class StreamStore:
    """Stores streams one after the other into an append session. Close it.

    ``beat`` is called while it waits, at least ten times a second, and may raise. Memory: ``windows`` times 16 MiB at
    most, and the packs of the session.
    """

    def __init__(
        self, session: AppendSession, chunker: Chunker, *, threads: int, windows: int, beat: Callable[[], None]
    ) -> None:
        self._session = session
        self._chunker = chunker
        self._beat = beat
        self._quick_level = min(session.compression_level, QUICK_LEVEL)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stream-store")
        self._free: queue.SimpleQueue[_Window] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._done = threading.Condition(self._lock)
        self._missing = 0
        self._is_late = False
        self._error: BaseException | None = None
        for _ in range(max(2, windows)):
            self._free.put(_Window())

    def begin(self) -> StreamWriter:
        """A new stream; the one before must be finished."""
        return StreamWriter(self)

    def close(self) -> None:
        """End the threads; chunks that were not begun are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def window(self) -> _Window:
        """A free window; waits for one. Raises what the threads met, and what the beat raises."""
        while True:
            self._raise_error()
            self._is_late = self._is_late or self._free.empty()
            try:
                return self._free.get(timeout=_BEAT_SECONDS)
            except queue.Empty:
                self._beat()

    def release(self, window: _Window) -> None:
        self._free.put(window)

    def cut(self, view: memoryview) -> list[memoryview]:
        return self._chunker.cut(view)

    def submit(self, ids: bytearray, window: _Window, chunks: list[memoryview]) -> None:
        """Store the chunks of a window; their ids go to the end of ``ids``, which they make longer at once."""
        if not chunks:
            self._free.put(window)
            return
        first = len(ids)
        ids += bytes(_ID_BYTES * len(chunks))
        with self._lock:
            self._is_late = self._is_late and self._missing > 0
            window.users = len(chunks)
            self._missing += len(chunks)
        for place, chunk in enumerate(chunks):
            self._pool.submit(self._store, ids, first + _ID_BYTES * place, window, chunk)

    def wait(self) -> None:
        """Until everything that was submitted is stored. Raises what the threads met, and what the beat raises."""
        while True:
            with self._done:
                if self._missing and self._error is None:
                    self._done.wait(_BEAT_SECONDS)
                is_done = not self._missing
            self._raise_error()
            if is_done:
                return
            self._beat()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _store(self, ids: bytearray, place: int, window: _Window, chunk: memoryview) -> None:
        error: BaseException | None = None
        try:
            if self._error is None:
                blob = ZERO_CHUNK_ID if _is_zero_chunk(chunk) else BlobId(sha256(chunk).digest())
                if self._session.claim(BlobKind.DATA, (blob,)):
                    level = self._quick_level if self._is_late else None
                    self._session.store(BlobKind.DATA, blob, chunk, level=level)
                ids[place : place + _ID_BYTES] = blob
        except BaseException as caught:  # noqa: BLE001 - raised again by the thread that brings the stream
            error = caught
        chunk.release()
        with self._done:
            self._error = self._error or error
            self._missing -= 1
            window.users -= 1
            is_free = not window.users
            if not self._missing or self._error is not None:
                self._done.notify_all()
        if is_free:
            self._free.put(window)


class StreamWriter:
    """One stream: an :class:`~jobs.engine.ndmp.backup.ImageWriter`. Used by one thread."""

    def __init__(self, store: StreamStore) -> None:
        self._store = store
        self._ids = bytearray()
        self._window: _Window | None = None
        self._view = memoryview(b"")
        self._filled = 0
        self._full_at = 0
        self.size_bytes = 0

    def room(self) -> memoryview:
        """Where the next bytes go. Waits for a free window; raises what storing meets: NoSpace and the like."""
        if self._window is None:
            self._open_window(b"")
        return self._view[self._filled : self._full_at]

    def took(self, count: int) -> None:
        """So many bytes lie at the beginning of the room now. Raises what storing meets."""
        self.size_bytes += count
        self._filled += count
        if self._filled == self._full_at:
            self._cut(at_end=False)

    def write(self, piece: Buffer) -> None:
        """The next bytes, from elsewhere; ``piece`` is only used during the call. Raises what storing meets."""
        rest = memoryview(piece)
        while rest:
            room = self.room()
            taken = min(len(rest), len(room))
            room[:taken] = rest[:taken]
            self.took(taken)
            rest = rest[taken:]

    def finish(self) -> StoredStream:
        """The stream has ended: store the rest, and wait until every blob has its place in a pack."""
        if self._window is not None:
            self._cut(at_end=True)
        self._store.wait()
        return StoredStream(size_bytes=self.size_bytes, blob_ids=bytes(self._ids))

    def _open_window(self, tail: bytes) -> None:
        self._window = self._store.window()
        self._view = memoryview(self._window.buffer)
        self._filled = len(tail)
        self._full_at = self._filled + WINDOW_BYTES
        self._view[: self._filled] = tail

    def _cut(self, *, at_end: bool) -> None:
        """Give the window's chunks to the threads; what is not certainly a whole chunk begins the next window."""
        window = self._window
        if window is None:
            return
        chunks = self._store.cut(self._view[: self._filled])
        is_last_whole = at_end or not chunks or _is_zero_chunk(chunks[-1])
        tail = b"" if is_last_whole else bytes(chunks.pop())
        self._window = None
        self._store.submit(self._ids, window, chunks)
        if tail:
            self._open_window(tail)


def _is_zero_chunk(chunk: memoryview) -> bool:
    """Such a chunk ends where it ends, whatever follows."""
    return len(chunk) == MIN_CHUNK_BYTES and chunk[:64] == _ZEROS[:64] and chunk == _ZEROS
