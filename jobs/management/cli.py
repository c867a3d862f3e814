"""What the commands for scripts share: finding a subclient, waiting for a job, exit codes, JSON lines.

Exit codes, also in every ``--help`` and in /docs/scripts/:

0 completed, 1 failed, 2 wrong command line, 3 completed with errors, 4 refused: nothing was started, 5 killed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.db import connection

from jobs.models import How, Initiator, Job, JobState
from jobs.services import JobRefusal, Launched
from jobs.services.launch_many import Scope
from policies.models import Copy, FileServer, Media, StoragePolicy, Subclient

POLL_SECONDS: Final = 0.25
PATIENCE_SECONDS: Final = 60.0
"""How long ``--wait`` bears a database that does not answer; the job does not depend on it."""


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    COMPLETED_WITH_ERRORS = 3
    REFUSED = 4
    KILLED = 5


EXIT_CODES: Final = (
    "exit codes: 0 completed (or started, without --wait), 1 failed, 2 wrong command line, "
    "3 completed with errors, 4 refused: nothing was started, 5 killed"
)

_BY_STATE: Final = {
    JobState.COMPLETED: ExitCode.OK,
    JobState.COMPLETED_WITH_ERRORS: ExitCode.COMPLETED_WITH_ERRORS,
    JobState.FAILED: ExitCode.FAILED,
    JobState.KILLED: ExitCode.KILLED,
}
_WORST_FIRST: Final = (ExitCode.FAILED, ExitCode.KILLED, ExitCode.COMPLETED_WITH_ERRORS, ExitCode.OK)

BY_SCRIPT: Final[dict[str, Any]] = {"initiator": Initiator.SCRIPT, "how": How.CLI}
"""Jobs of these commands were started by a script: the spool rules depend on it (RULES P)."""


class JobCommand(BaseCommand):
    """A command that launches jobs: ``launch`` says which, the rest is the same for all."""

    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXIT_CODES, **options)

    def add_job_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subclient", metavar="FILESERVER/SUBCLIENT")
        self.add_wait_arguments(parser)

    def add_wait_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--wait", action="store_true", help="wait until it is over; the exit code tells how")
        parser.add_argument("--json", action="store_true", help="one JSON object per job, a line each")

    def add_scope_arguments(self, parser: CommandParser) -> None:
        """One subclient, or everything below a policy or a file server (RULES B1)."""
        parser.add_argument("subclient", metavar="FILESERVER/SUBCLIENT", nargs="?")
        parser.add_argument("--policy", help="all subclients of this storage policy instead")
        parser.add_argument("--file-server", help="all subclients of this file server instead")
        self.add_wait_arguments(parser)

    def run_launched(self, launched: Launched, *, wait: bool, as_json: bool) -> None:
        """Report all of them. Nothing new is fine; refusals are code 4, or 3 beside jobs that were started."""
        for sentence in launched.refused:
            self.stderr.write(sentence)
        if not launched.jobs and not launched.refused and not as_json:
            self.stdout.write("Nothing new: no job was started.")
        self.run_jobs(launched.jobs, wait=wait, as_json=as_json)
        if launched.refused:
            raise SystemExit(int(ExitCode.COMPLETED_WITH_ERRORS if launched.jobs else ExitCode.REFUSED))

    def run_job(self, job: Job, *, wait: bool, as_json: bool) -> None:
        """Report the job; with ``wait`` all of its chain, and exit with the worst of their codes."""
        self.run_jobs([job], wait=wait, as_json=as_json)

    def run_jobs(self, jobs: Sequence[Job], *, wait: bool, as_json: bool) -> None:
        """The same for several that run side by side; none at all is fine."""
        codes = {ExitCode.OK}
        for job in jobs:
            if not wait:
                self.report(job, as_json=as_json)
                continue
            for ended in follow(job):
                self.report(ended, as_json=as_json)
                codes.add(_BY_STATE[JobState(ended.state)])
        worst = next(code for code in _WORST_FIRST if code in codes)
        if worst:
            raise SystemExit(int(worst))

    def report(self, job: Job, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(as_dictionary(job)))
            return
        about = job.subclient_label or job.media_label or job.file_server_label
        what = f"job {job.pk}: {job.get_operation_display().lower()}{f' of {about}' if about else ''}"
        state = str(job.get_state_display()).lower()
        reason = job.error_sentence if job.state == JobState.FAILED else job.state_reason
        self.stdout.write(f"{what}: {state}{f' ({reason})' if reason else ''}")
        if job.is_over and job.exceptions_count:
            for failed in job.exceptions.all()[:10]:
                self.stderr.write(f"  {failed.display_path}: {failed.error}")


def follow(job: Job) -> Iterator[Job]:
    """Yield the job when it is over, then the jobs that went on after it. A database that is away is waited for."""
    patience_ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            job.refresh_from_db()
            following = Job.objects.filter(pk=job.result.get("next_job")).first() if job.is_over else None
        except DatabaseError:
            if time.monotonic() > patience_ends:
                raise
            connection.close()
            time.sleep(POLL_SECONDS)
            continue
        patience_ends = time.monotonic() + PATIENCE_SECONDS
        if not job.is_over:
            time.sleep(POLL_SECONDS)
            continue
        yield job
        if following is None:
            return
        job = following


def find_subclient(path: str) -> Subclient:
    """``FILESERVER/SUBCLIENT`` to its row; a wrong one is a wrong command line."""
    server, _, name = path.partition("/")
    found = (
        Subclient.objects.select_related("file_server", "policy").filter(file_server__name=server, name=name).first()
    )
    if found is None:
        known = ", ".join(sorted(one.path for one in Subclient.objects.select_related("file_server")[:20]))
        raise CommandError(
            f"There is no subclient {path}. Known: {known or 'none yet'}.", returncode=int(ExitCode.USAGE)
        )
    return found


def find_media(name: str) -> Media:
    """A medium by name; a wrong one is a wrong command line."""
    found = Media.objects.filter(name=name).first()
    if found is None:
        known = ", ".join(Media.objects.values_list("name", flat=True)[:20])
        raise CommandError(f"There is no medium {name}. Known: {known or 'none yet'}.", returncode=int(ExitCode.USAGE))
    return found


def find_scope(*, subclient: str | None, policy: str | None, file_server: str | None) -> Scope:
    """Exactly one of the three to its row; anything else is a wrong command line."""
    if [subclient, policy, file_server].count(None) != 2:
        raise CommandError(
            "Name one FILESERVER/SUBCLIENT, or --policy, or --file-server.", returncode=int(ExitCode.USAGE)
        )
    if subclient is not None:
        return find_subclient(subclient)
    found: StoragePolicy | FileServer | None = (
        StoragePolicy.objects.filter(name=policy).first()
        if policy is not None
        else FileServer.objects.filter(name=file_server).first()
    )
    if found is None:
        what = f"storage policy {policy}" if policy is not None else f"file server {file_server}"
        raise CommandError(f"There is no {what}.", returncode=int(ExitCode.USAGE))
    return found


def find_copy(subclient: Subclient, name: str | None) -> Copy | None:
    """A copy of the subclient's policy by name; None = not asked for."""
    if name is None:
        return None
    copies = Copy.objects.filter(policy_id=subclient.policy_id).select_related("media", "policy")
    found = copies.filter(name=name).first()
    if found is None:
        known = ", ".join(copies.values_list("name", flat=True))
        raise CommandError(
            f"The policy {subclient.policy.name} has no copy {name}. It has: {known}.", returncode=int(ExitCode.USAGE)
        )
    return found


def refused(refusal: JobRefusal) -> CommandError:
    """A refusal as the command's end with code 4."""
    return CommandError(f"{refusal.sentence} {refusal.hint}".strip(), returncode=int(ExitCode.REFUSED))


def as_dictionary(job: Job) -> dict[str, object]:
    """The job as scripts see it; names are stable, new ones may come."""
    return {
        "job": job.pk,
        "operation": job.operation,
        "state": job.state,
        "reason": job.state_reason,
        "subclient": job.subclient_label,
        "copy": job.copy_label,
        "media": job.media_label,
        "snapshot": job.snapshot.name if job.snapshot else None,
        "asked_level": job.asked_level,
        "ran_level": job.ran_level,
        "level_number": job.level_number,
        "level_reason": job.level_reason,
        "initiator": job.initiator,
        "node": job.node_label,
        "attempt": job.attempt,
        "percent": job.percent,
        "files": job.files_done,
        "bytes": job.bytes_done,
        "bytes_read": job.bytes_read,
        "bytes_new": job.bytes_new,
        "bytes_stored": job.bytes_stored,
        "exceptions": job.exceptions_count,
        "error": {"code": job.error_code, "sentence": job.error_sentence, "hint": job.error_hint}
        if job.error_code
        else None,
        "result": job.result,
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }
