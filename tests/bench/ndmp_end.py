"""``python -m tests.bench.ndmp_end WHERE PLACE PORT ACCOUNT PATH TOLD``: a dump, into nothing or into a repository."""

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


class Nothing:
    """Takes the image and forgets it; knows when the first and the last of it came."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0

    def write(self, piece: memoryview) -> None:
        assert piece
        self.ended = time.perf_counter()
        self.began = self.began or self.ended


class Stopwatch(NullSink):
    """Knows when the phases of a dump began."""

    def __init__(self) -> None:
        self.at: dict[PhaseName, float] = {}

    def emit(self, event: Event) -> None:
        if isinstance(event, PhaseStarted):
            self.at[event.phase] = time.perf_counter()


def into_nothing(server: Server, path: str) -> float:
    nothing = Nothing()
    order = BackupOrder(type="dump", environment=GENERIC.backup_environment(path))
    with connect(server, FreeRun()) as session:
        result = back_up(session, order, nothing)
    return result.image_bytes / (nothing.ended - nothing.began)


def into_repository(server: Server, path: str, place: Path) -> float:
    """From the start of the dump until all of it is on the disk, less the second that ndmjob sleeps at its end."""
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
    took = time.perf_counter() - watch.at[PhaseName.COPY] - 1
    return result.dumps[0].image_bytes / took


def main() -> None:
    where, place, port, account, path, told = sys.argv[1:]
    server = Server(host="127.0.0.1", port=int(port), account=account, password=Secret(account))
    rate = into_repository(server, path, Path(place)) if where == "ours" else into_nothing(server, path)
    Path(told).write_text(json.dumps({"bytes_a_second": rate}))


main()
