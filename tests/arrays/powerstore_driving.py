"""The engine over the emulated array, as tests of it use it. Not a test module."""

from __future__ import annotations

import weakref

from jobs.engine.events import FreeRun
from jobs.engine.ids import SnapshotName, snapshot_name
from jobs.engine.options import parse_options
from jobs.engine.plan import Secret
from jobs.engine.snapshots.base import SnapshotRef
from jobs.engine.snapshots.powerstore.engine import PowerStoreEngine
from jobs.engine.snapshots.powerstore.options import PowerStoreOptions

from .powerstore_emulator import PASSWORD, PowerStore

INSTALL = "contract"
RUN = FreeRun()
_made: weakref.WeakSet[PowerStoreEngine] = weakref.WeakSet()


def options_of(array: PowerStore, *, password: str = PASSWORD, **others: object) -> PowerStoreOptions:
    return parse_options(PowerStoreOptions, array.options(**others), {"password": Secret(password)})


def engine_of(array: PowerStore, *, password: str = PASSWORD, **others: object) -> PowerStoreEngine:
    """A new one each time, as another process would have it."""
    engine = PowerStoreEngine(options_of(array, password=password, **others), INSTALL)
    _made.add(engine)
    return engine


def close_engines() -> None:
    """Those that a caught error keeps alive would else say goodbye to the array in the middle of a later test."""
    for engine in list(_made):
        engine.client.close()
    _made.clear()


def named(n: int) -> SnapshotName:
    return snapshot_name(INSTALL, 7, n)


def take(engine: PowerStoreEngine, n: int, *file_systems: str) -> SnapshotRef:
    """A snapshot of whole file systems."""
    return engine.create(named(n), [str(engine.options.mount / name) for name in file_systems], RUN)
