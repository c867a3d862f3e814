"""``copy FILESERVER/SUBCLIENT``, or of a whole policy or file server: copy the snapshots that wait to a medium."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand, find_copy, find_scope, refused
from jobs.models import Job
from jobs.services import (
    CannotLaunch,
    launch_backup_copies,
    launch_backup_copy,
    launch_secondary_copies,
    launch_secondary_copy,
)
from jobs.services.launch_many import Scope
from policies.models import Copy, CopyKind, StoragePolicy, Subclient


class Command(JobCommand):
    help = (
        "Copy waiting snapshots, oldest first, to a backup copy or a secondary snap copy: "
        "of a subclient, a policy or a file server."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_scope_arguments(parser)
        parser.add_argument(
            "--copy", help="name of the copy; default: the policy's first backup copy, with --policy and others all"
        )

    def handle(
        self,
        *_args: Any,
        subclient: str | None,
        policy: str | None,
        file_server: str | None,
        copy: str | None,
        wait: bool,
        **options: Any,
    ) -> None:
        scope = find_scope(subclient=subclient, policy=policy, file_server=file_server)
        if isinstance(scope, Subclient):
            try:
                job = _launch(scope, find_copy(scope, copy))
            except CannotLaunch as refusal:
                raise refused(refusal) from refusal
            self.run_job(job, wait=wait, as_json=options["json"])
            return
        found = _copy_of(scope, copy)
        launch = launch_secondary_copies if _is_secondary_snap(found) else launch_backup_copies
        launched = launch(scope=scope, copy=found, **BY_SCRIPT)
        self.run_launched(launched, wait=wait, as_json=options["json"])


def _launch(subclient: Subclient, copy: Copy | None) -> Job:
    if _is_secondary_snap(copy):
        return launch_secondary_copy(subclient=subclient, copy=copy, **BY_SCRIPT)
    return launch_backup_copy(subclient, copy, **BY_SCRIPT)


def _is_secondary_snap(copy: Copy | None) -> bool:
    return copy is not None and copy.kind == CopyKind.SECONDARY_SNAP


def _copy_of(scope: Scope, name: str | None) -> Copy | None:
    if name is None:
        return None
    if not isinstance(scope, StoragePolicy):
        raise CommandError("--copy goes with a subclient or --policy only.", returncode=int(ExitCode.USAGE))
    found = scope.copies.filter(name=name).first()
    if found is None:
        known = ", ".join(scope.copies.values_list("name", flat=True))
        raise CommandError(
            f"The policy {scope.name} has no copy {name}. It has: {known}.", returncode=int(ExitCode.USAGE)
        )
    return found
