"""``python -m tests.bench.over_s3 init | copy SOURCE | restore TARGET``: one process of ours on S3, for the bench.

Where and with which keys comes from the environment. The wrappers and the cache are those that a job gives a remote
medium.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from jobs.engine.clock import SystemClock
from jobs.engine.events import Event, FileFailed, FreeRun, NullSink
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.cached import Cached
from jobs.engine.media.layers import REMOTE, layered
from jobs.engine.media.s3 import S3Options, open_s3
from jobs.engine.operations import backup_copy, restore
from jobs.engine.plan import CopyPlan, CopySettings, RestorePlan, Secret, SourceRoot, StoredPath
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import LATEST, find_snapshot_file


class Strict(NullSink):
    """What is left out makes no fast copy and no fast restore."""

    def emit(self, event: Event) -> None:
        if isinstance(event, FileFailed):
            sys.exit(f"{event}")


def main() -> None:
    values = os.environ
    password = Secret(values["BENCH_PASSWORD"])
    cache = Path(values["BENCH_CACHE"])
    options = S3Options(
        endpoint=values["BENCH_ENDPOINT"],
        bucket=values["BENCH_BUCKET"],
        prefix=values["BENCH_PREFIX"],
        access_key=values["AWS_ACCESS_KEY_ID"],
        secret_key=Secret(values["AWS_SECRET_ACCESS_KEY"]),
    )
    media = Cached(layered(open_s3(options), REMOTE, board=MediaBoard()), cache / "medium")
    sink, control, clock = Strict(), FreeRun(), SystemClock()
    try:
        match sys.argv[1:]:
            case ["init"]:
                Repository.create(media, password)
            case ["copy", source]:
                root = SourceRoot(directory=Path(source), stored_as=StoredPath(os.fsencode(source)))
                settings = CopySettings(state_directory=cache)
                plan = CopyPlan(
                    roots=(root,), hostname="bench", username="bench", taken_at_ns=time.time_ns(), settings=settings
                )
                backup_copy.run(plan, media, password, sink, control, clock)
            case ["restore", target]:
                repository = Repository.open(media, password)
                file_id = find_snapshot_file(repository, LATEST).id
                restored = RestorePlan(snapshot_file_id=file_id, target=Path(target), index_cache=cache)
                restore.run_opened(restored, repository, sink, control, clock)
            case _:
                sys.exit(__doc__)
    finally:
        media.close()


if __name__ == "__main__":
    main()
