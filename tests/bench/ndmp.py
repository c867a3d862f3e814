"""How much of what a real NDMP server sends into nothing also arrives in a repository. Needs root and ndmjob.

The server is ``ndmjob`` with one of two formatters. ``ndmp-tar-...``: that of the tests, which dumps a tree of files
with GNU tar and tells their history. ``ndmp-...``: ``cat`` of an image that is in memory, so that nothing of the
server's own work hides the time of ours. Server and product share the cores, and no network brings data that quickly:
``--gbit`` puts the server behind one.

Both ends are whole processes; the rates in the titles are those of the dump from its request on, without starting,
login and the second that the server sleeps at its end. With ``--cold`` nothing of the source is in memory.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.ndmp_server import ACCOUNT, PORT, NdmpHost, reachable, serving

from .cases import Bench, Row
from .measuring import Figures, drop_caches, run, wait_until_quiet
from .trees import Tree, make, warm

SINK = "null sink"
OURS = "ours"


def of_image(name: str) -> Callable[[Bench], list[Row]]:
    """The case of one kind of content, as an image that is there."""

    def case(bench: Bench) -> list[Row]:
        with TemporaryDirectory(dir=bench.work) as folder, _server(bench, Path(folder)) as host:
            image = _image(make(name, bench.work, bench.scale), bench)
            (Path(folder) / "wrap_dump").write_text(f"#!/bin/sh\nexec cat {image}\n")
            return [_row(bench, f"image of {name}", host, host.root)]

    return case


def of_tree(name: str) -> Callable[[Bench], list[Row]]:
    """The case of one kind of content, as files of which the server makes the image."""

    def case(bench: Bench) -> list[Row]:
        with TemporaryDirectory(dir=bench.work) as folder, _server(bench, Path(folder)) as host:
            tree = make(name, bench.work, bench.scale)
            warm(tree)
            return [_row(bench, f"{tree.files:,} files of {name} by tar", host, tree.path)]

    return case


def _server(bench: Bench, folder: Path) -> AbstractContextManager[NdmpHost]:
    return serving(folder) if bench.gbit is None else reachable(folder, gbit=bench.gbit)


def _image(tree: Tree, bench: Bench) -> Path:
    image = bench.work / f"{tree.name}-{bench.scale:g}.tar"
    if not image.exists():
        subprocess.run(["tar", "-c", "--format=gnu", "-f", image, "-C", tree.path, "."], check=True)
    subprocess.run(["cat", image], stdout=subprocess.DEVNULL, check=True)
    return image


def _row(bench: Bench, name: str, host: NdmpHost, source: Path) -> Row:
    figures: dict[str, list[Figures]] = {OURS: [], SINK: []}
    rates: dict[str, list[float]] = {OURS: [], SINK: []}
    size = 0
    for number in range(bench.rounds):
        for end in (SINK, OURS):
            place = bench.work / "places" / end
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            wait_until_quiet(bench.patience_seconds)
            if bench.is_cold:
                drop_caches()
            took, told = _measure(bench, host, end, place, source)
            size = told["image_bytes"]
            figures[end].append(took)
            rates[end].append(size / told["seconds"])
            bench.tell(f"ndmp {name} {number + 1}/{bench.rounds} {end}: {rates[end][-1] / 1e6:.0f} MB/s")
    share = median(ours / sink for ours, sink in zip(rates[OURS], rates[SINK], strict=True))
    over = "" if bench.gbit is None else f" over {bench.gbit:g} Gbit/s"
    title = (
        f"ndmp, {name}{over} ({size / 1e9:.2f} GB): {median(rates[OURS]) / 1e6:.0f} MB/s of "
        f"{median(rates[SINK]) / 1e6:.0f} MB/s, {share:.0%}"
    )
    return Row(title=title, figures=figures)


def _measure(bench: Bench, host: NdmpHost, end: str, place: Path, source: Path) -> tuple[Figures, Any]:
    """What the whole process took, and what it told."""
    told = place / "told.json"
    command = [
        sys.executable,
        "-m",
        "tests.bench.ndmp_end",
        end,
        str(place),
        host.address,
        str(PORT),
        ACCOUNT,
        str(source),
        str(told),
    ]
    figures = host.run(lambda: run(command, {})) if bench.gbit is None else run(command, {})
    return figures, json.loads(told.read_text())


_CONTENTS: Final = {"text": "large-text", "random": "large-random", "mixed": "mixed"}
CASES: Final = {
    **{f"ndmp-tar-{short}": of_tree(name) for short, name in _CONTENTS.items()},
    **{f"ndmp-{short}": of_image(name) for short, name in _CONTENTS.items()},
}
