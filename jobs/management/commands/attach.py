"""``attach MEDIUM``: look at a repository that is there already, and import what it holds."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs.management.cli import BY_SCRIPT, JobCommand, find_media, refused
from jobs.services import CannotLaunch, launch_attach


class Command(JobCommand):
    help = "Look at the repository that lies on a medium, also one of stock restic. Changes nothing there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("medium", metavar="MEDIUM")
        parser.add_argument("--import", dest="imports", action="store_true", help="make its snapshot files points")
        self.add_wait_arguments(parser)

    def handle(self, *_args: Any, medium: str, imports: bool, wait: bool, **options: Any) -> None:
        try:
            job = launch_attach(media=find_media(medium), imports=imports, **BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])
