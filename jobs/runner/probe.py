"""Test jobs: **Test** of a medium or file server where it can be reached, on a node. The report stays at the object."""

from __future__ import annotations

from jobs.engine.events import Level, PhaseName
from jobs.runner.task import Task
from jobs.services.failures import ConfigurationDeleted, TestFailed
from jobs.services.outcomes import Done, Outcome
from policies.models import FileServer, Media
from policies.services.media import run_media_test
from policies.services.sources import run_file_server_test
from policies.services.test_reports import store_test_report


def run(task: Task) -> Outcome:
    """Run the probe; a step that fails makes the job fail with that step's words."""
    task.phase(PhaseName.CHECK)
    tested = _tested(task)
    if tested is None:
        raise ConfigurationDeleted("What this job tests was deleted.")
    report = run_media_test(tested) if isinstance(tested, Media) else run_file_server_test(tested)
    store_test_report(tested, report)
    for step in report.steps:
        level = Level.INFO if step.ok else Level.ERROR
        task.tell(f"test-{'ok' if step.ok else 'failed'}", _sentence(step.name, step.ok, step.detail), level=level)
    if report.ok:
        return Done(result={"ok": True, "steps": len(report.steps)})
    bad = next(step for step in report.steps if not step.ok)
    raise TestFailed(_sentence(bad.name, bad.ok, bad.detail), hint=bad.hint)


def _tested(task: Task) -> Media | FileServer | None:
    given = task.job.parameters
    if "media" in given:
        return Media.objects.filter(pk=given["media"]).first()
    return FileServer.objects.filter(pk=given.get("file_server")).first()


def _sentence(name: str, ok: bool, detail: str) -> str:
    return f"{name.capitalize()}{'' if ok else ' failed'}: {detail or 'ok'}"
