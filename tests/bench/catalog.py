"""``python -m tests.bench.catalog``: how long a folder and a search take in a catalog of many rows; prints a table.

It starts a PostgreSQL of its own, with the product's settings, below ``--home``; with ``--keep`` the rows stay there
for the next run. Times are of the server: from the question to the rows, and of the whole page.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from .database import database


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.catalog", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="versions of paths, about")
    parser.add_argument("--home", type=Path, help="where the database lies; default: a folder that is removed")
    parser.add_argument("--keep", action="store_true", help="leave the database; it is used again by the next run")
    parser.add_argument("--times", type=int, default=200, help="questions of each kind")
    parser.add_argument("--only", default="", help="a part of the names of the kinds that are wanted")
    parser.add_argument("--explain", action="store_true", help="also print the plan of the slowest of each kind")
    parser.add_argument(
        "--restic", type=int, default=0, metavar="FILES", help="also beside restic, on a tree with so many files"
    )
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    with database(arguments.home, keep=arguments.keep):
        measuring: Any = importlib.import_module("tests.bench.catalog_measuring")
        measuring.run(arguments, tell=lambda text: print(text, file=sys.stderr, flush=True))


if __name__ == "__main__":
    main()
