"""``unmount``: take a mounted snapshot away from its node."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from jobs.management.cli import BY_SCRIPT, JobCommand, refused
from jobs.management.commands.mount import find_mount
from jobs.services import CannotLaunch
from jobs.services.mounts import launch_unmount


class Command(JobCommand):
    help = "Take a mounted snapshot away from its node; the snapshot itself stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("snapshot", metavar="NAME", help="name of the snapshot; “snapcopy mount” lists them")
        self.add_wait_arguments(parser)

    def handle(self, *_args: Any, snapshot: str, wait: bool, **options: Any) -> None:
        try:
            job = launch_unmount(find_mount(snapshot), **BY_SCRIPT)
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])
