"""``repair MEDIUM``: bring back what is damaged, from other media and from snapshots that are still there."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs.management.cli import BY_SCRIPT, JobCommand, find_media, refused
from jobs.services import CannotLaunch, launch_repair


class Command(JobCommand):
    help = (
        "Bring back what is damaged on a medium, from other media and from snapshots that are still there. "
        "It mends what the last verification found: verify first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("medium", metavar="MEDIUM")
        parser.add_argument(
            "--no-copy-again",
            action="store_true",
            help="do not copy again what does not come back and whose snapshot is still there",
        )
        self.add_wait_arguments(parser)

    def handle(self, *_args: Any, medium: str, no_copy_again: bool, wait: bool, **options: Any) -> None:
        try:
            job = launch_repair(media=find_media(medium), copy_again=not no_copy_again, **BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])
