"""``age``: mark what is over its retention, or only say what would be."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from jobs.management.cli import BY_SCRIPT, JobCommand, refused
from jobs.services import CannotLaunch, launch_aging
from jobs.services.aging_preview import deletions_of_aging


class Command(JobCommand):
    help = "Look at every retention now and mark what is over; pruning frees the space later."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_wait_arguments(parser)
        parser.add_argument(
            "--preview", action="store_true", help="only say what would be marked, each with its reason"
        )

    def handle(self, *_args: Any, wait: bool, preview: bool, **options: Any) -> None:
        if preview:
            self._preview(as_json=options["json"])
            return
        try:
            job = launch_aging(**BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])

    def _preview(self, *, as_json: bool) -> None:
        for one in deletions_of_aging():
            at = one.at.isoformat() if one.at else None
            if as_json:
                self.stdout.write(json.dumps({"kind": one.kind, "label": one.label, "at": at, "reason": one.reason}))
            else:
                self.stdout.write(f"{one.kind} {one.label} of {at}: {one.reason}")
