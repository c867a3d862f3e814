"""A restore once more: the same, what was previewed, or only the paths that failed (RULES V2, J6)."""

from __future__ import annotations

from typing import Final

from jobs.engine.plan import Overwrite
from jobs.models import How, Initiator, Job, JobException, Snapshot
from jobs.progress import note
from jobs.services.errors import CannotLaunch
from jobs.services.launch import Actor
from jobs.services.restore_parameters import CHOSEN_COPY, DESTINATION, EXPECTED, IN_PLACE
from jobs.services.restores import launch_restore
from jobs.services.undumps import undump_again
from policies.models import AccessNode, Copy

_COULD_NOT_BE_READ: Final = (
    "blob-damaged",
    "blob-missing",
    "tree-damaged",
    "file-unreadable",
    "file-vanished",
    "file-changed",
)


def restore_again(
    job: Job,
    snapshot: Snapshot,
    *,
    only_failed: bool = False,
    dry_run: bool | None = None,
    expected: dict[str, int] | None = None,
    user: Actor = None,
    initiator: str = Initiator.PERSON,
    how: str = How.WEB,
) -> Job:
    """The same restore as a new job; RULES V1 chooses the copy anew unless a person did.

    ``only_failed``: just the paths it could not restore. ``dry_run`` None = as it was. Raises CannotLaunch.
    """
    given = job.parameters
    paths = [bytes.fromhex(path) for path in given["paths"]]
    failed = failed_paths(job) if only_failed else []
    if DESTINATION in given:
        again = undump_again(job, snapshot, failed or paths, user=user, initiator=initiator, how=how)
        _tell_failed(again, job, failed)
        return again
    again = launch_restore(
        snapshot,
        Copy.objects.filter(pk=given.get(CHOSEN_COPY)).first(),
        paths=failed or paths,
        target=given["target"],
        in_place=bool(given.get(IN_PLACE)),
        node=AccessNode.objects.filter(name=given.get("node", "")).first(),
        overwrite=Overwrite(given["overwrite"]),
        with_metadata=given["with_metadata"],
        strip_prefix=bytes.fromhex(given["strip_prefix"]),
        dry_run=given["dry_run"] if dry_run is None else dry_run,
        rather_not=_unread_there(job) if failed else None,
        expected=expected if expected or failed else given.get(EXPECTED),
        user=user,
        initiator=initiator,
        how=how,
    )
    _tell_failed(again, job, failed)
    return again


def _tell_failed(again: Job, job: Job, failed: list[bytes]) -> None:
    if failed:
        many = "the one path" if len(failed) == 1 else f"the {len(failed):,} paths"
        note(again.pk, "only-the-failed", f"Only {many} that job {job.pk} could not restore.")


def launch_previewed(job: Job, *, user: Actor = None, initiator: str = Initiator.PERSON, how: str = How.WEB) -> Job:
    """What a dry run looked at, now in earnest. Raises CannotLaunch."""
    if job.snapshot is None:
        raise CannotLaunch("The point that was previewed was deleted.", hint="Choose another point in time.")
    counted = {name: job.result[name] for name in ("files", "bytes") if name in job.result}
    again = restore_again(job, job.snapshot, dry_run=False, expected=counted, user=user, initiator=initiator, how=how)
    note(again.pk, "previewed", f"Previewed by job {job.pk}.")
    return again


def _unread_there(job: Job) -> dict[int, str]:
    """Where it was the copy that could not give all files, another one is tried before it."""
    unread = JobException.objects.filter(job=job, attempt=job.attempt, code__in=_COULD_NOT_BE_READ).count()
    if not unread or job.copy_id is None:
        return {}
    return {job.copy_id: f"job {job.pk} could not read {unread:,} of its file{'' if unread == 1 else 's'}"}


def failed_paths(job: Job) -> list[bytes]:
    """Stored paths that its last attempt could not restore; empty where not all are known, so all is done again.

    An earlier attempt's are no matter: the last one tried them again.
    """
    rows = JobException.objects.filter(job=job, attempt=job.attempt)
    found = list(dict.fromkeys(bytes(path) for path in rows.values_list("path", flat=True)))
    return found if len(found) >= job.exceptions_count else []
