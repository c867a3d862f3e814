"""One emulated PowerStore for all tests of a module, as it was made before each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .powerstore_driving import close_engines
from .powerstore_emulator import PowerStore, emulated


@pytest.fixture(scope="module")
def shared_powerstore(module_btrfs: Path) -> Iterator[PowerStore]:
    with emulated(module_btrfs, "fs1", "fs2") as array:
        yield array


@pytest.fixture
def powerstore(shared_powerstore: PowerStore) -> Iterator[PowerStore]:
    """With the file systems fs1 and fs2, without snapshots, faults and sessions."""
    shared_powerstore.reset()
    yield shared_powerstore
    close_engines()
    assert shared_powerstore.wrong == []
