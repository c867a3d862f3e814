"""``reconcile``: compare what storages hold with what is recorded; import or delete what nobody knows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand, find_subclient, refused
from jobs.services import CannotLaunch, launch_reconcile, launch_reconciles
from policies.models import FileServer


class Command(JobCommand):
    help = (
        "Compare what a storage holds with what is recorded: what was deleted outside becomes missing, what is back is "
        "repaired, what nobody knows is told and stays. A subclient stands for every storage that its snapshots are on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("scope", metavar="FILESERVER[/SUBCLIENT]")
        parser.add_argument(
            "--accept-missing",
            action="store_true",
            help="not one of the recorded snapshots is there, and that is right: they are gone",
        )
        parser.add_argument(
            "--import",
            action="append",
            default=[],
            dest="imports",
            metavar="NAME=FILESERVER/SUBCLIENT",
            help="take a snapshot that nobody knows into the database, pinned; may be given more than once",
        )
        parser.add_argument(
            "--delete",
            action="append",
            default=[],
            metavar="NAME",
            help="delete a snapshot that nobody knows from the storage; may be given more than once",
        )
        self.add_wait_arguments(parser)

    def handle(self, *_args: Any, scope: str, wait: bool, **options: Any) -> None:
        decided = options["imports"] or options["delete"] or options["accept_missing"]
        if "/" in scope and not decided:
            launched = launch_reconciles(scope=find_subclient(scope), **BY_SCRIPT)
            self.run_launched(launched, wait=wait, as_json=options["json"])
            return
        imports = {}
        for words in options["imports"]:
            name, _, path = words.partition("=")
            imports[name] = find_subclient(path)
        try:
            job = launch_reconcile(
                _find_server(scope),
                accept_missing=options["accept_missing"],
                imports=imports,
                deletions=options["delete"],
                **BY_SCRIPT,
            )
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        self.run_job(job, wait=wait, as_json=options["json"])


def _find_server(name: str) -> FileServer:
    found = FileServer.objects.filter(name=name).first()
    if found is None:
        known = ", ".join(FileServer.objects.values_list("name", flat=True)[:20])
        raise CommandError(
            f"There is no file server {name}. Known: {known or 'none yet'}.", returncode=int(ExitCode.USAGE)
        )
    return found
