"""One emulated PowerStore for all tests of a module, as it was made before each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.loopmounts import CannotMount, mounted

from .powerstore_emulator import PowerStore, emulated


@pytest.fixture(scope="module")
def shared_powerstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PowerStore]:
    try:
        with (
            mounted("btrfs", tmp_path_factory.mktemp("powerstore")) as mount,
            emulated(mount, "fs1", "fs2") as array,
        ):
            yield array
    except CannotMount as reason:
        pytest.skip(f"no btrfs loop mount here: {reason}")


@pytest.fixture
def powerstore(shared_powerstore: PowerStore) -> Iterator[PowerStore]:
    """With the file systems fs1 and fs2, without snapshots, faults and sessions."""
    shared_powerstore.reset()
    yield shared_powerstore
    assert shared_powerstore.wrong == []
