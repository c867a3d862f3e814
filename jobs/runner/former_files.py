"""The snapshot file that a recopy replaced goes from the repository as soon as the row means the new one (RULES B4).

Until then both are there, so that a copy that fails, or a process that dies, leaves what was on media. A repository
that is in use for longer than the short wait keeps the former file until the medium is pruned.
"""

from __future__ import annotations

from typing import Final

from django.db import transaction

from jobs.engine.clock import SystemClock
from jobs.engine.errors import EngineError, NotInCopy
from jobs.engine.events import Event, FreeRun
from jobs.engine.ids import FileId
from jobs.engine.operations import forget
from jobs.models import BackupCopy
from jobs.progress import note
from jobs.rules import states
from jobs.runner.copy_record import FORMER_FILES
from policies.resolve import media_password, resolve_media

WAIT_SECONDS: Final = 5.0
"""For other copies of the same medium to end; removing needs the repository alone."""


def forget_former(job_id: int, row_id: int) -> None:
    """Called when the end of the copy is committed. Idempotent; what cannot be removed now is left to the pruning."""
    row = BackupCopy.objects.select_related("media").filter(pk=row_id, state__in=states.ON_MEDIA).first()
    former = [file_id for file_id in _former(row) if file_id != row.snapshot_file_id] if row is not None else []
    meant = BackupCopy.objects.filter(snapshot_file_id__in=former).values_list("snapshot_file_id", flat=True)
    doomed = [file_id for file_id in former if file_id not in set(meant)]
    if row is None or not doomed:
        return
    try:
        driver, password = resolve_media(row.media), media_password(row.media)
        try:
            for file_id in doomed:
                plan = forget.ForgetPlan(ids=(FileId(file_id),), wait_seconds=WAIT_SECONDS)
                try:
                    forget.run(plan, driver, password, _Silence(), FreeRun(), SystemClock())
                except NotInCopy:
                    pass
                _drop(row_id, file_id)
        finally:
            driver.close()
    except EngineError as error:
        note(job_id, "former-left", f"The former copy stays until the medium is pruned. {error.sentence}")
    else:
        note(job_id, "former-forgotten", "The former copy of this snapshot was removed; pruning frees its space.")


def _former(row: BackupCopy) -> list[str]:
    files: list[str] = row.tokens.get(FORMER_FILES, [])
    return files


@transaction.atomic
def _drop(row_id: int, file_id: str) -> None:
    row = BackupCopy.objects.select_for_update().get(pk=row_id)
    left = [other for other in _former(row) if other != file_id]
    row.tokens = {name: value for name, value in row.tokens.items() if name != FORMER_FILES}
    if left:
        row.tokens[FORMER_FILES] = left
    row.save(update_fields=["tokens"])


class _Silence:
    """The job is over: nothing more is told of its phases."""

    def emit(self, _event: Event) -> None:
        return None
