"""One first copy of ours under the profiler, all processes together: where the time goes, by function."""

from __future__ import annotations

import cProfile
import io
import os
import pstats
import sys
import tempfile
from pathlib import Path
from typing import Any

from jobs.engine.command.main import main
from jobs.engine.operations.copy_pipeline import coordinator, forked

_LINES = 45


def profile(source: Path, work: Path) -> str:
    """The report, sorted by each function's own time. Workers and the parent are summed."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        place = Path(name)
        os.environ |= {"SNAPCOPY_REPO_PASSWORD": "bench", "XDG_CACHE_HOME": str(place / "cache")}
        repository = str(place / "repository")
        main(["init", repository])
        _profile_workers(place)
        parent = cProfile.Profile()
        parent.runcall(main, ["backup", repository, str(source)])
        parent.dump_stats(place / "0.profile")
        paths = sorted(str(path) for path in place.glob("*.profile"))
        text = io.StringIO()
        pstats.Stats(*paths, stream=text).sort_stats("tottime").print_stats(_LINES)
        return text.getvalue()


def _profile_workers(place: Path) -> None:
    real = forked.run_forked_worker

    def profiled(number: int, *arguments: Any, **named: Any) -> None:
        profiler = cProfile.Profile()
        try:
            profiler.runcall(real, number, *arguments, **named)
        finally:
            profiler.dump_stats(place / f"{number}.profile")

    setattr(coordinator, "run_forked_worker", profiled)  # noqa: B010 - it is not exported from there


if __name__ == "__main__":
    print(profile(Path(sys.argv[1]), Path(sys.argv[2])))
