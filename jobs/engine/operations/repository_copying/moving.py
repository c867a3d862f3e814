"""Moving blobs: processes that take one pack of the source after the other and write what is wanted of it anew.

Which blobs these are is known before, so nobody has to claim one: each pack of the source has exactly one mover.
"""

from __future__ import annotations

import mmap
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import EngineError
from ...ids import BlobId
from ...media.ahead import read_ahead
from ...media.wrapping import transfers_of
from ...repository.blob import reseal_blob
from ...repository.crypto import SEAL_BYTES
from ...repository.index import Index
from ...repository.layout import BlobKind, pack_name
from ...repository.pack_writer import PackWriter, WrittenPack
from ...repository.repository import Repository
from ...repository.stored import read_part
from ..copy_pipeline.channel import WorkerEnd
from ..copy_pipeline.crew import Crew
from ..copy_pipeline.messages import Goodbye, WorkerFailed
from ..copy_pipeline.tally import SharedBoard, Tally
from .missing import Missing

_GAP_BYTES: Final = 64 << 10
"""Rather read this much for nothing than ask again."""
_READ_BYTES: Final = 4 << 20
_POLL_SECONDS: Final = 0.1
_MOST_WRITERS: Final = 6
"""Packs of one mover that may be on their way."""


class _Turns:
    """Hands out the numbers 0, 1, 2 … once each, to whichever process asks next. Made before ``fork``."""

    def __init__(self) -> None:
        self._words = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        self._lock = multiprocessing.get_context("fork").Lock()

    def take(self) -> int:
        with self._lock:
            number = self._words[0]
            self._words[0] = number + 1
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What is moved from where to where; inherited by the movers through ``fork``."""

    source: Repository
    source_index: Index
    target: Repository
    missing: Sequence[Missing]
    pack_bytes: int

    @property
    def packs(self) -> int:
        """Packs of the source that are read."""
        return sum(kind.packs for kind in self.missing)

    def part(self, number: int) -> tuple[Missing, int, int] | None:
        """The ``number``-th of the packs: its kind and its rows; None when there are no more."""
        for kind in self.missing:
            if number < kind.packs:
                return kind, int(kind.starts[number]), int(kind.starts[number + 1])
            number -= kind.packs
        return None


def move_blobs(
    move: Move,
    *,
    movers: int,
    board: SharedBoard,
    on_started: Callable[[], None],
    on_written: Callable[[WrittenPack], None],
    beat: Callable[[], None],
) -> None:
    """Until everything is durable in the target and told to ``on_written``; ``beat`` is called often and may raise.

    Raises what a mover met, and ReaderLost when one died. What was written by then was told.
    """
    turns = _Turns()
    crew = Crew(min(movers, move.packs), board, lambda number, end: _run(number, end, move, turns, board))
    try:
        on_started()
        while not crew.is_gone:
            for _, message in crew.poll(_POLL_SECONDS):
                _hear(message, on_written)
            beat()
    except BaseException:
        for _, message in crew.stop():
            if isinstance(message, WrittenPack):
                on_written(message)
        raise
    crew.close()


def _hear(message: object, on_written: Callable[[WrittenPack], None]) -> None:
    if isinstance(message, WrittenPack):
        on_written(message)
    elif isinstance(message, WorkerFailed):
        raise message.error


def _run(number: int, end: WorkerEnd, move: Move, turns: _Turns, board: SharedBoard) -> None:
    """The life of one mover. Packs are written out in every case but an error."""
    writers = min(_MOST_WRITERS, transfers_of(move.target.media))
    writer = PackWriter(move.target, on_written=end.send, pack_bytes=move.pack_bytes, threads=writers)
    mover = _Mover(move, writer, board.tally(number), should_stop=lambda: board.stopping)
    try:
        while not board.stopping and (part := move.part(turns.take())) is not None:
            mover.move(*part)
        writer.close()
        end.send(Goodbye(number, b""))
    except (BrokenPipeError, ConnectionResetError):
        return
    except EngineError as error:
        writer.abort()
        end.send(WorkerFailed(error))
    except (OSError, MemoryError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        end.send(WorkerFailed(EngineError(f"A process that moved data failed: {type(error).__name__}: {error}")))
        raise


class _Mover:
    """One process's reading, verifying and sealing. Memory: one read, and the packs being filled and written."""

    def __init__(self, move: Move, writer: PackWriter, tally: Tally, *, should_stop: Callable[[], bool]) -> None:
        self._move, self._writer, self._tally, self._should_stop = move, writer, tally, should_stop

    def move(self, missing: Missing, start: int, end: int) -> None:
        """Some rows of one pack."""
        pack = int(missing.places[start, 0])
        name = pack_name(self._move.source_index.pack_id(pack))
        places = missing.places[start:end, 1:].tolist()
        ids = [BlobId(row.tobytes()) for row in missing.ids[start:end]]
        media = self._move.source.media

        def read(run: tuple[int, int]) -> bytes:
            base, end = _extent(places[run[0] : run[1]])
            return read_part(media, name, offset=base, length=end - base)

        for (first, last), raw in read_ahead(list(_runs(places)), read, transfers=transfers_of(media)):
            if self._should_stop():
                return
            self._move_run(missing.kind, name, ids[first:last], places[first:last], memoryview(raw))

    def _move_run(self, kind: BlobKind, name: str, ids: list[BlobId], places: list[list[int]], raw: memoryview) -> None:
        base, length = places[0][0], len(raw)
        opener, sealer = self._move.source.sealer(), self._move.target.sealer()
        tally = self._tally
        tally.bytes_read += length
        for blob, (offset, sealed_length, raw_length) in zip(ids, places, strict=True):
            sealed = raw[offset - base : offset - base + sealed_length]
            pieces, stored, plain = reseal_blob(
                kind, sealed, opener, sealer, blob=blob, raw_length=raw_length, name=name
            )
            self._writer.add(kind, blob, pieces, stored, plain)
            moved = raw_length or sealed_length - SEAL_BYTES
            tally.bytes_done += moved
            tally.bytes_new += moved
            tally.bytes_stored += stored
            if kind is BlobKind.TREE:
                tally.tree_blobs += 1
            else:
                tally.data_blobs += 1
        tally.publish()


def _extent(places: Sequence[Sequence[int]]) -> tuple[int, int]:
    return places[0][0], places[-1][0] + places[-1][1]


def _runs(places: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Rows (first, behind the last) of neighbours that are read at once."""
    first = 0
    for row in range(1, len(places) + 1):
        if row < len(places):
            end = places[row - 1][0] + places[row - 1][1]
            is_near = places[row][0] - end <= _GAP_BYTES
            if is_near and places[row][0] + places[row][1] - places[first][0] <= _READ_BYTES:
                continue
        yield first, row
        first = row
