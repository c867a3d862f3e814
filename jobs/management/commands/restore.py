"""``restore FILESERVER/SUBCLIENT --to DIRECTORY | --in-place``: from whatever copy has the data (RULES V).

What was dumped goes back to an NDMP file server, which has its own options and takes few of the others.
"""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Q

from jobs.engine.plan import Overwrite
from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand, find_copy, find_subclient, refused
from jobs.management.times import moment_at
from jobs.models import Job, Snapshot, SnapshotState
from jobs.rules import states
from jobs.selectors_pages.restore import restore_points
from jobs.services import CannotLaunch, launch_restore, launch_undump
from jobs.services.undumps import is_dumped
from policies.models import AccessNode, Copy, CopyKind, FileServer, Subclient
from snapcopy_site.lib.templatetags.units import bytes_text

_OVERWRITE = {"never": Overwrite.NEVER, "if-newer": Overwrite.IF_NEWER, "always": Overwrite.ALWAYS}
_CONFLICTS_PRINTED = 20


class Command(JobCommand):
    help = "Restore paths of a subclient as they were at a time: in place, or to a directory on an access node."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_job_arguments(parser)
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument(
            "--to", metavar="DIRECTORY", help="absolute path on the node; of dumps, on the NDMP file server"
        )
        where.add_argument("--in-place", action="store_true", help="to the paths they came from")
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--at", metavar="TIME", help="a time, or a day for its end: the last point before it")
        when.add_argument(
            "--snapshot", metavar="NAME", default="latest", help="name of the snapshot; default: the latest"
        )
        parser.add_argument("--path", action="append", default=[], help="absolute path to restore; default: everything")
        parser.add_argument("--copy", help="name of the copy to read; default: snapshots first, then by precedence")
        parser.add_argument("--overwrite", choices=sorted(_OVERWRITE), help="default: if-newer")
        parser.add_argument("--node", help="access node; default: one that reaches what is read and written")
        parser.add_argument("--strip", default="", metavar="PATH", help="leave out this leading part of stored paths")
        parser.add_argument("--no-metadata", action="store_true", help="contents only")
        parser.add_argument(
            "--file-server", metavar="NAME", help="of dumps: another NDMP file server of the same kind that writes them"
        )
        parser.add_argument(
            "--no-direct", action="store_true", help="of dumps: read the images from their beginning, all of them"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing; wait and tell what would be done, and the conflicts"
        )

    def handle(self, *_args: Any, subclient: str, wait: bool, **options: Any) -> None:
        found = find_subclient(subclient)
        copy = find_copy(found, options["copy"])
        point = _find_point(found, options["snapshot"], options["at"], copy)
        if options["in_place"] and options["strip"]:
            raise CommandError("--strip has no meaning with --in-place.", returncode=int(ExitCode.USAGE))
        launch = _undump if is_dumped(point) else _restore
        try:
            job = launch(
                point,
                copy,
                options,
                paths=[os.fsencode(path) for path in options["path"]],
                target=options["to"] or "",
                in_place=options["in_place"],
                node=_find_node(options["node"]),
                strip_prefix=os.fsencode(options["strip"]),
            )
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait or options["dry_run"], as_json=options["json"])

    def report(self, job: Job, *, as_json: bool) -> None:
        """Besides what all commands say: what it read, and what a dry run found."""
        super().report(job, as_json=as_json)
        if as_json:
            return
        self.stdout.write(f"  {job.parameters['source_reason']}")
        if found := job.result.get("preview"):
            self._tell_findings(found)

    def _tell_findings(self, found: dict[str, Any]) -> None:
        self.stdout.write(
            f"  {found['files_new']} new, {found['files_replaced']} replaced, {found['files_kept']} stay, "
            f"{found['files_same']} the same already, {found['files_alike']} to be compared; "
            f"there now {found['existing']}: {found['newer']} newer, {found['older']} older"
        )
        for space in found["spaces"]:
            needed, free = bytes_text(space["needed_bytes"]), bytes_text(space["free_bytes"])
            self.stdout.write(f"  {needed} needed, {free} free on {space['where']}")
        for conflict in found["conflicts"][:_CONFLICTS_PRINTED]:
            path = bytes.fromhex(conflict["path"]).decode("utf-8", "backslashreplace")
            age = "newer" if conflict["there_mtime_ns"] > conflict["mtime_ns"] else "not newer"
            self.stdout.write(f"  {conflict['fate']}: {path} ({age} there)")
        more = found["conflicts_total"] - min(len(found["conflicts"]), _CONFLICTS_PRINTED)
        if more > 0:
            self.stdout.write(f"  and {more} more; --json names up to 500")


def _restore(point: Snapshot, copy: Copy | None, options: dict[str, Any], **given: Any) -> Job:
    if options["file_server"] or options["no_direct"]:
        raise CommandError(
            f"{point.subclient.path} is not dumped: --file-server and --no-direct have no meaning.",
            returncode=int(ExitCode.USAGE),
        )
    return launch_restore(
        point,
        copy,
        overwrite=_OVERWRITE[options["overwrite"] or "if-newer"],
        with_metadata=not options["no_metadata"],
        dry_run=options["dry_run"],
        **given,
        **BY_SCRIPT,
    )


def _undump(point: Snapshot, copy: Copy | None, options: dict[str, Any], **given: Any) -> Job:
    for name in ("overwrite", "no_metadata", "dry_run"):
        if options[name]:
            raise CommandError(
                f"--{name.replace('_', '-')} has no meaning: the file server writes the files of "
                f"{point.subclient.path} itself, with all it knows of them, over what is there.",
                returncode=int(ExitCode.USAGE),
            )
    server = _find_server(options["file_server"])
    return launch_undump(point, copy, file_server=server, is_direct=not options["no_direct"], **given, **BY_SCRIPT)


def _find_server(name: str | None) -> FileServer | None:
    if name is None:
        return None
    try:
        return FileServer.objects.get(name=name)
    except FileServer.DoesNotExist:
        raise CommandError(f"There is no file server {name}.", returncode=int(ExitCode.USAGE)) from None


def _find_point(subclient: Subclient, snapshot: str, at: str | None, copy: Copy | None) -> Snapshot:
    """The named snapshot, or the newest up to a time; with a copy, of those it has (None = of any)."""
    points = restore_points(subclient)
    if copy is not None:
        points = points.filter(_held_by(copy)).distinct()
    if at is not None:
        points = points.filter(taken_at__lte=moment_at(at))
    elif snapshot != "latest":
        points = points.filter(name=snapshot)
    found = points.select_related("subclient__file_server", "subclient__policy").first()
    if found is None:
        what = f"of {snapshot}" if at is None and snapshot != "latest" else f"up to {at}" if at else "yet"
        where = f" in {copy.name}" if copy is not None else ""
        raise CommandError(f"{subclient.path} has nothing to restore {what}{where}.", returncode=int(ExitCode.REFUSED))
    return found


def _held_by(copy: Copy) -> Q:
    if copy.kind == CopyKind.PRIMARY_SNAP:
        return Q(state=SnapshotState.PRESENT)
    if copy.kind == CopyKind.SECONDARY_SNAP:
        return Q(replicas__copy=copy, replicas__state__in=states.ON_MEDIA)
    return Q(backup_copies__copy=copy, backup_copies__state__in=states.ON_MEDIA)


def _find_node(name: str | None) -> AccessNode | None:
    if name is None:
        return None
    try:
        return AccessNode.objects.get(name=name)
    except AccessNode.DoesNotExist:
        raise CommandError(f"There is no access node {name}.", returncode=int(ExitCode.USAGE)) from None
