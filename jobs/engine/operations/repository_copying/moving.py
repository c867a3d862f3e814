"""Moving blobs: processes that take one pack of the source after the other and write what is wanted of it anew.

Which blobs these are is known before, so nobody has to claim one: each pack of the source has exactly one mover.
"""

from __future__ import annotations

import mmap
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ...errors import EngineError
from ...ids import BlobId
from ...media.ahead import read_ahead, share_of_transfers
from ...media.wrapping import Reach, reach_of, transfers_of
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
class _Part:
    """Blobs of one pack of the source, as they lie in it: (offset, sealed length, plain length if compressed) each."""

    kind: BlobKind
    name: str
    ids: Sequence[BlobId]
    places: Sequence[tuple[int, int, int]]

    @property
    def offset(self) -> int:
        return self.places[0][0]

    @property
    def length(self) -> int:
        """Bytes from the first to the end of the last."""
        return self.places[-1][0] + self.places[-1][1] - self.offset

    def runs(self, reach: Reach) -> Iterator[_Part]:
        """Neighbours that are read at once."""
        first = 0
        for row in range(1, len(self.places) + 1):
            if row < len(self.places):
                end = self.places[row - 1][0] + self.places[row - 1][1]
                is_near = self.places[row][0] - end <= reach.gap_bytes
                if is_near and self.places[row][0] + self.places[row][1] - self.places[first][0] <= reach.most_bytes:
                    continue
            yield replace(self, ids=self.ids[first:row], places=self.places[first:row])
            first = row


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What is moved from where to where, by ``most_movers`` processes at most, which inherit it through ``fork``."""

    source: Repository
    source_index: Index
    target: Repository
    missing: Sequence[Missing]
    pack_bytes: int
    most_movers: int

    @property
    def movers(self) -> int:
        return min(self.most_movers, self.packs)

    @property
    def packs(self) -> int:
        """Packs of the source that are read."""
        return sum(kind.packs for kind in self.missing)

    def part(self, number: int) -> _Part | None:
        """The ``number``-th of the packs; None when there are no more."""
        for kind in self.missing:
            if number < kind.packs:
                return self._part(kind, slice(int(kind.starts[number]), int(kind.starts[number + 1])))
            number -= kind.packs
        return None

    def _part(self, kind: Missing, rows: slice) -> _Part:
        name = pack_name(self.source_index.pack_id(int(kind.places[rows.start, 0])))
        ids = [BlobId(row.tobytes()) for row in kind.ids[rows]]
        return _Part(kind=kind.kind, name=name, ids=ids, places=kind.places[rows, 1:].tolist())


def move_blobs(
    move: Move,
    *,
    board: SharedBoard,
    on_started: Callable[[], None],
    on_written: Callable[[WrittenPack], None],
    beat: Callable[[], None],
) -> None:
    """Until everything is durable in the target and told to ``on_written``; ``beat`` is called often and may raise.

    Raises what a mover met, and ReaderLost when one died. What was written by then was told.
    """
    turns = _Turns()
    crew = Crew(move.movers, board, lambda number, end: _run(number, end, move, turns, board))
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
        mover.run(turns, ahead=share_of_transfers(move.source.media, sharers=move.movers))
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
    """One process's reading, verifying and sealing. Memory: what is read ahead, and the packs being filled and written.

    Reading goes on from one pack to the next, so that a far medium is never waited for between two of them.
    """

    def __init__(self, move: Move, writer: PackWriter, tally: Tally, *, should_stop: Callable[[], bool]) -> None:
        self._move, self._writer, self._tally, self._should_stop = move, writer, tally, should_stop

    def run(self, turns: _Turns, *, ahead: int) -> None:
        """Until there are no more packs, or it should stop."""
        for run, raw in read_ahead(self._runs(turns), self._read, transfers=ahead):
            if self._should_stop():
                return
            self._store(run, memoryview(raw))

    def _runs(self, turns: _Turns) -> Iterator[_Part]:
        reach = reach_of(self._move.source.media)
        while not self._should_stop() and (part := self._move.part(turns.take())) is not None:
            yield from part.runs(reach)

    def _read(self, run: _Part) -> bytes:
        return read_part(self._move.source.media, run.name, offset=run.offset, length=run.length)

    def _store(self, run: _Part, raw: memoryview) -> None:
        opener, sealer = self._move.source.sealer(), self._move.target.sealer()
        tally = self._tally
        tally.bytes_read += len(raw)
        for blob, (offset, sealed_length, raw_length) in zip(run.ids, run.places, strict=True):
            at = offset - run.offset
            pieces, stored, plain = reseal_blob(
                run.kind, raw[at : at + sealed_length], opener, sealer, blob=blob, raw_length=raw_length, name=run.name
            )
            self._writer.add(run.kind, blob, pieces, stored, plain)
            moved = raw_length or sealed_length - SEAL_BYTES
            tally.bytes_done += moved
            tally.bytes_new += moved
            tally.bytes_stored += stored
            if run.kind is BlobKind.TREE:
                tally.tree_blobs += 1
            else:
                tally.data_blobs += 1
        tally.publish()
