"""``prune [MEDIUM]``: free the space of aged backup copies."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs.management.cli import BY_SCRIPT, JobCommand, find_media, refused
from jobs.services import CannotLaunch, launch_prune
from policies.models import Media


class Command(JobCommand):
    help = "Forget the aged backup copies of a medium, or of all media, and free their space."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("medium", nargs="?", metavar="MEDIUM", help="default: every active one with a repository")
        self.add_wait_arguments(parser)

    def handle(self, *_args: Any, medium: str | None, wait: bool, **options: Any) -> None:
        wanted = [find_media(medium)] if medium else Media.objects.filter(is_active=True, repository_id__isnull=False)
        jobs, refusals = [], []
        for media in wanted:
            try:
                jobs.append(launch_prune(media=media, **BY_SCRIPT))
            except CannotLaunch as refusal:
                refusals.append(refusal)
        if refusals and not jobs:
            raise refused(refusals[0])
        for passed_over in refusals:
            self.stderr.write(passed_over.sentence)
        self.run_jobs(jobs, wait=wait, as_json=options["json"])
