"""``python -m tests.bench.servers``: copy and restore over REST and SFTP beside stock restic, on the same servers.

Random data, so that every byte crosses. CPU is of the copying side with its children (ssh), not of the servers.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.ids import FileId
from jobs.engine.media.base import Media
from jobs.engine.operations import backup_copy, restore
from jobs.engine.plan import CopyPlan, RestorePlan, SourceRoot, StoredPath
from jobs.engine.repository.repository import Repository
from tests.contracts.media_drivers import DRIVERS
from tests.engine.repositories import PASSWORD
from tests.interop.restic import Restic
from tests.jobs.test_media_kinds import STOCK

KINDS = ("rest", "sftp", "rclone")


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _measured(work: Callable[[], object]) -> str:
    cpu, started = _cpu_seconds(), time.perf_counter()
    work()
    return f"{time.perf_counter() - started:6.2f} s, CPU {_cpu_seconds() - cpu:5.2f} s"


def _ours(media: Media, source: Path, target: Path) -> tuple[str, str]:
    done: list[FileId] = []
    sink, control, clock = NullSink(), FreeRun(), SystemClock()
    root = SourceRoot(directory=source, stored_as=StoredPath(os.fsencode(source)))
    plan = CopyPlan(roots=(root,), hostname="bench", username="bench", taken_at_ns=time.time_ns())

    def copy() -> None:
        done.append(backup_copy.run(plan, media, PASSWORD, sink, control, clock).snapshot_file_id)

    Repository.create(media, PASSWORD)
    copied = _measured(copy)
    back = RestorePlan(snapshot_file_id=done[0], target=target)
    return copied, _measured(lambda: restore.run(back, media, PASSWORD, sink, control, clock))


def _restic(restic: Restic, source: Path, target: Path) -> tuple[str, str]:
    restic.run("init")
    copied = _measured(lambda: restic.run("backup", "--quiet", str(source)))
    return copied, _measured(lambda: restic.run("restore", "--quiet", "latest", "--target", str(target)))


def _round(kind: str, work: Path, source: Path) -> None:
    driver = next(one for one in DRIVERS if one.name == kind)
    for name in ("ours", "restic"):
        place, target = work / name, work / "back"
        place.mkdir()
        target.mkdir()
        if name == "ours":
            media = driver.open(place)
            copied, restored = _ours(media, source, target)
            media.close()
        else:
            stock = STOCK[kind]
            restic = Restic(address=stock.repository(place), password=PASSWORD.reveal(), options=stock.options())
            copied, restored = _restic(restic, source, target)
        print(f"{kind:>7} {name:>7}: copy {copied}; restore {restored}", flush=True)
        shutil.rmtree(place)
        shutil.rmtree(target)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.servers", description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="snapcopy-bench-") as folder:
        work = Path(folder)
        source = work / "source"
        source.mkdir()
        for number in range(arguments.mib // 4):
            (source / f"file-{number}").write_bytes(os.urandom(4 << 20))
        for _ in range(arguments.rounds):
            for kind in arguments.kinds.split(","):
                _round(kind, work, source)


if __name__ == "__main__":
    main()
