"""``scheduler``: run the scheduler in the foreground."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from jobs.scheduler import Scheduler


class Command(BaseCommand):
    help = "Sweep every second so that no job is lost: dead processes, forgotten queues, jobs that wait for a node."

    def handle(self, *_args: Any, **_options: Any) -> None:
        Scheduler().run()
