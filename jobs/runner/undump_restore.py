"""Restores of dumps: the images of a chain go back to an NDMP file server, which writes the files (RULES L6)."""

from __future__ import annotations

import os

from jobs.dump_chains import dump_chain
from jobs.engine.errors import NotInCopy
from jobs.engine.events import Level, PhaseName
from jobs.engine.ids import FileId
from jobs.engine.ndmp.dump_source import DumpSource
from jobs.engine.operations import undump
from jobs.engine.operations.undump import UndumpPlan
from jobs.engine.plan import StoredPath
from jobs.engine.snapshots.base import DumpStreamer
from jobs.models import BackupCopy, Job
from jobs.runner.opened_media import open_media
from jobs.runner.task import Task
from jobs.services.failures import ConfigurationDeleted
from jobs.services.outcomes import Done, Outcome
from jobs.services.restore_parameters import DESTINATION, DIRECT, IN_PLACE
from policies.models import FileServer
from policies.resolve import build_engine, media_password
from snapcopy_site.lib.home import Home


def run(task: Task) -> Outcome:
    """Give back what the parameters name. Files that could not be written make it *completed with errors*.

    An attempt that was interrupted begins again: every file is written anew.
    """
    task.phase(PhaseName.PREPARE)
    job, row = task.job, task.job.backup_copy
    if row is None or job.snapshot is None or not row.is_on_media:
        raise NotInCopy("The backup copy of this job is no longer on media.", hint="Choose another point in time.")
    chain = dump_chain(row)
    there = FileServer.objects.filter(pk=job.parameters[DESTINATION]["id"]).first()
    if there is None:
        raise ConfigurationDeleted(f"The file server {job.parameters[DESTINATION]['name']} was deleted.")
    engine = build_engine(there)
    if not isinstance(engine, DumpStreamer):
        raise NotInCopy(f"{there.name} is not reached by NDMP any more.", hint="Choose another file server.")
    numbers = ", ".join(str(link.level_number) for link in chain)
    task.tell("dump-chain", f"Restored from the dump{'s' * (len(chain) > 1)} of level {numbers}, in this order.")
    if job.attempt > 1:
        task.tell("begins-again", "A restore of dumps begins again from the first byte.", level=Level.WARNING)
    driver = open_media(task, row.media)
    try:
        plan = _plan(job, row, chain, engine.dump_source(task.orders))
        result = undump.run(plan, driver, media_password(row.media), task.recorder, task.orders, task.clock)
    finally:
        driver.close()
    return Done(
        exceptions=max(result.counters.exceptions, task.recorder.exceptions),
        result={
            "target": job.parameters["target"],
            "files": result.counters.files_done,
            "bytes": result.counters.bytes_done,
            "files_skipped": 0,
            "warnings": result.warnings,
        },
    )


def _plan(job: Job, row: BackupCopy, chain: list[BackupCopy], there: DumpSource) -> UndumpPlan:
    given = job.parameters
    return UndumpPlan(
        snapshot_files=tuple(FileId(link.snapshot_file_id or "") for link in chain),
        content=tuple(StoredPath(os.fsencode(path)) for path in row.snapshot.content),
        server=there.server,
        profile=there.profile,
        data_path=there.data_path,
        paths=tuple(StoredPath(bytes.fromhex(path)) for path in given["paths"]),
        target=None if given.get(IN_PLACE) else StoredPath(os.fsencode(given["target"])),
        strip_prefix=StoredPath(bytes.fromhex(given["strip_prefix"])),
        is_direct=given[DIRECT],
        index_cache=Home.current().index_cache(row.media_id),
    )
