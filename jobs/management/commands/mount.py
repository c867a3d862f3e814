"""``mount``: make a snapshot readable on an access node, or list what is mounted."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand, refused
from jobs.management.snapshots import LATEST, find_node, find_snapshot, mount_as_dictionary
from jobs.models import MountState, SnapshotMount
from jobs.services import CannotLaunch
from jobs.services.mounts import DEFAULT_HOURS, launch_mount


class Command(JobCommand):
    help = "Make a snapshot readable on an access node, read-only and for a time. Without a subclient: list them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subclient", metavar="FILESERVER/SUBCLIENT", nargs="?")
        parser.add_argument("--snapshot", default=LATEST, metavar="NAME", help="default: the newest on the storage")
        parser.add_argument("--node", help="access node; default: one that reaches the storage")
        parser.add_argument("--hours", type=float, default=float(DEFAULT_HOURS), help="then it is unmounted by itself")
        self.add_wait_arguments(parser)

    def handle(self, *_args: Any, subclient: str | None, wait: bool, **options: Any) -> None:
        if subclient is None:
            self._list(as_json=options["json"])
            return
        snapshot, node = find_snapshot(subclient, options["snapshot"]), find_node(options["node"])
        try:
            job = launch_mount(snapshot, node=node, hours=options["hours"], **BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])
        job.refresh_from_db()
        if wait and not options["json"] and (path := job.result.get("path")):
            self.stdout.write(f"on {job.node_label}: {path}")

    def _list(self, *, as_json: bool) -> None:
        rows = SnapshotMount.objects.exclude(state=MountState.UNMOUNTED)
        for row in rows.select_related("snapshot__subclient__file_server").order_by("expires_at"):
            if as_json:
                self.stdout.write(json.dumps(mount_as_dictionary(row)))
            else:
                where = row.path or row.get_state_display().lower()
                self.stdout.write(
                    f"{row.snapshot.name} of {row.snapshot.subclient.path} on {row.node_label or 'a node'}: {where}, "
                    f"until {row.expires_at:%Y-%m-%d %H:%M} UTC"
                )
        if not as_json and not rows.exists():
            self.stdout.write("Nothing is mounted.")


def find_mount(name: str) -> SnapshotMount:
    """The standing mount of a snapshot by name. Raises CommandError."""
    rows = SnapshotMount.objects.exclude(state=MountState.UNMOUNTED).filter(snapshot__name=name)
    found = rows.select_related("snapshot__subclient__file_server", "node").first()
    if found is None:
        raise CommandError(f"{name} is not mounted.", returncode=int(ExitCode.USAGE))
    return found
