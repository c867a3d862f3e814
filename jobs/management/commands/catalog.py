"""``catalog build`` and ``catalog rebuild``: make the catalog of a subclient, a policy, a file server, or of all."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand, find_scope, refused
from jobs.services import CannotLaunch, Launched, NothingNew, launch_catalog, launch_catalogs
from policies.models import Subclient


class Command(JobCommand):
    help = "Make the catalog, by which files are browsed and searched, of snapshots that have none, or all of it anew."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "action",
            choices=("build", "rebuild"),
            help="build: what is not catalogued yet, also what the policy skipped; rebuild: empty it and make it anew",
        )
        self.add_scope_arguments(parser)
        parser.add_argument(
            "--all", action="store_true", help="of every subclient instead, also of those that are switched off"
        )
        parser.add_argument(
            "--from-media", action="store_true", help="read the repositories only, never the storage of the snapshots"
        )

    def handle(
        self,
        *_args: Any,
        action: str,
        subclient: str | None,
        policy: str | None,
        file_server: str | None,
        all: bool,  # noqa: A002 - the option's name
        from_media: bool,
        wait: bool,
        **options: Any,
    ) -> None:
        wishes: dict[str, Any] = {"everything": True, "rebuild": action == "rebuild", "media_only": from_media}
        if all:
            if subclient or policy or file_server:
                raise CommandError("--all goes with nothing else.", returncode=int(ExitCode.USAGE))
            launched = _of_everything(wishes)
        else:
            scope = find_scope(subclient=subclient, policy=policy, file_server=file_server)
            if isinstance(scope, Subclient):
                try:
                    job = launch_catalog(scope, **wishes, **BY_SCRIPT)
                except NothingNew:
                    launched = Launched()
                except CannotLaunch as refusal:
                    raise refused(refusal) from refusal
                else:
                    launched = Launched(jobs=[job])
            else:
                launched = launch_catalogs(scope=scope, **wishes, **BY_SCRIPT)
        self.run_launched(launched, wait=wait, as_json=options["json"])


def _of_everything(wishes: dict[str, Any]) -> Launched:
    """What was copied can be restored, whatever is switched off since: so it is in the catalog, too."""
    launched = Launched()
    for subclient in Subclient.objects.select_related("file_server").order_by("file_server__name", "name"):
        try:
            launched.jobs.append(launch_catalog(subclient, **wishes, **BY_SCRIPT))
        except NothingNew:
            continue
        except CannotLaunch as refusal:
            launched.refused.append(f"{subclient.path}: {refusal.sentence}")
    return launched
