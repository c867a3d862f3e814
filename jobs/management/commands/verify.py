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
        how_much = parser.add_mutually_exclusive_group()
        how_much.add_argument(
            "--percent", type=float, help=f"how much of the data to read, 0 to 100; default {DEFAULT_PERCENT:g}"
        )
        how_much.add_argument(
            "--within-days", type=int, metavar="DAYS", help="read what was not read within so many days instead"
        )
        self.add_wait_arguments(parser)

    def handle(
        self, *_args: Any, medium: str, percent: float | None, within_days: int | None, wait: bool, **options: Any
    ) -> None:
        try:
            job = launch_verify(media=find_media(medium), percent=percent, within_days=within_days, **BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])
