"""Fixtures of the work's tests: a configured subclient, and a farm of real processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.engine.operations.copy_pipeline.worker import Worker
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


@pytest.fixture
def large_subclient(transactional_db: None, tmp_path: Path, large_tree: Path) -> Subclient:
    """A subclient whose content is the large tree."""
    made = configure(tmp_path)
    made.content_paths = [str(large_tree)]
    made.save()
    return made


@pytest.fixture
def slow_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories take their time in the node's processes, which inherit this: a copy is caught in the middle."""
    real = Worker.step

    def step(self: Worker) -> None:
        time.sleep(0.05)
        real(self)

    monkeypatch.setattr(Worker, "step", step)
