"""What **Test** found, kept with the medium or file server for its page. Not a test module."""

from __future__ import annotations

from django.utils import timezone

from jobs.engine.media.base import TestReport
from policies.models import FileServer, Media


def store_test_report(tested: Media | FileServer, report: TestReport) -> None:
    """Store the report and what it measured. Only these fields are written: an edit made meanwhile is kept."""
    now = timezone.now()
    tested.last_test = {
        "ok": report.ok,
        "steps": [
            {"name": step.name, "ok": step.ok, "seconds": step.seconds, "detail": step.detail, "hint": step.hint}
            for step in report.steps
        ],
        "facts": report.facts,
        "warnings": list(report.warnings),
    }
    tested.last_tested_at = now
    fields = ["last_test", "last_tested_at"]
    if isinstance(tested, Media) and report.usage is not None:
        tested.total_bytes = report.usage.total_bytes
        tested.free_bytes = report.usage.free_bytes
        tested.measured_at = now
        fields += ["total_bytes", "free_bytes", "measured_at"]
    tested.save(update_fields=fields)
