"""Where large files are cut."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.engine.repository.chunker import MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, ZERO_CHUNK_ID, Chunker

NOISE = random.Random(1).randbytes(12 << 20)


def cut(data: bytes, seed: int = 0) -> list[bytes]:
    return [bytes(chunk) for chunk in Chunker(seed).cut(memoryview(data))]


@pytest.mark.parametrize("size", [0, 1, MIN_CHUNK_BYTES - 1, MIN_CHUNK_BYTES, MIN_CHUNK_BYTES + 1, len(NOISE)])
def test_chunks_are_the_file_and_of_the_promised_sizes(size: int) -> None:
    chunks = cut(NOISE[:size])
    assert b"".join(chunks) == NOISE[:size]
    assert all(MIN_CHUNK_BYTES <= len(chunk) <= MAX_CHUNK_BYTES for chunk in chunks[:-1])


def test_an_insertion_moves_only_the_cuts_beside_it() -> None:
    before = {sha256(chunk).digest() for chunk in cut(NOISE)}
    after = {sha256(chunk).digest() for chunk in cut(NOISE[: 5 << 20] + b"inserted" + NOISE[5 << 20 :])}
    assert len(after - before) <= 3


@settings(max_examples=10, deadline=None)
@given(window=st.integers(MAX_CHUNK_BYTES, 11 << 20))
def test_windows_of_any_size_give_the_same_chunks(window: int) -> None:
    data = NOISE[: 3 << 20] + bytes(6 << 20) + NOISE[3 << 20 :]
    chunker = Chunker()
    found: list[bytes] = []
    start = 0
    while start < len(data):
        piece = memoryview(data)[start : start + window]
        chunks = chunker.cut(piece)
        if start + len(piece) < len(data):
            chunks.pop()
        found += [bytes(chunk) for chunk in chunks]
        start += sum(len(chunk) for chunk in chunks)
    assert found == cut(data)


def test_runs_of_zeros_are_chunks_that_sparse_restores_know() -> None:
    chunks = cut(bytes(20 * MIN_CHUNK_BYTES) + b"end")
    assert [sha256(chunk).digest() for chunk in chunks[:-1]] == [ZERO_CHUNK_ID] * 20
    assert chunks[-1] == b"end"


def test_repositories_cut_differently() -> None:
    assert cut(NOISE, seed=0x3DA3358B4DC173) != cut(NOISE, seed=0x25B468838DCB75)
