"""Aging jobs: the service called with the job's orders, and what it did as the job's result (RULES R4)."""

from __future__ import annotations

from dataclasses import replace

from jobs.engine.events import Counters, Level, PhaseName, Progress
from jobs.runner.task import Task
from jobs.services import forget_lost
from jobs.services.aging import Aged, age_everything
from jobs.services.outcomes import Done, Outcome


def run(task: Task) -> Outcome:
    """Age everything now. A copy that had to be left alone is an exception: *completed with errors*."""
    task.phase(PhaseName.CHECK)
    counters = Counters()

    def on_step(aged: Aged) -> None:
        task.orders.check()
        task.recorder.emit(Progress(counters=replace(counters, files_done=aged.looked_at)))

    aged = age_everything(initiator=task.job.initiator, on_step=on_step)
    for sentence in aged.refused:
        task.tell("aging-refused", sentence, level=Level.WARNING)
    for path in aged.frozen:
        frozen = f"{path} keeps everything: the source guard stopped its aging until somebody acknowledges it."
        task.tell("aging-frozen", frozen, level=Level.WARNING)
    for copy in aged.not_aging:
        task.tell("aging-off", f"{copy} keeps everything: its aging is switched off.")
    if forgotten := forget_lost():
        task.tell("catalog-forgotten", f"{forgotten:,} snapshots that are nowhere any more left the catalog.")
    task.tell("aged", f"{aged.aged:,} of {aged.looked_at:,} are over their retention.")
    return Done(result=aged.as_result(), exceptions=len(aged.refused))
