"""Fixtures of the work's tests: a configured subclient, and a farm of real processes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.models import AccessNode, Subclient
from tests.jobs.farm import Farm, configure, until


@pytest.fixture
def subclient(db: None, tmp_path: Path) -> Subclient:
    """Configured, with nothing in its source yet."""
    return configure(tmp_path)


@pytest.fixture
def farm(transactional_db: None, redis_url: str) -> Iterator[Farm]:
    """A node with two slots and a scheduler, both running and reported."""
    farm = Farm()
    try:
        farm.start_node()
        farm.start_scheduler()
        until(lambda: AccessNode.objects.filter(last_seen_at__isnull=False).exists(), what="the node reports")
        yield farm
    finally:
        farm.close()


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


@pytest.fixture
def large_subclient(transactional_db: None, tmp_path: Path, large_tree: Path) -> Subclient:
    """A subclient whose content is the large tree."""
    made = configure(tmp_path)
    made.content_paths = [str(large_tree)]
    made.save()
    return made
