"""A whole year with a fake clock and a real database ends with exactly what the rules predict.

The prediction is computed anew in ``model``, which shares nothing with the product but the plan of the year.
The suite lets four subclients live, one of each of four policies. ``YEAR_SUBCLIENTS=200 python -m pytest
tests/jobs/year -n0 -s`` runs it at full size; ``YEAR_DENSE=1`` does daily all year what is daily in real life, and
``YEAR_SEED`` draws other failures and other hands.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import pytest

from .driver import Driver
from .machines import Machines, install
from .model import predict
from .picture import differences
from .scenario import make_year
from .world import World

SUBCLIENTS: Final = int(os.environ.get("YEAR_SUBCLIENTS", "4"))
IS_DENSE: Final = bool(os.environ.get("YEAR_DENSE"))
SEED: Final = int(os.environ.get("YEAR_SEED", "26"))


@pytest.fixture
def driver(transactional_db: None, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Driver:
    year = make_year(subclients=SUBCLIENTS, is_dense=IS_DENSE, seed=SEED)
    machines = Machines(year=year, now=year.begin)
    install(machines, monkeypatch)
    world = World(year)
    world.build()
    return Driver(year=year, world=world, machines=machines)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_a_simulated_year_ends_with_what_the_rules_predict(driver: Driver) -> None:
    """Looked at after each month, so that a difference is told close to where it began."""
    begun = time.monotonic()
    for month in range(2, int(os.environ.get("YEAR_MONTHS", "14"))):
        until = datetime(2026 + month // 13, (month - 1) % 12 + 1, 1, tzinfo=UTC)
        driver.run(until)
        found, expected = driver.world.picture(), predict(replace(driver.year, end=until))
        print(f"\n{until:%Y-%m-%d} {driver.figures(found, time.monotonic() - begun)}")
        assert not differences(found, expected), differences(found, expected)
    assert not driver.world.loose_ends(driver.machines)
