"""One tree for every test that needs a copy to take a few seconds."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def large_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """2,000 files and 240 MB that do not compress: a copy of it takes a few seconds."""
    folder = tmp_path_factory.mktemp("large")
    chance = random.Random(7)
    block = chance.randbytes(2**20)
    for number in range(2_000):
        path = folder / f"d{number % 40:02}" / f"f{number:05}"
        path.parent.mkdir(exist_ok=True)
        start = chance.randrange(2**20 - 120_000)
        path.write_bytes(number.to_bytes(8, "big") + block[start : start + 40_000] + chance.randbytes(80_000))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
