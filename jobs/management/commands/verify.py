"""``verify MEDIUM``: check a repository, and read a part of its data."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs.management.cli import BY_SCRIPT, JobCommand, find_media, refused
from jobs.services import CannotLaunch, launch_verify
from jobs.services.upkeep import DEFAULT_PERCENT


class Command(JobCommand):
    help = "Check the repository on a medium: its structure, and a part of its data read and compared."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("medium", metavar="MEDIUM")
        parser.add_argument(
            "--percent", type=float, default=DEFAULT_PERCENT, help="how much of the data to read, 0 to 100; default 5"
        )
        self.add_wait_arguments(parser)

    def handle(self, *_args: Any, medium: str, percent: float, wait: bool, **options: Any) -> None:
        try:
            job = launch_verify(media=find_media(medium), percent=percent, **BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])
