"""``python -m tests.bench``: prints the table. Only ratios of one run mean anything on a machine that is shared."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .cases import CASES as TREES
from .cases import Bench, Row, of_named_tree
from .contenders import contenders
from .media import media
from .ndmp import CASES as DUMPS
from .snapshots import extent_diff, snapshot_diff
from .table import render
from .trees import make

CASES = {**TREES, "snapshot-diff": snapshot_diff, "extent-diff": extent_diff, "media": media, **DUMPS}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)}; comma-separated")
    parser.add_argument("--tree", action="append", type=Path, default=[], help="a source that is there, instead")
    parser.add_argument("--with", dest="names", default="ours,restic,borg,rsync", help="who is measured; ours first")
    parser.add_argument("--restic", action="append", help="the restic program to compare with; again for another")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="size of generated trees, 1 = about 1 GB each")
    parser.add_argument(
        "--patient", type=float, default=0.0, help="seconds to wait for a quiet machine before each run"
    )
    parser.add_argument(
        "--restore-to",
        type=Path,
        help="where restores are made; a file system in memory shows the programs, not how a disk makes files",
    )
    parser.add_argument(
        "--cold",
        action="store_true",
        help="snapshot cases: every look comes from the disk, as on a host with other work",
    )
    parser.add_argument("--gbit", type=float, help="NDMP cases: the server is behind a network of so many Gbit/s")
    parser.add_argument("--work", type=Path, help="scratch space; kept, and its trees used again")
    parser.add_argument("--profile", action="store_true", help="also print where the time of ours goes")
    return parser.parse_args()


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _run(arguments: argparse.Namespace, work: Path) -> None:
    people = contenders(arguments.names.split(","), arguments.restic or ["restic"])
    bench = Bench(
        work=work,
        contenders=people,
        rounds=arguments.rounds,
        scale=arguments.scale,
        tell=_tell,
        patience_seconds=arguments.patient,
        restore_to=arguments.restore_to or work,
        is_cold=arguments.cold,
        gbit=arguments.gbit,
    )
    cases = [of_named_tree(path) for path in arguments.tree] or [CASES[name] for name in arguments.cases.split(",")]
    rows: list[Row] = []
    for case in cases:
        rows += case(bench)
    print(f"{os.cpu_count()} cores; {'; '.join(f'{one.name}: {one.version()}' for one in people)}")
    print(f"medians of {arguments.rounds} paired rounds; others as multiples of ours\n")
    names = dict.fromkeys([one.name for one in people] + [name for row in rows for name in row.figures])
    print(render(rows, list(names)))
    if arguments.profile:
        source = (
            arguments.tree[0] if arguments.tree else make(arguments.cases.split(",")[0], work, arguments.scale).path
        )
        subprocess.run([sys.executable, "-m", "tests.bench.profiled", str(source), str(work)], check=True)


def main() -> None:
    arguments = _arguments()
    if arguments.work is not None:
        arguments.work.mkdir(parents=True, exist_ok=True)
        _run(arguments, arguments.work)
        return
    with tempfile.TemporaryDirectory(prefix="snapcopy-bench-") as name:
        _run(arguments, Path(name))


main()
