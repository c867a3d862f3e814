"""``demo``: fill this installation with sample data."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs.management.cli import BY_SCRIPT, JobCommand, refused
from jobs.services import CannotLaunch, launch_demo


class Command(JobCommand):
    help = (
        "Try with sample data: files, a policy, three snapshots with changes between, their copies, one planned "
        "failure (a file that another program holds) and a verified restore. Waits until it is done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object per job, a line each")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            job = launch_demo(**BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=True, as_json=options["json"])
