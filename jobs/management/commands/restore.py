"""``restore FILESERVER/SUBCLIENT --to DIRECTORY | --in-place``: from whatever copy has the data (RULES V)."""

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
from jobs.services import CannotLaunch, launch_restore
from policies.models import AccessNode, Copy, CopyKind, Subclient
from snapcopy_site.lib.templatetags.units import bytes_text

_OVERWRITE = {"never": Overwrite.NEVER, "if-newer": Overwrite.IF_NEWER, "always": Overwrite.ALWAYS}
_CONFLICTS_PRINTED = 20


class Command(JobCommand):
    help = "Restore paths of a subclient as they were at a time: in place, or to a directory on an access node."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_job_arguments(parser)
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--to", metavar="DIRECTORY", help="absolute path on the node")
        where.add_argument("--in-place", action="store_true", help="to the paths they came from")
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--at", metavar="TIME", help="a time, or a day for its end: the last point before it")
        when.add_argument(
            "--snapshot", metavar="NAME", default="latest", help="name of the snapshot; default: the latest"
        )
        parser.add_argument("--path", action="append", default=[], help="absolute path to restore; default: everything")
        parser.add_argument("--copy", help="name of the copy to read; default: snapshots first, then by precedence")
        parser.add_argument("--overwrite", choices=sorted(_OVERWRITE), default="if-newer")
        parser.add_argument("--node", help="access node; default: one that reaches what is read and written")
        parser.add_argument("--strip", default="", metavar="PATH", help="leave out this leading part of stored paths")
        parser.add_argument("--no-metadata", action="store_true", help="contents only")
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing; wait and tell what would be done, and the conflicts"
        )

    def handle(self, *_args: Any, subclient: str, wait: bool, **options: Any) -> None:
        found = find_subclient(subclient)
        copy = find_copy(found, options["copy"])
        point = _find_point(found, options["snapshot"], options["at"], copy)
        if options["in_place"] and options["strip"]:
            raise CommandError("--strip has no meaning with --in-place.", returncode=int(ExitCode.USAGE))
        try:
            job = launch_restore(
                point,
                copy,
                paths=[os.fsencode(path) for path in options["path"]],
                target=options["to"] or "",
                in_place=options["in_place"],
                node=_find_node(options["node"]),
                overwrite=_OVERWRITE[options["overwrite"]],
                with_metadata=not options["no_metadata"],
                strip_prefix=os.fsencode(options["strip"]),
                dry_run=options["dry_run"],
                **BY_SCRIPT,
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
