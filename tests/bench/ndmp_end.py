"""``python -m tests.bench.ndmp_end WHERE PLACE HOST PORT ACCOUNT PATH TOLD``: a dump, into nothing or a repository."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from jobs.engine.clock import SystemClock
from jobs.engine.events import Event, FreeRun, NullSink, PhaseName, PhaseStarted
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.ndmp.backup import BackupOrder, back_up
from jobs.engine.ndmp.dump_source import DumpSource
from jobs.engine.ndmp.history_spool import HistorySpool
from jobs.engine.ndmp.login import Server, connect
from jobs.engine.ndmp.profiles import GENERIC
from jobs.engine.operations import dump
from jobs.engine.operations.dumping.plan import DumpPlan
from jobs.engine.plan import Secret
from jobs.engine.repository.repository import Repository

PASSWORD = Secret("bench")
SLEEP_SECONDS = 1.0


class Nothing:
    """Takes the image and forgets it."""

    def __init__(self) -> None:
        self._room = memoryview(bytearray(1 << 20))

    def room(self) -> memoryview:
        return self._room

    def took(self, count: int) -> None:
        assert count


class Stopwatch(NullSink):
    """Knows when the phases of a dump began."""

    def __init__(self) -> None:
        self.at: dict[PhaseName, float] = {}

    def emit(self, event: Event) -> None:
        if isinstance(event, PhaseStarted):
            self.at[event.phase] = time.perf_counter()


def into_nothing(server: Server, path: str) -> tuple[int, float]:
    """(bytes of the image, seconds from its request to its end, less the second that ndmjob sleeps)."""
    order = BackupOrder(type="dump", environment=GENERIC.backup_environment(path))
    with connect(server, FreeRun()) as session:
        began = time.perf_counter()
        result = back_up(session, order, Nothing())
        return result.image_bytes, time.perf_counter() - began - SLEEP_SECONDS


def into_repository(server: Server, path: str, place: Path) -> tuple[int, float]:
    """The same; it ends when all of it is on the disk."""
    media = DiskMedia(DiskOptions(path=place / "repository", create_directory=True))
    Repository.create(media, PASSWORD)
    watch = Stopwatch()
    plan = DumpPlan(
        source=DumpSource(server=server, profile=GENERIC),
        file_systems=(path,),
        level=0,
        base_tokens=None,
        hostname="bench",
        username="bench",
        taken_at_ns=time.time_ns(),
    )
    result = dump.run(plan, media, PASSWORD, watch, FreeRun(), SystemClock(), new_history=HistorySpool)
    return result.dumps[0].image_bytes, time.perf_counter() - watch.at[PhaseName.COPY] - SLEEP_SECONDS


def main() -> None:
    where, place, host, port, account, path, told = sys.argv[1:]
    server = Server(host=host, port=int(port), account=account, password=Secret(account))
    size, took = into_repository(server, path, Path(place)) if where == "ours" else into_nothing(server, path)
    Path(told).write_text(json.dumps({"image_bytes": size, "seconds": took}))


main()
