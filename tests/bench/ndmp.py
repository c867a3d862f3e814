"""How much of what a real NDMP server sends into nothing also arrives in a repository. Needs root and ndmjob.

The server sends a file that is in memory, through ``cat``: nothing of its own work hides the time of ours. Both ends
are whole processes; the rates in the titles are those of the data alone, without starting, login and the server's
pause at the end. Run it with ``--cases ndmp-text,ndmp-random,ndmp-mixed``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.ndmp_server import ACCOUNT, PORT, NdmpHost, serving

from .cases import Bench, Row
from .measuring import Figures, run, wait_until_quiet
from .trees import make

SINK = "null sink"
OURS = "ours"


def of_tree(name: str) -> Callable[[Bench], list[Row]]:
    """The case of one kind of content."""

    def case(bench: Bench) -> list[Row]:
        with TemporaryDirectory(dir=bench.work) as folder, serving(Path(folder)) as host:
            image = _image(bench, name)
            (Path(folder) / "wrap_dump").write_text(f"#!/bin/sh\nexec cat {image}\n")
            return [_row(bench, name, host, image)]

    return case


def _image(bench: Bench, name: str) -> Path:
    tree = make(name, bench.work, bench.scale)
    image = bench.work / f"{name}-{bench.scale:g}.tar"
    if not image.exists():
        subprocess.run(["tar", "-c", "--format=gnu", "-f", image, "-C", tree.path, "."], check=True)
    subprocess.run(["cat", image], stdout=subprocess.DEVNULL, check=True)
    return image


def _row(bench: Bench, name: str, host: NdmpHost, image: Path) -> Row:
    figures: dict[str, list[Figures]] = {OURS: [], SINK: []}
    rates: dict[str, list[float]] = {OURS: [], SINK: []}
    for number in range(bench.rounds):
        for end in (SINK, OURS):
            place = bench.work / "places" / end
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            wait_until_quiet(bench.patience_seconds)
            took, rate = _measure(host, end, place)
            figures[end].append(took)
            rates[end].append(rate)
            bench.tell(f"ndmp {name} {number + 1}/{bench.rounds} {end}: {rate / 1e6:.0f} MB/s")
    share = median(ours / sink for ours, sink in zip(rates[OURS], rates[SINK], strict=True))
    title = (
        f"ndmp, {name} ({image.stat().st_size / 1e9:.2f} GB): {median(rates[OURS]) / 1e6:.0f} MB/s of "
        f"{median(rates[SINK]) / 1e6:.0f} MB/s, {share:.0%}"
    )
    return Row(title=title, figures=figures)


def _measure(host: NdmpHost, end: str, place: Path) -> tuple[Figures, float]:
    """What the whole process took, and bytes a second of the data."""
    told = place / "told.json"
    command = [
        sys.executable,
        "-m",
        "tests.bench.ndmp_end",
        end,
        str(place),
        str(PORT),
        ACCOUNT,
        str(host.root),
        str(told),
    ]
    figures = host.run(lambda: run(command, {}))
    return figures, float(json.loads(told.read_text())["bytes_a_second"])


CASES = {f"ndmp-{name.removeprefix('large-')}": of_tree(name) for name in ("large-text", "large-random", "mixed")}
