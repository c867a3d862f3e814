"""``node NAME``: run one access node in the foreground."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.node import Node, NodeRefused


class Command(BaseCommand):
    help = "Run one access node: its workers and heartbeat. Stops on SIGTERM; running jobs write a checkpoint first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="short name; the queue is node-NAME")
        parser.add_argument("--slots", type=int, help="jobs at the same time, 1 to 64; default: as configured, else 2")

    def handle(self, *_args: Any, name: str, slots: int | None, **_options: Any) -> None:
        if slots is not None and not 1 <= slots <= 64:
            raise CommandError("--slots is 1 to 64.", returncode=2)
        try:
            Node(name, slots=slots).run()
        except NodeRefused as refusal:
            raise CommandError(str(refusal)) from refusal
