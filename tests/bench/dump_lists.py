"""``python -m tests.bench.dump_lists``: what the list of a dump's files costs, from the wire to the search.

A full dump of so many files, and an incremental in which one folder of a hundred changed. Prints seconds and records a
second; the database is one of its own.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from .database import database


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dump_lists", description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--home", type=Path, help="where the database lies; default: a folder that is removed")
    arguments = parser.parse_args()
    with database(arguments.home):
        measuring: Any = importlib.import_module("tests.bench.dump_lists_measuring")
        measuring.run(arguments.files, tell=lambda text: print(text, file=sys.stderr, flush=True))


if __name__ == "__main__":
    main()
