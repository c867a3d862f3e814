"""Claims: every blob is stored by exactly one process."""

from __future__ import annotations

import os
import random

import pytest

from jobs.engine.errors import ReaderLost
from jobs.engine.ids import BlobId
from jobs.engine.repository.claims import Claims
from jobs.engine.repository.layout import BlobKind
from tests.forks import fork


def ids(count: int, seed: int = 1) -> list[BlobId]:
    source = random.Random(seed)
    return [BlobId(source.randbytes(32)) for _ in range(count)]


def test_a_blob_is_claimed_once_for_each_kind() -> None:
    claims = Claims()
    wanted = ids(10)
    assert claims.claim(BlobKind.DATA, wanted + wanted) == set(wanted)
    assert claims.claim(BlobKind.DATA, wanted) == set()
    assert claims.claim(BlobKind.TREE, wanted) == set(wanted)
    assert claims.claim(BlobKind.DATA, []) == set()
    assert claims.claim(BlobKind.DATA, [BlobId(bytes(32))]) == {BlobId(bytes(32))}


def test_the_set_grows_without_forgetting() -> None:
    claims = Claims()
    wanted = ids(120_000)
    for start in range(0, len(wanted), 500):
        assert len(claims.claim(BlobKind.DATA, wanted[start : start + 500])) == 500
    for start in range(0, len(wanted), 5000):
        assert not claims.claim(BlobKind.DATA, wanted[start : start + 5000])


def test_two_processes_share_the_work_without_gap_or_overlap() -> None:
    claims = Claims()
    wanted = ids(20_000)
    reader, writer = os.pipe()
    children = []
    for number in range(2):
        child = fork()
        if not child:
            mine = wanted[:]
            random.Random(number).shuffle(mine)
            count = sum(len(claims.claim(BlobKind.DATA, mine[at : at + 100])) for at in range(0, len(mine), 100))
            os.write(writer, count.to_bytes(4, "big"))
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    counts = [int.from_bytes(os.read(reader, 4), "big") for _ in children]
    os.close(reader)
    os.close(writer)
    assert sum(counts) == len(wanted)
    assert not claims.claim(BlobKind.DATA, wanted)


def test_whoever_waits_for_a_claimer_that_died_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.engine.repository.claims._PATIENCE_SECONDS", 0.05)
    claims = Claims()
    pid = fork()
    if not pid:
        claims._lock.acquire()
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(ReaderLost):
        claims.claim(BlobKind.DATA, [BlobId(bytes(32))])
