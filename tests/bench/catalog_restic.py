"""The same folders and names asked of stock restic: a tree as the catalog's smallest subclient has it, copied once.

restic opens the repository for each question, as every program that browses by calling it does.
"""

from __future__ import annotations

import random
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from django.db import connection

from jobs.catalog.browsing import Question, entries, folder_at
from jobs.catalog.names import to_bytes
from policies.models import Subclient

from .catalog_rows import moments
from .contenders import Restic

_QUESTIONS: Final = 10
_SUBCLIENT: Final = "web"


def beside_restic(files: int, home: Path, *, tell: Callable[[str], None]) -> list[str]:
    """Lines of a table: medians in milliseconds of one folder and of one name, ours and restic's."""
    subclient, last = Subclient.objects.get(name=_SUBCLIENT), moments()[-1]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT folder.path, version.name FROM jobs_catalogversion version"
            " JOIN jobs_catalogfolder folder ON folder.id = version.folder_id"
            " WHERE version.subclient_id = %s AND version.kind = 'f' AND version.until_at IS NULL"
            " ORDER BY folder.id LIMIT %s",
            [subclient.pk, files],
        )
        paths: list[tuple[str, str]] = cursor.fetchall()
    place, tree = home / "restic", home / "tree"
    restic = Restic()
    try:
        for folder in {folder for folder, _ in paths}:
            (tree / folder[1:]).mkdir(parents=True, exist_ok=True)
        for folder, name in paths:
            (tree / folder[1:] / name).touch()
        place.mkdir()
        restic.prepare(place)
        copied = restic.copy(tree, place)
        tell(f"restic copied {len(paths):,} files in {copied.wall_seconds:.0f} s")
        chosen = random.Random(7).sample(paths, _QUESTIONS)
        ours = [_browsed_seconds(subclient.pk, folder, last) for folder, _ in chosen]
        listed = [restic.list_folder(place, f"{tree}{folder}").wall_seconds for folder, _ in chosen]
        found = [restic.find(place, name).wall_seconds for _, name in chosen]
    finally:
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(tree, ignore_errors=True)
    return [
        f"\nBeside {restic.version()} on a copy of {len(paths):,} files; medians of {_QUESTIONS} in milliseconds\n",
        "| what | ours | restic |",
        "|---|---|---|",
        f"| one folder | {_median_ms(ours)} | {_median_ms(listed)} |",
        f"| one name | see above | {_median_ms(found)} |",
    ]


def _browsed_seconds(subclient: int, path: str, at: datetime) -> float:
    begun = time.perf_counter()
    folder = folder_at(subclient, to_bytes(path), at)
    if folder is not None:
        entries(Question(folder_id=folder.id, at=at))
    return time.perf_counter() - begun


def _median_ms(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f}"
