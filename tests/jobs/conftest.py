"""Fixtures of the work's tests: a configured subclient, and a farm of real processes."""

from __future__ import annotations

import mmap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from jobs.engine.operations.copy_pipeline.worker import Worker
from jobs.services import asking
from policies.models import AccessNode, Subclient
from tests.jobs.farm import Farm, configure, until


@pytest.fixture
def subclient(db: None, tmp_path: Path) -> Subclient:
    """Configured, with nothing in its source yet."""
    return configure(tmp_path)


@pytest.fixture
def farm(transactional_db: None, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    """A node with two slots and a scheduler, both running and reported. A page waits for the node's answer."""
    monkeypatch.setattr(asking, "SECONDS", 60.0)
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


FREE_STEPS: Final = 3
"""Of each worker of a copy, before it is held: then data is on its way, and most of the large tree is left."""


class HeldCopies:
    """Copies whose readers stop in the middle and do nothing but look at their orders, until they may go on."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    @property
    def are_held(self) -> bool:
        return self._shared[0] == 0

    def go_on(self) -> None:
        """Those that were held, and all that begin later."""
        self._shared[0] = 1


@pytest.fixture
def held_copies(monkeypatch: pytest.MonkeyPatch) -> HeldCopies:
    """In the node's processes, which inherit this: a copy is caught in the middle, however late the test is.

    The process that reads at first only waits for the repository, so that it leaves the rest to the readers.
    """
    held = HeldCopies()
    real, steps = Worker.step, Counter[int]()

    def step(self: Worker) -> None:
        time.sleep(0.05)
        steps[self.number] += 1
        if steps[self.number] > FREE_STEPS:
            self._store.ready()
            while self.number and held.are_held:
                time.sleep(0.05)
                self._published_beat()
        real(self)

    monkeypatch.setattr(Worker, "step", step)
    return held
