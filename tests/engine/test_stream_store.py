"""A stream that comes quicker than it is stored: it waits in bounded memory, and is compressed less meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest

from jobs.engine.errors import NoSpace
from jobs.engine.ids import BlobId
from jobs.engine.operations.dumping.stream_store import QUICK_LEVEL, WINDOW_BYTES, StreamStore
from jobs.engine.repository.chunker import Chunker
from jobs.engine.repository.layout import BlobKind


class SlowSession:
    """Stands in for the append session: stores nothing until it may, and notes how it is to compress."""

    compression_level = 3

    def __init__(self) -> None:
        self.may_store = threading.Event()
        self.levels: list[int | None] = []
        self.blobs: dict[BlobId, bytes] = {}
        self.error: Exception | None = None

    def claim(self, _kind: BlobKind, ids: Sequence[BlobId]) -> set[BlobId]:
        return set(ids)

    def store(self, _kind: BlobKind, blob: BlobId, plain: memoryview, *, level: int | None) -> int:
        self.may_store.wait(20)
        if self.error is not None:
            raise self.error
        self.levels.append(level)
        self.blobs[blob] = bytes(plain)
        return len(plain)


def store_into(session: Any, beat: Any) -> StreamStore:
    return StreamStore(session, Chunker(), threads=1, windows=2, beat=beat)


def test_whoever_has_to_wait_is_compressed_less_and_nothing_is_lost_or_out_of_order() -> None:
    session = SlowSession()
    waited: list[int] = []

    def beat() -> None:
        waited.append(len(session.levels))
        session.may_store.set()

    store = store_into(session, beat)
    content = random.Random(1).randbytes(4 * WINDOW_BYTES + 12345)
    stream = store.begin()
    for at in range(0, len(content), 777_777):
        stream.write(content[at : at + 777_777])
    stored = stream.finish()
    store.close()
    assert waited[0] == 0, "two windows are full before anything is stored"
    assert QUICK_LEVEL in session.levels
    assert stored.size_bytes == len(content)
    ids = [BlobId(bytes.fromhex(one)) for one in stored.hex_ids()]
    assert b"".join(session.blobs[blob] for blob in ids) == content
    assert all(sha256(plain).digest() == blob for blob, plain in session.blobs.items())


def test_whoever_had_to_wait_is_compressed_as_asked_once_nothing_is_left_to_do() -> None:
    session = SlowSession()
    store = store_into(session, session.may_store.set)
    stream = store.begin()
    stream.write(random.Random(3).randbytes(3 * WINDOW_BYTES))
    stream.finish()
    assert QUICK_LEVEL in session.levels
    session.levels.clear()
    later = store.begin()
    later.write(random.Random(4).randbytes(WINDOW_BYTES))
    later.finish()
    store.close()
    assert set(session.levels) == {None}


def test_an_error_of_a_thread_reaches_whoever_brings_the_stream() -> None:
    session = SlowSession()
    session.error = NoSpace("The medium is full.")
    store = store_into(session, session.may_store.set)
    stream = store.begin()
    content = random.Random(2).randbytes(5 * WINDOW_BYTES)
    with pytest.raises(NoSpace):
        stream.write(content)
    store.close()


def test_an_empty_stream_has_no_blobs() -> None:
    store = store_into(SlowSession(), lambda: None)
    stored = store.begin().finish()
    store.close()
    assert (stored.size_bytes, stored.hex_ids()) == (0, [])
