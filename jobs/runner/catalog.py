"""Catalog jobs: every snapshot of a subclient that is still to be catalogued, oldest first (RULES S4)."""

from __future__ import annotations

from typing import Final

from jobs.catalog.loading import forget_subclient
from jobs.engine.events import Checkpoint, PhaseName
from jobs.models import CatalogState, Snapshot
from jobs.runner.cataloguing import Cataloguer, waiting_for_catalog
from jobs.runner.task import Task
from jobs.services.catalog import EVERYTHING, MEDIA_ONLY, REBUILD, mark_for_catalog
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import Done, Outcome

_EMPTIED: Final = "emptied"
SNAPSHOTS: Final = "snapshots"
LOOKED_AT: Final = "looked_at"
"""What is kept of a job while it runs: so many snapshots of so many are done with, over all its attempts."""


def run(task: Task) -> Outcome:
    """What cannot be catalogued makes it *completed with errors*; a later job tries it again."""
    subclient, given = task.job.subclient, task.job.parameters
    if subclient is None:
        raise ConfigurationDeleted("The subclient of this job was deleted.")
    task.phase(PhaseName.PREPARE)
    kept = dict(task.job.checkpoint)
    if given.get(REBUILD) and not kept.get(_EMPTIED):
        Snapshot.objects.filter(subclient=subclient, catalog_state=CatalogState.DONE).update(
            catalog_state=CatalogState.PENDING
        )
        forget_subclient(subclient.pk)
        kept[_EMPTIED] = True
        task.recorder.emit(Checkpoint(data=dict(kept)))
        task.recorder.flush()
        task.tell("catalog-emptied", "The catalog was emptied, to be made anew.")
    if given.get(EVERYTHING) or given.get(REBUILD):
        mark_for_catalog(subclient)
    waiting = waiting_for_catalog(subclient.pk)
    task.phase(PhaseName.CATALOG)
    done, total = 0, max(kept.get(SNAPSHOTS, 0), len(waiting))
    first = total - len(waiting)
    task.recorder.emit(Checkpoint(data={**kept, SNAPSHOTS: total, LOOKED_AT: first}))
    task.recorder.flush()
    with Cataloguer(task=task, media_only=bool(given.get(MEDIA_ONLY))) as cataloguer:
        for number, snapshot in enumerate(waiting, first):
            task.recorder.emit(Checkpoint(data={**kept, SNAPSHOTS: total, LOOKED_AT: number}))
            done += cataloguer.catalogue(snapshot)
    task.recorder.emit(Checkpoint(data={**kept, SNAPSHOTS: total, LOOKED_AT: total}))
    task.phase(PhaseName.FINISH)
    task.tell("catalog-done", f"{done:,} of {len(waiting):,} snapshots were catalogued.")
    return Done(
        exceptions=max(cataloguer.failures, task.recorder.exceptions),
        result={"snapshots": done, "failed": cataloguer.failures, "paths": cataloguer.told},
    )
