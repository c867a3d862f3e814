"""``schedule run NAME``: start now what a schedule starts."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand
from jobs.models import SlotState
from jobs.services.schedules import run_schedule_now
from policies.models import Schedule
from policies.selectors.schedules import schedules


class Command(JobCommand):
    help = "Start now what a schedule starts; its jobs are started by a script, not by the schedule."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", choices=["run"])
        parser.add_argument("name", metavar="NAME")
        self.add_wait_arguments(parser)

    def handle(self, *_args: Any, name: str, wait: bool, **options: Any) -> None:
        run = run_schedule_now(_find(name), **BY_SCRIPT)
        if run.state == SlotState.REFUSED:
            raise CommandError(run.sentence, returncode=int(ExitCode.REFUSED))
        if not options["json"]:
            self.stdout.write(run.sentence)
        self.run_jobs(list(run.jobs.order_by("pk")), wait=wait, as_json=options["json"])


def _find(name: str) -> Schedule:
    found = schedules().filter(name=name).first()
    if found is None:
        known = ", ".join(Schedule.objects.values_list("name", flat=True)[:20])
        raise CommandError(
            f"There is no schedule {name}. Known: {known or 'none yet'}.", returncode=int(ExitCode.USAGE)
        )
    return found
