"""``delete-snapshot``: delete a snapshot from its storage; its backup copies stay."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand, refused
from jobs.management.snapshots import find_snapshot
from jobs.services import CannotLaunch, launch_snapshot_deletion


class Command(JobCommand):
    help = "Delete a snapshot from its storage by name; its backup copies stay. Refused while something holds it."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_job_arguments(parser)
        parser.add_argument("--snapshot", required=True, metavar="NAME")
        parser.add_argument("--force", action="store_true", help="although something holds it; needs --reason")
        parser.add_argument("--reason", default="", help="why; it stays in the activity")

    def handle(self, *_args: Any, subclient: str, wait: bool, **options: Any) -> None:
        if options["force"] != bool(options["reason"].strip()):
            raise CommandError("--force and --reason go together.", returncode=int(ExitCode.USAGE))
        snapshot = find_snapshot(subclient, options["snapshot"])
        reason = options["reason"] if options["force"] else None
        try:
            job = launch_snapshot_deletion(snapshot, forced_reason=reason, **BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])
