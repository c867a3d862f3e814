"""Fixtures of the work's tests: a configured subclient, and a farm of real processes."""

from __future__ import annotations

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


@pytest.fixture
def large_subclient(transactional_db: None, tmp_path: Path, large_tree: Path) -> Subclient:
    """A subclient whose content is the large tree."""
    made = configure(tmp_path)
    made.content_paths = [str(large_tree)]
    made.save()
    return made
