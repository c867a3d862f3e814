"""``drill FILESERVER/SUBCLIENT``: restore some files of its backup copies to scratch, and compare them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand, find_copy, find_scope, refused
from jobs.models import Snapshot
from jobs.services import CannotLaunch, Launched, launch_drill, launch_drills
from jobs.services.drills import DEFAULT_FILES, DEFAULT_MIB
from policies.models import Subclient


class Command(JobCommand):
    help = (
        "Restore files chosen at random from the newest backup copies to a scratch directory of a node, and compare "
        "them with the held snapshot, or with the stored hashes. Nothing of it stays."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_scope_arguments(parser)
        parser.add_argument(
            "--files", type=int, default=DEFAULT_FILES, help=f"at most so many; default {DEFAULT_FILES}"
        )
        parser.add_argument("--mib", type=int, default=DEFAULT_MIB, help=f"at most so much; default {DEFAULT_MIB}")
        parser.add_argument(
            "--seed", type=int, help="take the same files as a drill with this seed; default: by chance"
        )
        parser.add_argument("--copy", help="of one subclient: only this copy; default: each")
        parser.add_argument("--snapshot", help="of one subclient: the name of the snapshot; default: the newest copied")

    def handle(
        self,
        *_args: Any,
        subclient: str | None,
        policy: str | None,
        file_server: str | None,
        copy: str | None,
        snapshot: str | None,
        wait: bool,
        **options: Any,
    ) -> None:
        bounds = {name: options[name] for name in ("files", "mib", "seed")}
        scope = find_scope(subclient=subclient, policy=policy, file_server=file_server)
        if not isinstance(scope, Subclient):
            if copy or snapshot:
                sentence = "--copy and --snapshot go with one subclient."
                raise CommandError(sentence, returncode=int(ExitCode.USAGE))
            launched = launch_drills(scope=scope, **bounds, **BY_SCRIPT)
        else:
            try:
                job = launch_drill(
                    scope, find_copy(scope, copy), snapshot=_snapshot(scope, snapshot), **bounds, **BY_SCRIPT
                )
            except CannotLaunch as refusal:
                raise refused(refusal) from refusal
            launched = Launched(jobs=[job])
        self.run_launched(launched, wait=wait, as_json=options["json"])


def _snapshot(subclient: Subclient, name: str | None) -> Snapshot | None:
    if name is None:
        return None
    found = Snapshot.objects.filter(subclient=subclient, name=name).first()
    if found is None:
        sentence = f"There is no snapshot {name} of {subclient.path}."
        raise CommandError(sentence, returncode=int(ExitCode.USAGE))
    return found
