"""Several transfers at once where the medium is worth it: packs that are written, blobs and packs that are read."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import MediaUnavailable
from jobs.engine.events import Event, FreeRun, NullSink, PhaseName, PhaseStarted
from jobs.engine.media.ahead import read_ahead
from jobs.engine.media.base import Buffer, Media
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.layers import Limits, layered
from jobs.engine.media.wrapping import Wrapper
from jobs.engine.operations import check, repository_copy
from jobs.engine.operations.copy_pipeline.sizing import sizing
from jobs.engine.operations.repository_copy import RepositoryCopyPlan
from jobs.engine.operations.rotation import Pace
from jobs.engine.plan import CopySettings
from jobs.engine.repository.blob import hash_blob
from jobs.engine.repository.claims import Claims
from jobs.engine.repository.index import Index
from jobs.engine.repository.index_file import IndexWriter
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.pack_writer import WrittenPack
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.session import AppendSession

from .repositories import PASSWORD, QUICK, append, disk_at, new_repository

AT_ONCE = 4
_MEETING_SECONDS = 30.0


class Meeting(Wrapper):
    """Transfers of packs wait for each other until ``AT_ONCE`` of them are under way. Who waits alone fails."""

    def __init__(self, inner: Media) -> None:
        super().__init__(inner)
        self.barrier = threading.Barrier(AT_ONCE)
        self.is_on = False

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        self._meet(name)
        self.inner.put(name, pieces)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self._meet(name)
        return self.inner.get(name, offset=offset, length=length)

    def _meet(self, name: str) -> None:
        if self.is_on and name.startswith("data/"):
            try:
                self.barrier.wait(_MEETING_SECONDS)
            except threading.BrokenBarrierError as error:
                raise MediaUnavailable("Nobody else came.") from error


@pytest.fixture
def meeting(tmp_path: Path) -> Meeting:
    return Meeting(disk_at(tmp_path))


@pytest.fixture
def filled(meeting: Meeting) -> tuple[Repository, list[bytes]]:
    """Eight packs of one blob each, written while ``AT_ONCE`` of them met."""
    limits = Limits(transfers=AT_ONCE, retries=0, timeout_seconds=None)
    media = layered(meeting, limits, board=MediaBoard(), is_throttled=False)
    repository = Repository.create(media, PASSWORD, cost=QUICK)
    written: list[WrittenPack] = []
    blobs = [os.urandom(100_000) for _ in range(2 * AT_ONCE)]
    session = AppendSession(
        repository, Index(), Claims(), on_written=written.append, pack_bytes=100_000, writers=AT_ONCE
    )
    meeting.is_on = True
    for blob in blobs:
        session.save(BlobKind.DATA, blob)
    session.close()
    writer = IndexWriter(repository)
    for pack in written:
        writer.add(pack)
    writer.flush()
    return repository, blobs


def test_packs_are_written_several_at_once(filled: tuple[Repository, list[bytes]]) -> None:
    repository, blobs = filled
    assert load_index(repository).count(BlobKind.DATA) == len(blobs)


def test_blobs_are_read_several_at_once(filled: tuple[Repository, list[bytes]]) -> None:
    repository, blobs = filled
    reader = BlobReader(repository, load_index(repository))
    read = dict(reader.read_many(BlobKind.DATA, [hash_blob(blob) for blob in blobs]))
    assert sorted(blob for blob in read.values() if isinstance(blob, bytes)) == sorted(blobs)


def test_a_check_reads_packs_several_at_once(filled: tuple[Repository, list[bytes]]) -> None:
    repository, blobs = filled
    plan = check.CheckPlan(pace=Pace(percent=100))
    result = check.run(plan, repository.media, PASSWORD, NullSink(), FreeRun(), SystemClock())
    assert (result.ok, result.packs_read) == (True, len(blobs))


class _MeetFromThen(NullSink):
    """Trees are read before; from when data moves on, transfers meet."""

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting

    def emit(self, event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase is PhaseName.COPY:
            self._meeting.is_on = True


def test_a_copy_between_repositories_reads_packs_ahead_of_each_other(
    meeting: Meeting, filled: tuple[Repository, list[bytes]], tmp_path: Path
) -> None:
    repository, blobs = filled
    meeting.is_on = False
    files = {str(number): blob for number, blob in enumerate(blobs[1:])}
    appended = append(repository, files)
    plan = RepositoryCopyPlan(snapshot_file_id=appended.snapshot, readers=1)
    target = new_repository(tmp_path / "second")
    sink = _MeetFromThen(meeting)
    repository_copy.run(plan, repository.media, PASSWORD, target.media, PASSWORD, sink, FreeRun(), SystemClock())
    assert load_index(target).count(BlobKind.DATA) == len(files)


def test_answers_come_in_order_and_an_error_in_its_turn() -> None:
    def read(number: int) -> int:
        if number == 5:
            raise MediaUnavailable("Away.")
        return number * 10

    answers = read_ahead(range(9), read, transfers=4)
    assert [next(answers) for _ in range(5)] == [(number, number * 10) for number in range(5)]
    with pytest.raises(MediaUnavailable):
        next(answers)


def test_packs_on_their_way_never_take_more_memory_than_there_is() -> None:
    some = CopySettings(readers=2, memory_bytes=384 << 20)
    assert sizing(some).writers == 2
    assert 2 < sizing(some, transfers=8).writers <= 8
    assert sizing(CopySettings(readers=2, memory_bytes=1 << 20), transfers=64).writers == 2
    assert sizing(CopySettings(readers=1, memory_bytes=8 << 30), transfers=8).writers == 8
    assert sizing(some, transfers=1).writers == 1
