"""``snapshot FILESERVER/SUBCLIENT``: take a snapshot."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs.management.cli import BY_SCRIPT, JobCommand, find_subclient, refused
from jobs.models import Level
from jobs.services import CannotLaunch, launch_snapshot


class Command(JobCommand):
    help = "Take a snapshot of a subclient now."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_job_arguments(parser)
        levels = parser.add_mutually_exclusive_group()
        levels.add_argument("--full", action="store_true", help="ask for a full; its backup copy reads every file")
        levels.add_argument("--level", choices=Level.values, default=Level.INCREMENTAL, help="default: incremental")

    def handle(self, *_args: Any, subclient: str, full: bool, level: str, wait: bool, **options: Any) -> None:
        try:
            job = launch_snapshot(find_subclient(subclient), level=Level.FULL if full else level, **BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])
