"""``find``: files and folders by name, in every catalogued snapshot; nothing is read from storage or media."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.catalog.names import to_text
from jobs.catalog.searching import CannotSearch, Found, Kinds, Question, Result, Which, search
from jobs.management.cli import ExitCode, find_subclient
from jobs.management.times import local_time, moment_at
from jobs.selectors_pages.past import Point, newest_points_of
from jobs.views.listing import moment_of
from jobs.views.stored_paths import display

_AT_ONCE: Final = 500
_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_EXIT_CODES: Final = "exit codes: 0 found, 1 nothing was found, 2 wrong command line, or too little to search for"


class Command(BaseCommand):
    help = "Find paths by name over all subclients: a part of the name, a pattern with * and ?, or a whole path."
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=_EXIT_CODES, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("text", help="whatever the case; what begins with / is a whole path")
        parser.add_argument("--exact", action="store_true", help="the whole name, to the letter")
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--subclient", metavar="FILESERVER/SUBCLIENT", help="only of this one")
        where.add_argument("--file-server", metavar="NAME", help="only of this one")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--all", action="store_true", help="also what is gone, and former versions")
        which.add_argument("--deleted", action="store_true", help="only what is gone")
        parser.add_argument("--type", choices=[kind.value for kind in Kinds if kind], help="file, folder, link, other")
        parser.add_argument("--smallest", metavar="SIZE", help="bytes, or with K, M, G, T")
        parser.add_argument("--largest", metavar="SIZE")
        parser.add_argument("--modified-from", metavar="TIME", help="a time, or a day for its beginning")
        parser.add_argument("--modified-until", metavar="TIME", help="a time, or a day for its end")
        parser.add_argument("--at", metavar="TIME", help="what was there then; a day stands for its end")
        parser.add_argument("--from", metavar="TIME", dest="existed_from", help="what was there then or later")
        parser.add_argument("--until", metavar="TIME", dest="existed_until", help="what was there then or earlier")
        parser.add_argument("--json", action="store_true", help="one JSON object per path, a line each")

    def handle(self, *_args: Any, **options: Any) -> None:
        question = _question(options)
        total, is_all = 0, True
        try:
            for found, result, point in _all(question):
                total, is_all = total + 1, found.is_all
                told = json.dumps(_as_dictionary(result, point)) if options["json"] else _line(result)
                self.stdout.write(told)
        except CannotSearch as refusal:
            raise CommandError(str(refusal), returncode=int(ExitCode.USAGE)) from refusal
        if not total:
            raise CommandError("Nothing was found.", returncode=int(ExitCode.FAILED))
        if not is_all:
            self.stderr.write(f"Only the first {total} are shown. Give a longer part of the name, or a subclient.")


def _question(options: dict[str, Any]) -> Question:
    at = options["at"]
    if at and (options["existed_from"] or options["existed_until"]):
        raise CommandError("--at goes without --from and --until.", returncode=int(ExitCode.USAGE))
    moment = moment_at(at) if at else None
    return Question(
        text=to_text(os.fsencode(options["text"])),
        is_exact=options["exact"],
        file_server=options["file_server"],
        subclient_id=find_subclient(options["subclient"]).pk if options["subclient"] else None,
        kinds=Kinds(options["type"] or ""),
        smallest=_bytes(options["smallest"], option="--smallest"),
        largest=_bytes(options["largest"], option="--largest"),
        modified_from=_time_of(options, "modified_from", "--modified-from", is_start=True),
        modified_until=_time_of(options, "modified_until", "--modified-until"),
        existed_from=moment or _time_of(options, "existed_from", "--from", is_start=True),
        existed_until=moment or _time_of(options, "existed_until", "--until"),
        which=Which.ALL if options["all"] else Which.DELETED if options["deleted"] else Which.EXISTING,
    )


def _time_of(options: dict[str, Any], name: str, option: str, *, is_start: bool = False) -> Any:
    text = options[name]
    return moment_at(text, option=option, is_start=is_start) if text else None


def _bytes(text: str | None, *, option: str) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,15})([KMGT]?)", text.upper())
    if match is None:
        raise CommandError(f"{option}: “{text}” is no size. Write it like 4096 or 10M.", returncode=int(ExitCode.USAGE))
    return min(int(match[1]) * _UNITS[match[2]], 2**63 - 1)


def _all(question: Question) -> Iterator[tuple[Found, Result, Point | None]]:
    found = search(None, question, limit=_AT_ONCE)
    while True:
        points = newest_points_of([result.id for result in found.results])
        for result in found.results:
            yield found, result, points.get(result.id)
        if found.after is None:
            return
        found = search(None, question, after=found.after, limit=_AT_ONCE)


def _line(result: Result) -> str:
    modified = moment_of(result.mtime_ns)
    slash = "/" if result.kind == "d" else ""
    gone = f"  (gone, not there at {local_time(result.until_at)})" if result.until_at and not result.exists else ""
    path = f"{result.subclient.path}:{display(result.path)}{slash}"
    return f"{result.size:>14} {local_time(modified) if modified else '-':19} {path}{gone}"


def _as_dictionary(result: Result, point: Point | None) -> dict[str, object]:
    """A result as scripts see it; ``path_hex`` has every byte, ``snapshot`` is the newest that has this version."""
    modified = moment_of(result.mtime_ns)
    return {
        "subclient": result.subclient.path,
        "path": display(result.path),
        "path_hex": result.path.hex(),
        "kind": result.kind,
        "size": result.size,
        "modified": modified.isoformat() if modified else None,
        "since": result.first_at.isoformat(),
        "until": result.until_at.isoformat() if result.until_at else None,
        "exists": result.exists,
        "versions": result.versions,
        "snapshot": point.name if point else None,
    }
