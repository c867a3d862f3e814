"""A PostgreSQL of a measurement's own, with the product's settings."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

from snapcopy_site import embedded
from snapcopy_site.children import stop
from snapcopy_site.lib.home import Home


@contextmanager
def database(home: Path | None, *, keep: bool = False) -> Iterator[None]:
    """Django is set up within the block; models may be imported from then on. ``home`` None = a folder of its own."""
    path = home or Path(tempfile.mkdtemp(prefix="snapcopy-bench-", dir="/var/tmp"))
    os.environ |= {
        "SNAPCOPY_HOME": str(path.absolute()),
        "SNAPCOPY_SECRET_KEY": "only-for-benchmarks-" + "x" * 40,
        "DJANGO_SETTINGS_MODULE": "snapcopy_site.settings",
    }
    at = Home.current()
    embedded.prepare(at)
    # Only loading is quicker by these; nothing is written when it is measured.
    settings = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_wal_size=8GB")
    postgres = embedded.Postgres(home=at, settings=settings)
    postgres.initialise()
    child = postgres.start()
    try:
        embedded.wait_until_it_answers(postgres, child)
        django.setup()
        yield
    finally:
        stop(child, stop_signal=postgres.stop_signal, timeout_seconds=60)
        if not keep:
            shutil.rmtree(path, ignore_errors=True)
