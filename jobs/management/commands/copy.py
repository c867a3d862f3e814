"""``copy FILESERVER/SUBCLIENT``: copy the snapshots that wait to a medium."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs.management.cli import BY_SCRIPT, JobCommand, find_copy, find_subclient, refused
from jobs.services import CannotLaunch, launch_backup_copy


class Command(JobCommand):
    help = "Copy a subclient's waiting snapshots to a backup copy of its policy, oldest first."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_job_arguments(parser)
        parser.add_argument("--copy", help="name of the copy; default: the policy's primary backup copy")

    def handle(self, *_args: Any, subclient: str, copy: str | None, wait: bool, **options: Any) -> None:
        found = find_subclient(subclient)
        try:
            job = launch_backup_copy(found, find_copy(found, copy), **BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])
