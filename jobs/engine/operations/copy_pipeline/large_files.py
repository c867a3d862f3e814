"""Large files: read in windows and cut by the worker's main thread, hashed, compressed and sealed by a few others.

The main thread does not wait for a file's last chunk: it goes on reading, and completes nodes later, in
:meth:`LargeFiles.collect`. The number of windows bounds the memory; waiting for a free one is the back-pressure.
"""

from __future__ import annotations

import errno
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Final

from ...ids import BlobId
from ...repository.chunker import MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, ZERO_CHUNK_ID, Chunker
from ...repository.layout import BlobKind
from ...source.node import content_suffix, with_size
from .assembly import Assembly
from .old_chunks import OldChunks
from .pending import WantedFile
from .sizing import WINDOW_BYTES, Sizing
from .stores import BlobStore
from .tally import Tally

_BEAT_SECONDS: Final = 0.2
_STEP_BYTES: Final = MIN_CHUNK_BYTES
"""Read at once while looking for the end of a change: little is read beyond it."""
_ZEROS: Final = bytes(MIN_CHUNK_BYTES)


class _Window:
    """A buffer and the number of its chunks that are still in use."""

    __slots__ = ("buffer", "users")

    def __init__(self) -> None:
        self.buffer = bytearray(WINDOW_BYTES + MAX_CHUNK_BYTES)
        self.users = 0


class _OpenFile:
    """A large file of which chunks are on their way. ``ids`` are in order; ``missing`` counts those not known yet."""

    __slots__ = ("attributes", "error", "ids", "missing", "path", "size", "wanted")

    def __init__(self, wanted: WantedFile, attributes: str, path: str) -> None:
        self.wanted = wanted
        self.attributes = attributes
        self.path = path
        self.size = 0
        self.ids: list[BlobId | None] = []
        self.missing = 0
        self.error: BaseException | None = None

    def node(self) -> str:
        """The finished node, with the size that was read."""
        prefix, stated = self.wanted.prefix, self.wanted.st.st_size
        if self.size != stated:
            prefix = with_size(prefix, stated, self.size)
        return prefix + self.attributes + content_suffix([blob.hex() for blob in self.ids if blob is not None])


class LargeFiles:
    """The large files of one worker. Used by its main thread; threads start with the first file.

    ``beat`` is called at least twice a second of waiting or reading; ``announce(path, begins)`` when a file is begun
    and when it is complete.
    """

    def __init__(
        self,
        *,
        store: BlobStore,
        assembly: Assembly,
        tally: Tally,
        sizing: Sizing,
        chunker: Chunker,
        beat: Callable[[], None],
        announce: Callable[[str, bool], None],
    ) -> None:
        self._store = store
        self._assembly = assembly
        self._tally = tally
        self._sizing = sizing
        self._chunker = chunker
        self._beat = beat
        self._announce = announce
        self._pool: ThreadPoolExecutor | None = None
        self._free: queue.SimpleQueue[_Window] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._done = threading.Condition(self._lock)
        self._files: deque[_OpenFile] = deque()

    def read(self, fd: int, wanted: WantedFile, attributes: str, path: str) -> None:
        """Read a file to its end and hand its chunks to the threads; the node follows in :meth:`collect`.

        Raises OSError when reading fails (the file is then given up) and what the threads met.
        """
        self._store.ready()
        file = self._begin(wanted, attributes, path)
        try:
            self._read_windows(fd, file)
        except BaseException:
            self._give_up(file)
            raise
        self.collect(wait=False)

    def read_ranges(self, fd: int, wanted: WantedFile, attributes: str, path: str, old: OldChunks) -> None:
        """As :meth:`read`, for a file in a snapshot of which most is known: only what changed is read and cut anew."""
        file = self._begin(wanted, attributes, path)
        try:
            while file.size < old.size:
                kept, end = old.keep_from(file.size)
                if kept:
                    self._tally.bytes_done += end - file.size
                    file.ids += kept
                    file.size = end
                else:
                    self._read_change(fd, file, old)
        except BaseException:
            self._give_up(file)
            raise
        self.collect(wait=False)

    def collect(self, *, wait: bool) -> None:
        """Fill in the nodes of files whose chunks are all stored; with ``wait``, of all files."""
        while self._files:
            file = self._files[0]
            with self._done:
                while wait and file.missing and file.error is None:
                    self._done.wait(_BEAT_SECONDS)
                    if file.missing:
                        break
                ready = not file.missing
            if file.error is not None:
                raise file.error
            if not ready:
                if not wait:
                    return
                self._beat()
                continue
            self._files.popleft()
            self._announce(file.path, False)
            self._assembly.fill(file.wanted.directory, file.wanted.slot, file.node())

    def close(self) -> None:
        """End the threads; chunks that were not begun are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, wanted: WantedFile, attributes: str, path: str) -> _OpenFile:
        if self._pool is None:
            self._start()
        file = _OpenFile(wanted, attributes, path)
        self._files.append(file)
        self._announce(path, True)
        return file

    def _give_up(self, file: _OpenFile) -> None:
        self._files.remove(file)
        self._announce(file.path, False)

    def _start(self) -> None:
        self._pool = ThreadPoolExecutor(self._sizing.threads, thread_name_prefix="large-file")
        for _ in range(self._sizing.windows):
            self._free.put(_Window())

    def _window(self) -> _Window:
        while True:
            try:
                return self._free.get(timeout=_BEAT_SECONDS)
            except queue.Empty:
                self._beat()
                self._raise_errors()

    def _raise_errors(self) -> None:
        for file in self._files:
            if file.error is not None:
                raise file.error

    def _read_windows(self, fd: int, file: _OpenFile) -> None:
        tail = b""
        position = 0
        status = os.fstat(fd)
        has_holes = status.st_blocks * 512 < status.st_size
        while True:
            if has_holes and not tail:
                position = self._skip_hole(fd, file, position)
            window = self._window()
            try:
                view = memoryview(window.buffer)
                held = len(tail)
                view[:held] = tail
                filled, at_end = _fill(fd, view, held, position)
                got = filled - held
                position += got
                self._tally.bytes_read += got
                chunks = self._chunker.cut(view[:filled])
                tail = b"" if at_end or not chunks or _is_zero_chunk(chunks[-1]) else bytes(chunks.pop())
            except BaseException:
                self._free.put(window)
                raise
            self._submit(file, window, chunks)
            self._tally.bytes_done += got
            self._beat()
            if at_end:
                return
            if has_holes and len(tail) < MIN_CHUNK_BYTES and tail == _ZEROS[: len(tail)]:
                position -= len(tail)
                self._tally.bytes_done -= len(tail)
                tail = b""

    def _skip_hole(self, fd: int, file: _OpenFile, position: int) -> int:
        """Take the whole zero chunks of a hole that begins at ``position`` without reading; where to read on."""
        try:
            end = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                return position
            end = os.fstat(fd).st_size
        count = (end - position) // MIN_CHUNK_BYTES
        if count <= 0:
            return position
        if self._store.claim(BlobKind.DATA, [ZERO_CHUNK_ID]):
            self._store.store(BlobKind.DATA, ZERO_CHUNK_ID, _ZEROS)
        file.ids += [ZERO_CHUNK_ID] * count
        file.size += count * MIN_CHUNK_BYTES
        self._tally.bytes_done += count * MIN_CHUNK_BYTES
        return position + count * MIN_CHUNK_BYTES

    def _read_change(self, fd: int, file: _OpenFile, old: OldChunks) -> None:
        """Read and cut from where the file stands until a cut meets an old chunk that may be kept, or the end."""
        tail = b""
        is_met = False
        while not is_met:
            window = self._window()
            base = file.size
            try:
                view = memoryview(window.buffer)
                filled, start = len(tail), 0
                view[:filled] = tail
                chunks: list[memoryview] = []
                while filled < len(view) and not is_met:
                    got = os.preadv(fd, [view[filled : filled + _STEP_BYTES]], base + filled)
                    self._tally.bytes_read += got
                    filled += got
                    is_met = base + filled >= old.size
                    if not got and not is_met:
                        raise OSError(errno.EIO, "the file ends too early")
                    pieces = self._chunker.cut(view[start:filled])
                    for piece in pieces if is_met else pieces[:-1]:
                        chunks.append(piece)
                        start += len(piece)
                        if old.is_met(base + start):
                            is_met = True
                            break
                tail = bytes(view[start:filled])
            except BaseException:
                self._free.put(window)
                raise
            self._submit(file, window, chunks)
            self._tally.bytes_done += start
            self._beat()

    def _submit(self, file: _OpenFile, window: _Window, chunks: list[memoryview]) -> None:
        if not chunks or self._pool is None:
            self._free.put(window)
            return
        first = len(file.ids)
        with self._lock:
            window.users = len(chunks)
            file.missing += len(chunks)
            file.ids += [None] * len(chunks)
        for number, chunk in enumerate(chunks, first):
            file.size += len(chunk)
            self._pool.submit(self._store_chunk, file, window, number, chunk)

    def _store_chunk(self, file: _OpenFile, window: _Window, number: int, chunk: memoryview) -> None:
        error: BaseException | None = None
        blob: BlobId | None = None
        try:
            blob = ZERO_CHUNK_ID if _is_zero_chunk(chunk) else BlobId(sha256(chunk).digest())
            if self._store.claim(BlobKind.DATA, [blob]):
                self._store.store(BlobKind.DATA, blob, chunk)
        except BaseException as caught:  # noqa: BLE001 - raised again by the thread that reads
            error = caught
        chunk.release()
        with self._done:
            file.ids[number] = blob
            file.missing -= 1
            file.error = file.error or error
            window.users -= 1
            free = not window.users
            if not file.missing:
                self._done.notify()
        if free:
            self._free.put(window)


def _is_zero_chunk(chunk: memoryview) -> bool:
    """Such a chunk ends where it ends, whatever follows."""
    return len(chunk) == MIN_CHUNK_BYTES and chunk[:64] == _ZEROS[:64] and chunk == _ZEROS


def _fill(fd: int, view: memoryview, start: int, position: int) -> tuple[int, bool]:
    """Read into ``view`` from ``start`` up to a window more; (bytes that are in it, whether the file ends there)."""
    end = start + WINDOW_BYTES
    while start < end:
        got = os.preadv(fd, [view[start:end]], position)
        if not got:
            return start, True
        start += got
        position += got
    return start, False
