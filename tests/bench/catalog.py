"""``python -m tests.bench.catalog``: how long a folder and a search take in a catalog of many rows; prints a table.

It starts a PostgreSQL of its own, with the product's settings, below ``--home``; with ``--keep`` the rows stay there
for the next run. Times are of the server: from the question to the rows, and of the whole page.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import django

from snapcopy_site import embedded
from snapcopy_site.children import stop
from snapcopy_site.lib.home import Home


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
    path = arguments.home or Path(tempfile.mkdtemp(prefix="snapcopy-bench-", dir="/var/tmp"))
    os.environ |= {
        "SNAPCOPY_HOME": str(path.absolute()),
        "SNAPCOPY_SECRET_KEY": "only-for-benchmarks-" + "x" * 40,
        "DJANGO_SETTINGS_MODULE": "snapcopy_site.settings",
    }
    home = Home.current()
    embedded.prepare(home)
    # Only loading is quicker by these; nothing is written when it is measured.
    settings = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_wal_size=8GB")
    postgres = embedded.Postgres(home=home, settings=settings)
    postgres.initialise()
    child = postgres.start()
    try:
        embedded.wait_until_it_answers(postgres, child)
        django.setup()
        measuring: Any = importlib.import_module("tests.bench.catalog_measuring")
        measuring.run(arguments, tell=lambda text: print(text, file=sys.stderr, flush=True))
    finally:
        stop(child, stop_signal=postgres.stop_signal, timeout_seconds=60)
        if not arguments.keep:
            shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
