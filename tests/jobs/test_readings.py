"""The ledger of verifications: what was read is kept through interruptions, in few rows, each pack once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

import numpy as np
import pytest
from django.utils import timezone

from jobs.engine.ids import FileId
from jobs.engine.operations.rotation import Pace, choose, keys_of
from jobs.models import MediumReading, PackReading
from jobs.services.readings import MediumLedger
from policies.models import Media
from tests.factories import make_media

pytestmark = pytest.mark.django_db


def packs(first: int, count: int) -> list[FileId]:
    return [FileId(sha256(b"%d" % number).hexdigest()) for number in range(first, first + count)]


@pytest.fixture
def media() -> Media:
    return make_media()


def run(media: Media, there: Sequence[FileId], *, percent: float, read_share: float = 1.0) -> set[FileId]:
    """One verification; ``read_share`` < 1 = it is stopped after that part."""
    ledger = MediumLedger(media)
    sizes = [10] * len(there)
    history = ledger.open(there, sizes)
    standing = history.of(keys_of(there), now=int(timezone.now().timestamp()), turn=ledger.turn)
    chosen = [there[number] for number in choose(np.array(sizes), standing, Pace(percent=percent, runs=10))]
    read = chosen[: round(read_share * len(chosen))]
    for start in range(0, len(read), 3):
        ledger.read(read[start : start + 3])
    ledger.settle(is_complete=read_share == 1.0)
    return set(read)


def counts(media: Media) -> tuple[int, int]:
    """(packs read, packs never read) of the settled rows, where each pack is once."""
    rows = PackReading.objects.filter(media=media)
    assert all(row.is_settled and row.packs * 8 == len(bytes(row.keys)) for row in rows)
    assert all(row.stored_bytes == 10 * row.packs for row in rows)
    keys = b"".join(bytes(row.keys) for row in rows)
    assert len({keys[start : start + 8] for start in range(0, len(keys), 8)}) == len(keys) // 8
    return sum(row.packs for row in rows if row.was_read), sum(row.packs for row in rows if not row.was_read)


def test_each_run_reads_others_until_all_were_read(media: Media) -> None:
    there = packs(0, 100)
    read: set[FileId] = set()
    for number in range(10):
        now = run(media, there, percent=10)
        assert not now & read
        read |= now
        assert counts(media) == (10 * (number + 1), 90 - 10 * number)
    assert read == set(there)
    reading = MediumReading.objects.get(media=media)
    assert (reading.turn, reading.packs, reading.packs_bytes) == (10, 100, 1000)
    assert PackReading.objects.count() <= 10


def test_a_run_that_was_stopped_keeps_what_it_read_and_is_no_turn(media: Media) -> None:
    there = packs(0, 40)
    half = run(media, there, percent=50, read_share=0.5)
    assert counts(media) == (10, 30)
    assert MediumReading.objects.get(media=media).turn == 0
    rest = run(media, there, percent=75)
    assert not half & rest
    assert counts(media) == (40, 0)


def test_after_a_kill_nothing_that_was_noted_is_read_again(media: Media) -> None:
    there = packs(0, 20)
    ledger = MediumLedger(media)
    ledger.open(there, [10] * 20)
    ledger.read(there[:7])
    assert not PackReading.objects.filter(is_settled=True).exists()
    assert run(media, there, percent=65) == set(there[7:])
    assert counts(media) == (20, 0)


def test_packs_that_are_gone_are_forgotten_and_new_ones_come_in(media: Media) -> None:
    run(media, packs(0, 30), percent=100)
    there = packs(20, 30)
    assert run(media, there, percent=66) == set(there[10:])
    assert counts(media) == (30, 0)
    assert MediumReading.objects.get(media=media).packs == 30
    run(media, [], percent=100)
    assert counts(media) == (0, 0)


def test_moments_are_rounded_down_so_that_no_promise_is_broken(media: Media) -> None:
    before = timezone.now()
    run(media, packs(0, 5), percent=100)
    row = PackReading.objects.get()
    assert before - timedelta(hours=1) < row.at <= timezone.now()
    assert (row.at.minute, row.at.second, row.at.microsecond) == (0, 0, 0), "the hour may have begun meanwhile"
