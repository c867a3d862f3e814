"""``ls``: what a folder of a subclient held at a time, from the catalog; nothing is read from storage or media."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from jobs.catalog.browsing import Entry, Order, Question, Sort, catalogued_point, entries, folder_at
from jobs.catalog.names import to_text
from jobs.management.cli import ExitCode, find_subclient
from jobs.management.times import moment_at
from jobs.models import CatalogState, Snapshot
from jobs.views.browse import first_folder
from jobs.views.listing import moment_of
from jobs.views.stored_paths import display, normalised, parent
from policies.models import Subclient

_AT_ONCE: Final = 2_000
_MODES: Final = {
    "f": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "b": stat.S_IFBLK,
    "c": stat.S_IFCHR,
    "p": stat.S_IFIFO,
}


class Command(BaseCommand):
    help = "List a folder of a subclient as it was at a time. Sizes and numbers of files of folders are of all below."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subclient", metavar="FILESERVER/SUBCLIENT")
        parser.add_argument("path", nargs="?", help="absolute; default: where the content begins")
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--at", help="a time, or a day for its end; default: the newest catalogued snapshot")
        when.add_argument("--snapshot", metavar="NAME", help="as this snapshot held it")
        parser.add_argument("--deleted", action="store_true", help="also what was there earlier")
        parser.add_argument(
            "--sort", choices=[sort.value for sort in Sort], default="name", help="size and modified: largest first"
        )
        parser.add_argument("--reverse", action="store_true", help="the other way round")
        parser.add_argument("--mixed", action="store_true", help="folders among files, not before them")
        parser.add_argument("--json", action="store_true", help="one JSON object per entry, a line each")

    def handle(self, *_args: Any, subclient: str, path: str | None, **options: Any) -> None:
        found = find_subclient(subclient)
        point = _point(found, at=options["at"], name=options["snapshot"])
        raw = normalised(os.fsencode(path)) if path is not None else first_folder(point)
        folder = folder_at(found.pk, raw, point.taken_at)
        single = _single(found.pk, raw, point, with_gone=options["deleted"]) if folder is None else None
        if single is not None:
            self._write(parent(raw), single, as_json=options["json"])
            return
        if folder is None or (folder.gone_at is not None and not options["deleted"]):
            hint = f" It was there until before {_time(folder.gone_at)}." if folder and folder.gone_at else ""
            raise CommandError(
                f"There is no {display(raw)} at {_time(point.taken_at)}.{hint}", returncode=int(ExitCode.FAILED)
            )
        sort = Sort(options["sort"])
        question = Question(
            folder_id=folder.id,
            at=point.taken_at,
            order=Order(
                sort=sort,
                is_descending=(sort is not Sort.NAME) is not options["reverse"],
                folders_first=not options["mixed"],
            ),
            with_gone=options["deleted"],
            limit=_AT_ONCE,
        )
        for entry in _all(question):
            self._write(raw, entry, as_json=options["json"])
        if not options["json"]:
            self.stderr.write(
                f"{found.path}:{display(raw)} at {_time(point.taken_at)}: {folder.files} files, {folder.size} bytes"
            )

    def _write(self, folder: bytes, entry: Entry, *, as_json: bool) -> None:
        self.stdout.write(json.dumps(_as_dictionary(folder, entry)) if as_json else _line(entry))


def _single(subclient_id: int, path: bytes, point: Snapshot, *, with_gone: bool) -> Entry | None:
    """What lies at the path and is no folder; None = nothing."""
    folder, name = folder_at(subclient_id, parent(path), point.taken_at), path.rpartition(b"/")[2]
    if folder is None or not name:
        return None
    question = Question(folder_id=folder.id, at=point.taken_at, text=to_text(name), with_gone=with_gone, limit=_AT_ONCE)
    return next((entry for entry in _all(question) if entry.name == name), None)


def _point(subclient: Subclient, *, at: str | None, name: str | None) -> Snapshot:
    """The catalogued snapshot that answers; anything else is a wrong command line, or refused."""
    if name is not None:
        snapshot = Snapshot.objects.filter(subclient=subclient, name=name).first()
        if snapshot is None:
            raise CommandError(f"{subclient.path} has no snapshot {name}.", returncode=int(ExitCode.USAGE))
        if snapshot.catalog_state != CatalogState.DONE:
            raise _not_catalogued(subclient, f"The snapshot {name} is not in the catalog.")
        return snapshot
    found = catalogued_point(subclient.pk, moment_at(at) if at is not None else timezone.now())
    if found is None:
        raise _not_catalogued(subclient, f"The catalog has nothing of {subclient.path} at that time or before it.")
    return found


def _not_catalogued(subclient: Subclient, sentence: str) -> CommandError:
    hint = f"Make it: snapcopy catalog build {subclient.path}"
    return CommandError(f"{sentence} {hint}", returncode=int(ExitCode.REFUSED))


def _all(question: Question) -> Iterator[Entry]:
    page = entries(question)
    yield from page.entries
    while page.after is not None:
        page = entries(question, after=page.after)
        yield from page.entries


def _line(entry: Entry) -> str:
    owner = f"{entry.owner.user or entry.owner.uid}:{entry.owner.group or entry.owner.gid}" if entry.owner else "-"
    modified = moment_of(entry.mtime_ns)
    name = display(entry.name) + ("/" if entry.is_folder else "")
    target = f" -> {display(entry.link_target)}" if entry.link_target else ""
    gone = f"  (deleted, not there at {_time(entry.gone_at)})" if entry.gone_at else ""
    rights = stat.filemode(_MODES.get(entry.kind, 0) | entry.mode)
    return f"{rights} {owner:16} {entry.size:>14} {_time(modified) if modified else '-':19} {name}{target}{gone}"


def _as_dictionary(folder: bytes, entry: Entry) -> dict[str, object]:
    """An entry as scripts see it; ``path_hex`` has every byte of the path, whatever it is."""
    path = folder.rstrip(b"/") + b"/" + entry.name
    modified = moment_of(entry.mtime_ns)
    return {
        "name": display(entry.name),
        "path": display(path),
        "path_hex": path.hex(),
        "kind": entry.kind,
        "size": entry.size,
        "files": entry.files if entry.is_folder else None,
        "modified": modified.isoformat() if modified else None,
        "mode": f"{entry.mode:04o}",
        "uid": entry.owner.uid if entry.owner else None,
        "gid": entry.owner.gid if entry.owner else None,
        "user": entry.owner.user if entry.owner else None,
        "group": entry.owner.group if entry.owner else None,
        "link_target": display(entry.link_target) or None,
        "since": entry.first_at.isoformat(),
        "gone_at": entry.gone_at.isoformat() if entry.gone_at else None,
    }


def _time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"
