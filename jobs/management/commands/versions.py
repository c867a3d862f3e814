"""``versions``: every version of one path, the snapshots that hold it and the copies that have those."""

from __future__ import annotations

import json
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.catalog.versions import versions_of
from jobs.management.cli import ExitCode, find_subclient
from jobs.management.times import local_time
from jobs.models import CatalogVersion
from jobs.selectors_pages.past import Point, points_of
from jobs.views.listing import moment_of
from jobs.views.stored_paths import display, normalised


class Command(BaseCommand):
    help = "List every version of a path, newest first, with the snapshots and copies that hold it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subclient", metavar="FILESERVER/SUBCLIENT")
        parser.add_argument("path", help="absolute")
        parser.add_argument("--json", action="store_true", help="one JSON object per version, a line each")

    def handle(self, *_args: Any, subclient: str, path: str, **options: Any) -> None:
        found, raw = find_subclient(subclient), normalised(os.fsencode(path))
        rows = list(versions_of(found.pk, raw))
        if not rows:
            raise CommandError(
                f"The catalog of {found.path} knows no version of {display(raw)}.", returncode=int(ExitCode.FAILED)
            )
        points = points_of(found, rows)
        for row in rows:
            held = points[row.pk]
            self.stdout.write(json.dumps(_as_dictionary(raw, row, held)) if options["json"] else _line(row, held))


def _line(row: CatalogVersion, points: list[Point]) -> str:
    modified = moment_of(row.mtime_ns)
    until = f"before {local_time(row.until_at)}" if row.until_at else "now"
    held = f"{points[0].name} in {', '.join(points[0].copies)}" if points else "held by no snapshot any more"
    times = f"{local_time(row.first_at)} - {until:26}"
    return f"{times} {row.size:>14} {local_time(modified) if modified else '-':19} {held}"


def _as_dictionary(path: bytes, row: CatalogVersion, points: list[Point]) -> dict[str, object]:
    """A version as scripts see it; ``path_hex`` has every byte of the path."""
    modified = moment_of(row.mtime_ns)
    return {
        "path": display(path),
        "path_hex": path.hex(),
        "kind": row.kind,
        "size": row.size,
        "modified": modified.isoformat() if modified else None,
        "mode": f"{row.mode:04o}",
        "since": row.first_at.isoformat(),
        "until": row.until_at.isoformat() if row.until_at else None,
        "snapshots": [
            {"snapshot": point.name, "taken_at": point.taken_at.isoformat(), "copies": list(point.copies)}
            for point in points
        ],
    }
