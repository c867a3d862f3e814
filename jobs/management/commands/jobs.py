"""``jobs``: list jobs, show one, kill, suspend, resume or resubmit it."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs import services
from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand, as_dictionary, refused
from jobs.models import How, Job, JobState
from jobs.rules import states
from jobs.services import JobRefusal


class Command(JobCommand):
    help = "List jobs, show one, or kill, suspend, resume or resubmit it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", nargs="?", type=int, help="number of a job; default: list the latest")
        orders = parser.add_mutually_exclusive_group()
        for order in ("kill", "suspend", "resume", "resubmit"):
            orders.add_argument(f"--{order}", dest="order", action="store_const", const=order)
        parser.add_argument("--active", action="store_true", help="only jobs that are not over")
        parser.add_argument("--state", choices=JobState.values)
        parser.add_argument("--limit", type=int, default=20)
        parser.add_argument("--json", action="store_true", help="one JSON object per job, a line each")

    def handle(self, *_args: Any, job: int | None, order: str | None, **options: Any) -> None:
        if job is None:
            if order:
                raise CommandError(f"--{order} needs the number of a job.", returncode=int(ExitCode.USAGE))
            self._list(options)
            return
        row = Job.objects.filter(pk=job).first()
        if row is None:
            raise CommandError(f"There is no job {job}.", returncode=int(ExitCode.USAGE))
        if order:
            row = self._order(row, order)
        self._show(row, as_json=options["json"])

    def _order(self, job: Job, order: str) -> Job:
        try:
            match order:
                case "kill":
                    return services.kill_job(job, how=How.CLI)
                case "suspend":
                    return services.suspend_job(job, how=How.CLI)
                case "resume":
                    return services.resume_job(job, how=How.CLI)
                case _:
                    return services.resubmit_job(job, **BY_SCRIPT)
        except JobRefusal as refusal:
            raise refused(refusal) from refusal

    def _list(self, options: dict[str, Any]) -> None:
        rows = Job.objects.select_related("snapshot").order_by("-pk")
        if options["active"]:
            rows = rows.filter(state__in=states.ACTIVE)
        if options["state"]:
            rows = rows.filter(state=options["state"])
        for row in rows[: options["limit"]]:
            self.report(row, as_json=options["json"])

    def _show(self, job: Job, *, as_json: bool) -> None:
        job.refresh_from_db()
        if as_json:
            events = [
                {"at": event.at.isoformat(), "level": event.level, "code": event.code, "sentence": event.sentence}
                for event in job.events.all()
            ]
            self.stdout.write(json.dumps(as_dictionary(job) | {"events": events}))
            return
        self.report(job, as_json=False)
        for event in job.events.all():
            self.stdout.write(f"  {event.at:%Y-%m-%d %H:%M:%S}  {event.sentence}")
