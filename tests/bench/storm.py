"""``python -m tests.bench.storm``: a copy to a server of rclone's through a proxy that fails a part of all requests.

Tells how long it took without and with the storm, what failed, and what stock ``restic check --read-data`` says.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.layers import Limits, layered
from jobs.engine.operations import backup_copy
from jobs.engine.plan import CopyPlan, SourceRoot, StoredPath
from jobs.engine.repository.repository import Repository
from tests.contracts.media_drivers import REST, S3, Driver
from tests.engine.repositories import PASSWORD, QUICK
from tests.fault_proxy import FaultProxy
from tests.interop.restic import Restic

_LIMITS = Limits(transfers=8, retries=12, timeout_seconds=60.0)
_SERVED = {"rest": REST, "s3": S3}
_CHECK_SECONDS = 1800.0


def _grow(source: Path, *, mib: int) -> None:
    """A quarter in small files, the rest in large ones; random, so that every byte is sent."""
    for number in range(mib * 4):
        folder = source / "small" / f"{number % 500}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(os.urandom(64 << 10))
    for number in range(mib * 3 // 4 // 64):
        with (source / f"large-{number}").open("wb") as file:
            for _ in range(64):
                file.write(os.urandom(1 << 20))


def _copy(driver: Driver, source: Path, place: Path, *, share: float, seed: int) -> None:
    repository = driver.file(place, "")
    repository.mkdir()
    board = MediaBoard()
    with FaultProxy(driver.port(place), share=0, seed=seed) as proxy:
        media = layered(driver.open_through(place, proxy.port), _LIMITS, board=board)
        Repository.create(media, PASSWORD, cost=QUICK)
        proxy.share = share
        root = SourceRoot(directory=source, stored_as=StoredPath(os.fsencode(source)))
        plan = CopyPlan(roots=(root,), hostname="bench", username="bench", taken_at_ns=time.time_ns())
        started = time.perf_counter()
        result = backup_copy.run(plan, media, PASSWORD, NullSink(), FreeRun(), SystemClock())
        seconds = time.perf_counter() - started
        media.close()
    failed = ", ".join(f"{count} {fault.value}" for fault, count in sorted(proxy.faults.items()))
    done = f"{result.counters.files_done} files, {proxy.requests} requests"
    print(f"{driver.name}, {share:.0%} of requests: {seconds:.1f} s, {done}")
    print(f"  {sum(proxy.faults.values())} failed: {failed or 'none'}; {board.troubles().retries} tried again")
    checked = Restic(repository=repository).attempt("check", "--read-data", timeout_seconds=_CHECK_SECONDS)
    print(f"  restic check --read-data: {checked.returncode}, {checked.stdout.strip().splitlines()[-1]}", flush=True)
    shutil.rmtree(repository)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.storm", description=__doc__)
    parser.add_argument("--mib", type=int, default=4096)
    parser.add_argument("--kind", choices=sorted(_SERVED), default="rest")
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as name:
        source = Path(name) / "source"
        source.mkdir()
        _grow(source, mib=arguments.mib)
        for share in (0.0, arguments.share):
            place = Path(name) / f"repository-{share}"
            _copy(_SERVED[arguments.kind], source, place, share=share, seed=arguments.seed)


if __name__ == "__main__":
    main()
