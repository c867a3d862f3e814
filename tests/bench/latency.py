"""``python -m tests.bench.latency``: what waiting for a medium costs: copy, restore, check and a copy to a local
repository, over puts and gets that each take some milliseconds longer, with so many transfers at once. Random data, so
that every byte is written.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.ids import FileId
from jobs.engine.media.base import Media
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.cached import Cached
from jobs.engine.media.layers import Limits, layered
from jobs.engine.operations import backup_copy, check, repository_copy, restore
from jobs.engine.operations.browse import Browser
from jobs.engine.operations.repository_copy import RepositoryCopyPlan
from jobs.engine.operations.rotation import Pace
from jobs.engine.plan import CopyPlan, RestorePlan, SourceRoot, StoredPath
from jobs.engine.repository.repository import Repository
from tests.engine.odd_media import SlowMedia
from tests.engine.repositories import PASSWORD, disk_at, new_repository


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _plan(source: Path) -> CopyPlan:
    root = SourceRoot(directory=source, stored_as=StoredPath(os.fsencode(source)))
    return CopyPlan(roots=(root,), hostname="bench", username="bench", taken_at_ns=time.time_ns())


def _run(media: Media, source: Path, target: Path, second: Media) -> tuple[float, ...]:
    """Seconds of a copy, a restore, a check of everything, and a copy from there into the ``second`` repository."""
    done: list[FileId] = []
    sink, control, clock = NullSink(), FreeRun(), SystemClock()

    def copy() -> None:
        done.append(backup_copy.run(_plan(source), media, PASSWORD, sink, control, clock).snapshot_file_id)

    copied = _timed(copy)
    plan = RestorePlan(snapshot_file_id=done[0], target=target)
    restored = _timed(lambda: restore.run(plan, media, PASSWORD, sink, control, clock))
    everything = check.CheckPlan(pace=Pace(percent=100))
    checked = _timed(lambda: check.run(everything, media, PASSWORD, sink, control, clock))
    onward = RepositoryCopyPlan(snapshot_file_id=done[0])
    return (
        copied,
        restored,
        checked,
        _timed(lambda: repository_copy.run(onward, media, PASSWORD, second, PASSWORD, sink, control, clock)),
    )


def _browse(media: Media, snapshot_file_id: FileId, index: Path | None) -> tuple[float, int]:
    """Seconds of opening and walking every directory, and how many entries were seen."""
    seen = 0
    started = time.perf_counter()
    browser = Browser.open(Repository.open(media, PASSWORD), snapshot_file_id, cache_directory=index)
    for _path, _entry in browser.walk(b"/"):
        seen += 1
    return time.perf_counter() - started, seen


def _browse_all(work: Path, seconds: float) -> None:
    """A tree of many folders: one deep down opened, then all walked; without, with a new, and with a filled cache."""
    source, place = work / "folders", work / "folder-repository"
    for number in range(2000):
        folder = source / f"{number % 20}" / f"{number % 200}" / f"{number}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "file").write_bytes(b"%d" % number)
    new_repository(place)
    disk = disk_at(place)
    copied = backup_copy.run(_plan(source), disk, PASSWORD, NullSink(), FreeRun(), SystemClock())
    slow = SlowMedia(disk, seconds=seconds)
    deep = os.fsencode(source / "7" / "187" / "1987")
    kinds: list[tuple[str, Media, Path | None]] = [("no cache", slow, None)]
    kinds += [(word, Cached(slow, work / "cache"), work / "index") for word in ("new cache", "filled cache")]
    for word, media, index in kinds:

        def open_one(media: Media = media, index: Path | None = index) -> None:
            repository = Repository.open(media, PASSWORD)
            Browser.open(repository, copied.snapshot_file_id, cache_directory=index).entries(deep)

        opened = _timed(open_one)
        walked, seen = _browse(media, copied.snapshot_file_id, index)
        print(f"{word:>18}: opened and one folder {opened:5.2f} s; opened and {seen} entries walked {walked:6.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.latency", description=__doc__)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--ms", type=float, default=50.0)
    parser.add_argument("--transfers", default="1,2,8")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _browse_all(work, arguments.ms / 1000)
        source = work / "source"
        source.mkdir()
        for number in range(max(1, arguments.mib // 32)):
            (source / f"{number}").write_bytes(os.urandom(32 << 20))
        print(f"{arguments.mib} MiB of random data; seconds of copy, restore, check, copy onwards")
        for transfers in [0, *map(int, arguments.transfers.split(","))]:
            place, target, second = work / "repository", work / "target", work / "second"
            new_repository(place)
            new_repository(second)
            media: Media = disk_at(place)
            if transfers:
                limits = Limits(transfers=transfers, retries=0, timeout_seconds=None)
                slow = SlowMedia(media, seconds=arguments.ms / 1000)
                media = layered(slow, limits, board=MediaBoard(), is_throttled=False)
            figures = " ".join(f"{seconds:6.1f}" for seconds in _run(media, source, target, disk_at(second)))
            print(f"{f'{arguments.ms:.0f} ms, {transfers} at once' if transfers else 'no latency':>18}: {figures}")
            for folder in (place, target, second):
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
