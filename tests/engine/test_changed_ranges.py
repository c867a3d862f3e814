"""Reading only the changed ranges of a large file gives the chunks that reading all of it would give."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.engine.ids import BlobId
from jobs.engine.operations.copy_pipeline.large_files import LargeFiles
from jobs.engine.operations.copy_pipeline.old_chunks import OldChunks, fit_ranges
from jobs.engine.operations.copy_pipeline.pending import WantedFile
from jobs.engine.operations.copy_pipeline.sizing import Sizing
from jobs.engine.repository.chunker import Chunker
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.tree import node_content
from jobs.engine.source.diff import Range

MEBIBYTE = 2**20
_noise = random.Random(1).randbytes(2 * MEBIBYTE)


class Store:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.blobs: dict[BlobId, int] = {}

    def ready(self) -> None:
        return

    def claim(self, _kind: BlobKind, ids: Sequence[BlobId]) -> set[BlobId]:
        return set(ids)

    def store(self, _kind: BlobKind, blob: BlobId, plain: memoryview) -> int:
        self.blobs[blob] = len(plain)
        return len(plain)


class Reader:
    """One :class:`LargeFiles` outside a copy."""

    def __init__(self) -> None:
        self.store = Store()
        self.nodes: list[str] = []
        self.tally = SimpleNamespace(bytes_read=0, bytes_done=0)
        assembly: Any = SimpleNamespace(fill=lambda _directory, _slot, node: self.nodes.append(node))
        store: Any = self.store
        tally: Any = self.tally
        self.files = LargeFiles(
            store=store,
            assembly=assembly,
            tally=tally,
            sizing=Sizing(readers=1, threads=2, windows=2, writers=2),
            chunker=Chunker(),
            beat=lambda: None,
            announce=lambda _path, _begins: None,
        )

    def read_ranges(self, path: Path, old: list[tuple[BlobId, int]], ranges: list[Range]) -> list[BlobId]:
        directory: Any = None
        status = os.stat(path)
        wanted = WantedFile(directory, 0, path.name, status, f'{{"name":"x","size":{status.st_size},"links":1')
        with open(path, "rb") as file:
            self.files.read_ranges(file.fileno(), wanted, "", str(path), OldChunks(old, ranges, status.st_size))
        self.files.collect(wait=True)
        return node_content(self.nodes[-1])


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranges") / "file"


def cut(data: bytes) -> list[tuple[BlobId, int]]:
    return [(BlobId(sha256(chunk).digest()), len(chunk)) for chunk in Chunker().cut(memoryview(data))]


def noise(length: int, start: int) -> bytes:
    return (_noise[start % MEBIBYTE :] * (length // MEBIBYTE + 2))[:length]


PIECES = st.lists(
    st.tuples(st.sampled_from(["noise", "zeros", "text"]), st.integers(1, 3 * MEBIBYTE), st.integers(0, MEBIBYTE)),
    min_size=1,
    max_size=6,
)
EDITS = st.lists(
    st.tuples(st.sampled_from(["noise", "zeros"]), st.floats(0, 1), st.integers(1, 1_500_000), st.integers(0, 99)),
    max_size=4,
)


def build(pieces: list[tuple[str, int, int]]) -> bytes:
    made: dict[str, Callable[[int, int], bytes]] = {
        "noise": noise,
        "zeros": lambda length, _: bytes(length),
        "text": lambda n, _: (b"some text, " * n)[:n],
    }
    return b"".join(made[kind](length, start) for kind, length, start in pieces)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(pieces=PIECES, edits=EDITS, size=st.one_of(st.none(), st.floats(0, 1), PIECES))
def test_changed_ranges_give_the_chunks_of_the_whole(
    scratch: Path, pieces: list[tuple[str, int, int]], edits: list[Any], size: Any
) -> None:
    before = build(pieces)
    after, ranges = bytearray(before), []
    for kind, place, length, start in edits:
        at = int(place * (len(before) - 1))
        data = noise(length, start) if kind == "noise" else bytes(length)
        data = data[: len(before) - at]
        after[at : at + len(data)] = data
        ranges.append((at, at + len(data)))
    if isinstance(size, float):
        del after[int(size * len(after)) :]
    elif size is not None:
        after += build(size)
    scratch.write_bytes(after)
    reader = Reader()
    try:
        ids = reader.read_ranges(scratch, cut(before), fit_ranges(ranges, len(before), len(after)))
    finally:
        reader.files.close()
    expected = cut(bytes(after))
    assert ids == [blob for blob, _ in expected]
    known = {blob for blob, _ in cut(before)} | reader.store.blobs.keys()
    assert known.issuperset(ids)
    assert reader.tally.bytes_done == len(after)


def test_a_small_change_reads_little(scratch: Path) -> None:
    before = random.Random(2).randbytes(40 * MEBIBYTE)
    after = bytearray(before)
    after[20 * MEBIBYTE] ^= 1
    scratch.write_bytes(after)
    reader = Reader()
    ids = reader.read_ranges(scratch, cut(before), [(20 * MEBIBYTE, 20 * MEBIBYTE + 1)])
    reader.files.close()
    assert ids == [blob for blob, _ in cut(bytes(after))]
    assert reader.tally.bytes_read < 4 * MEBIBYTE


def test_a_file_that_ends_too_early_is_an_error(scratch: Path) -> None:
    before = random.Random(3).randbytes(4 * MEBIBYTE)
    scratch.write_bytes(before)
    reader = Reader()
    old = OldChunks(cut(before), [(0, 6 * MEBIBYTE)], 6 * MEBIBYTE)
    directory: Any = None
    wanted = WantedFile(directory, 0, "x", os.stat(scratch), "")
    with open(scratch, "rb") as file, pytest.raises(OSError, match="too early"):
        reader.files.read_ranges(file.fileno(), wanted, "", "x", old)
    reader.files.close()
