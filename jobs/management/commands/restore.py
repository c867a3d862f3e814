"""``restore FILESERVER/SUBCLIENT --to DIRECTORY``: restore from a backup copy."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.engine.plan import Overwrite
from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand, find_copy, find_subclient, refused
from jobs.models import Snapshot
from jobs.rules import states
from jobs.selectors_pages.restore import restore_points
from jobs.services import CannotLaunch, launch_restore
from policies.models import AccessNode, Copy, Subclient

_OVERWRITE = {"never": Overwrite.NEVER, "if-newer": Overwrite.IF_NEWER, "always": Overwrite.ALWAYS}


class Command(JobCommand):
    help = "Restore paths of a subclient's backup copy to a directory on an access node."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_job_arguments(parser)
        parser.add_argument("--to", required=True, metavar="DIRECTORY", help="absolute path on the node")
        parser.add_argument("--path", action="append", default=[], help="absolute path to restore; default: everything")
        parser.add_argument("--snapshot", default="latest", help="name of the snapshot; default: the latest copied one")
        parser.add_argument("--copy", help="name of the copy; default: the one with the lowest precedence")
        parser.add_argument("--overwrite", choices=sorted(_OVERWRITE), default="if-newer")
        parser.add_argument("--node", help="access node; default: one that reaches the medium")
        parser.add_argument("--strip", default="", metavar="PATH", help="leave out this leading part of stored paths")
        parser.add_argument("--no-metadata", action="store_true", help="contents only")
        parser.add_argument("--dry-run", action="store_true", help="write nothing, only report")

    def handle(self, *_args: Any, subclient: str, wait: bool, **options: Any) -> None:
        found = find_subclient(subclient)
        copy = find_copy(found, options["copy"])
        point = _find_point(found, options["snapshot"], copy)
        try:
            job = launch_restore(
                point,
                copy,
                paths=[os.fsencode(path) for path in options["path"]],
                target=options["to"],
                node=_find_node(options["node"]),
                overwrite=_OVERWRITE[options["overwrite"]],
                with_metadata=not options["no_metadata"],
                strip_prefix=os.fsencode(options["strip"]),
                dry_run=options["dry_run"],
                **BY_SCRIPT,
            )
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])


def _find_point(subclient: Subclient, snapshot: str, copy: Copy | None) -> Snapshot:
    """The named snapshot, or the newest that the copy has (None = any copy on media)."""
    points = restore_points(subclient).filter(backup_copies__state__in=states.ON_MEDIA)
    if snapshot != "latest":
        points = points.filter(name=snapshot)
    if copy is not None:
        points = points.filter(backup_copies__copy=copy)
    found = points.select_related("subclient__file_server", "subclient__policy").first()
    if found is None:
        which = "" if snapshot == "latest" else f" of {snapshot}"
        raise CommandError(f"{subclient.path} has no backup copy{which} on media.", returncode=int(ExitCode.REFUSED))
    return found


def _find_node(name: str | None) -> AccessNode | None:
    if name is None:
        return None
    try:
        return AccessNode.objects.get(name=name)
    except AccessNode.DoesNotExist:
        raise CommandError(f"There is no access node {name}.", returncode=int(ExitCode.USAGE)) from None
