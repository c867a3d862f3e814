"""Emulated PowerStores of this process by the file system that a test works on, for whoever knows only a directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from .powerstore_emulator import PASSWORD, PowerStore

SECRETS: Final = {"password": PASSWORD}
_arrays: dict[Path, PowerStore] = {}


def file_system_at(mount: Path) -> Path:
    """A new array on a fresh btrfs; the directory where its one file system is seen."""
    array = PowerStore(mount)
    top = array.add_file_system("fs1")
    _arrays[top] = array
    return top


def array_at(file_system: Path) -> PowerStore:
    return _arrays[file_system]


def values_at(file_system: Path) -> dict[str, object]:
    """Options of a file server for the array of that file system."""
    return array_at(file_system).options()


@pytest.fixture(autouse=True)
def stop_arrays() -> Iterator[None]:
    """None outlives its test; whoever asked for something that is not documented fails it."""
    yield
    stopped = []
    while _arrays:
        stopped.append(_arrays.popitem()[1])
        stopped[-1].stop()
    assert [one for array in stopped for one in array.wrong] == []
