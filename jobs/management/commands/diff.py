"""``diff``: what was added, changed and deleted in a subclient from one time to another, from the catalog."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.catalog.browsing import catalogued_point
from jobs.catalog.comparing import Change, Comparison, Difference, Total, compare
from jobs.management.cli import ExitCode, find_subclient
from jobs.management.times import local_time, moment_at
from jobs.models import CatalogState, Snapshot
from jobs.views.stored_paths import display, normalised
from policies.models import Subclient

_AT_ONCE: Final = 2_000
_SIGNS: Final = {Change.ADDED: "+", Change.CHANGED: "~", Change.DELETED: "-"}


class Command(BaseCommand):
    help = "List what differs between two times of a subclient: + added, ~ changed, - deleted, with totals."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subclient", metavar="FILESERVER/SUBCLIENT")
        parser.add_argument("first", metavar="FROM", help="the name of a snapshot, a time, or a day for its end")
        parser.add_argument("last", metavar="TO", help="the same; may be the earlier one")
        parser.add_argument("path", nargs="?", default="/", help="only below this folder")
        parser.add_argument("--only", choices=[change.value for change in Change], help="one kind of change")
        parser.add_argument(
            "--json", action="store_true", help="one JSON object per path, a line each; the last one holds the totals"
        )

    def handle(self, *_args: Any, subclient: str, first: str, last: str, path: str, **options: Any) -> None:
        found = find_subclient(subclient)
        from_at, to_at = (_moment(found, text, option) for text, option in ((first, "FROM"), (last, "TO")))
        below = normalised(os.fsencode(path))
        only = Change(options["only"]) if options["only"] else None
        totals: Mapping[Change, Total] = {}
        for page in _pages(found, from_at, to_at, below, only):
            totals = page.totals
            for one in page.differences:
                self.stdout.write(json.dumps(_as_dictionary(one)) if options["json"] else _line(one))
        if options["json"]:
            self.stdout.write(json.dumps({"totals": {change.value: _total(totals[change]) for change in Change}}))
        else:
            self.stderr.write(
                f"{found.path}:{display(below)} from {local_time(from_at)} to {local_time(to_at)}: "
                + "; ".join(_words(change, totals[change]) for change in Change)
            )


def _moment(subclient: Subclient, text: str, option: str) -> datetime:
    """Of a catalogued snapshot: the one of this name, or the newest of that time or before it."""
    snapshot: Snapshot | None
    if text.startswith("sc-"):
        snapshot = Snapshot.objects.filter(subclient=subclient, name=text).first()
        if snapshot is None:
            raise CommandError(f"{subclient.path} has no snapshot {text}.", returncode=int(ExitCode.USAGE))
        if snapshot.catalog_state != CatalogState.DONE:
            snapshot = None
    else:
        snapshot = catalogued_point(subclient.pk, moment_at(text, option=option))
    if snapshot is None:
        raise CommandError(
            f"The catalog has nothing of {subclient.path} for {text}. Make it: snapcopy catalog build {subclient.path}",
            returncode=int(ExitCode.REFUSED),
        )
    return snapshot.taken_at


def _pages(
    subclient: Subclient, from_at: datetime, to_at: datetime, below: bytes, only: Change | None
) -> Iterator[Comparison]:
    page = compare(subclient.pk, from_at, to_at, below=below, change=only, limit=_AT_ONCE)
    yield page
    while page.after is not None:
        page = compare(subclient.pk, from_at, to_at, below=below, change=only, after=page.after, limit=_AT_ONCE)
        yield page


def _line(one: Difference) -> str:
    before = str(one.before.size) if one.before else ""
    after = str(one.after.size) if one.after else ""
    size = f"{before} -> {after}" if one.change is Change.CHANGED else before or after
    return f"{_SIGNS[one.change]} {size:>24} {display(one.path)}{'/' if one.is_folder else ''}"


def _words(change: Change, total: Total) -> str:
    size = total.bytes_after - total.bytes_before
    return f"{change.value} {total.files} files and {total.folders} folders, {size:+d} bytes"


def _total(total: Total) -> dict[str, int]:
    return {
        "files": total.files,
        "folders": total.folders,
        "bytes_before": total.bytes_before,
        "bytes_after": total.bytes_after,
    }


def _as_dictionary(one: Difference) -> dict[str, object]:
    """A difference as scripts see it; ``path_hex`` has every byte of the path."""
    return {
        "change": one.change.value,
        "path": display(one.path),
        "path_hex": one.path.hex(),
        "kind": one.side.kind,
        "size_before": one.before.size if one.before else None,
        "size_after": one.after.size if one.after else None,
    }
