"""``snapshot FILESERVER/SUBCLIENT``, or of a whole policy or file server: take snapshots."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs.management.cli import BY_SCRIPT, JobCommand, find_scope, refused
from jobs.models import Level
from jobs.services import CannotLaunch, launch_snapshot, launch_snapshots
from policies.models import Subclient


class Command(JobCommand):
    help = "Take a snapshot now: of a subclient, or of every subclient of a policy or a file server."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_scope_arguments(parser)
        levels = parser.add_mutually_exclusive_group()
        levels.add_argument("--full", action="store_true", help="ask for a full; its backup copy reads every file")
        levels.add_argument("--level", choices=Level.values, default=Level.INCREMENTAL, help="default: incremental")

    def handle(
        self,
        *_args: Any,
        subclient: str | None,
        policy: str | None,
        file_server: str | None,
        full: bool,
        level: str,
        wait: bool,
        **options: Any,
    ) -> None:
        scope = find_scope(subclient=subclient, policy=policy, file_server=file_server)
        asked = Level.FULL if full else level
        if isinstance(scope, Subclient):
            try:
                job = launch_snapshot(scope, level=asked, **BY_SCRIPT)
            except CannotLaunch as refusal:
                raise refused(refusal) from refusal
            self.run_job(job, wait=wait, as_json=options["json"])
            return
        launched = launch_snapshots(scope=scope, level=asked, **BY_SCRIPT)
        self.run_launched(launched, wait=wait, as_json=options["json"])
