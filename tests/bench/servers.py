"""``python -m tests.bench.servers``: copy and restore over S3, REST, SFTP and rclone beside stock restic, on the same
servers, in turns. Random data, so that every byte crosses.

Ours has the wrappers and the cache that a job gives a remote medium. CPU is of the copying side with its children
(hosts, ssh), not of the servers.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.ids import FileId
from jobs.engine.media.base import Media
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.cached import Cached
from jobs.engine.media.layers import REMOTE, layered
from jobs.engine.operations import backup_copy, restore
from jobs.engine.plan import CopyPlan, RestorePlan, SourceRoot, StoredPath
from jobs.engine.repository.repository import Repository
from tests.contracts.media_drivers import DRIVERS
from tests.engine.repositories import PASSWORD
from tests.interop.restic import Restic
from tests.interop.stock_ways import WAYS

KINDS = ("s3", "rest", "sftp", "rclone")
_SIDES = ("ours", "restic")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one step took."""

    seconds: float
    cpu_seconds: float


Figures = dict[tuple[str, str, str], list[Taken]]
"""By kind, step and side."""


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _measured(work: Callable[[], object], *, end: Callable[[], None] = lambda: None) -> Taken:
    """``end`` is not timed; it lets helpers end, whose processor time is known only then."""
    os.sync()
    cpu, started = _cpu_seconds(), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    end()
    return Taken(seconds, _cpu_seconds() - cpu)


def _ours(media: Media, source: Path, target: Path) -> tuple[Taken, Taken]:
    done: list[FileId] = []
    sink, control, clock = NullSink(), FreeRun(), SystemClock()
    root = SourceRoot(directory=source, stored_as=StoredPath(os.fsencode(source)))
    plan = CopyPlan(roots=(root,), hostname="bench", username="bench", taken_at_ns=time.time_ns())

    def copy() -> None:
        done.append(backup_copy.run(plan, media, PASSWORD, sink, control, clock).snapshot_file_id)

    Repository.create(media, PASSWORD)
    media.close()
    copied = _measured(copy, end=media.close)
    back = RestorePlan(snapshot_file_id=done[0], target=target)
    return copied, _measured(lambda: restore.run(back, media, PASSWORD, sink, control, clock), end=media.close)


def _restic(restic: Restic, source: Path, target: Path) -> tuple[Taken, Taken]:
    restic.run("init")
    copied = _measured(lambda: restic.run("backup", "--quiet", str(source)))
    return copied, _measured(lambda: restic.run("restore", "--quiet", "latest", "--target", str(target)))


def _round(kind: str, work: Path, source: Path, figures: Figures) -> None:
    driver = next(one for one in DRIVERS if one.name == kind)
    for side in _SIDES:
        place, target = work / f"{kind}-{side}", work / "back"
        stored = driver.file(place, "")
        stored.mkdir()
        target.mkdir()
        if side == "ours":
            media = Cached(layered(driver.open(place), REMOTE, board=MediaBoard()), work / "cache")
            steps = _ours(media, source, target)
            shutil.rmtree(work / "cache", ignore_errors=True)
        else:
            steps = _restic(WAYS[kind].restic(place, password=PASSWORD.reveal()), source, target)
        for step, taken in zip(("copy", "restore"), steps, strict=True):
            figures[kind, step, side].append(taken)
            told = f"{taken.seconds:6.2f} s, CPU {taken.cpu_seconds:5.2f} s"
            print(f"{kind:>7} {step:>8} {side:>7}: {told}", flush=True)
        shutil.rmtree(stored)
        shutil.rmtree(target)


def _table(figures: Figures, *, rounds: int, mib: int) -> str:
    lines = [f"medians of {rounds} rounds, {mib} MiB; restic as multiples of ours", "", "| what | ours | restic |"]
    lines.append("|---|---|---|")
    for kind, step in dict.fromkeys((kind, step) for kind, step, _side in figures):
        wall, cpu = (
            [median(getattr(taken, name) for taken in figures[kind, step, side]) for side in _SIDES]
            for name in ("seconds", "cpu_seconds")
        )
        ours = f"{wall[0]:.2f} s, CPU {cpu[0]:.2f} s"
        lines.append(f"| {kind}, {step} | {ours} | {wall[1] / wall[0]:.2f}x, {cpu[1] / cpu[0]:.2f}x |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.servers", description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS))
    arguments = parser.parse_args()
    figures: Figures = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="snapcopy-bench-") as folder:
        work = Path(folder)
        source = work / "source"
        source.mkdir()
        for number in range(arguments.mib // 4):
            (source / f"file-{number}").write_bytes(os.urandom(4 << 20))
        for _ in range(arguments.rounds):
            for kind in arguments.kinds.split(","):
                _round(kind, work, source, figures)
    print(_table(figures, rounds=arguments.rounds, mib=arguments.mib))


if __name__ == "__main__":
    main()
