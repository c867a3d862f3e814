"""The jobs list with its filters, its live rows and its export."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from jobs.forms import JobFilterForm
from jobs.selectors_pages.history import Page, filtered, page_of
from jobs.visible import visible_jobs
from snapcopy_site.lib.paging import key_of, link
from snapcopy_site.lib.roles import viewer_required

COLUMNS = (
    *("id", "operation", "state", "state_reason", "file_server_label", "subclient_label", "copy_label", "media_label"),
    *("asked_level", "ran_level", "level_reason", "node_label", "attempt", "initiator", "how", "started_by_label"),
    *("created_at", "started_at", "finished_at", "files_total", "files_done", "files_new", "files_changed"),
    *("files_unmodified", "bytes_total", "bytes_done", "bytes_read", "bytes_new", "bytes_stored", "exceptions_count"),
    *("error_code", "error_sentence"),
)


@viewer_required
@require_safe
def job_list(request: HttpRequest) -> HttpResponse:
    """``/jobs/``; the filters are the query, so the address can be kept and sent."""
    return render(request, "jobs/job_list.html", _context(request))


@viewer_required
@require_safe
def job_rows(request: HttpRequest) -> HttpResponse:
    """The rows of the first page, for its poll."""
    return render(request, "jobs/_job_rows.html", _context(request))


@viewer_required
@require_safe
def job_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Every job that matches the filters, newest first, streamed. Times are ISO 8601 in UTC, sizes in bytes."""
    form = JobFilterForm(request.GET, user=request.user)
    jobs = filtered(form.wanted(run_id=key_of(request, "run")), request.user)
    response = StreamingHttpResponse(_lines(jobs.values_list(*COLUMNS).iterator(1000)), content_type="text/csv")
    response["Content-Disposition"] = f'attachment; filename="jobs-{timezone.localdate()}.csv"'
    return response


def _context(request: HttpRequest) -> dict[str, Any]:
    form = JobFilterForm(request.GET, user=request.user)
    before, after = key_of(request, "before"), key_of(request, "after")
    wanted = form.wanted(run_id=key_of(request, "run"))
    page: Page = page_of(filtered(wanted, request.user), before=before, after=after)
    return {
        "form": form,
        "page": page,
        "is_live": before is None and after is None,
        "query": link(request.GET),
        "newer_url": link(request.GET, after=page.newer) if page.newer else "",
        "older_url": link(request.GET, before=page.older) if page.older else "",
        "any_jobs": bool(page.jobs) or visible_jobs(request.user).exists(),
    }


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def _lines(rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


def _cell(value: object) -> object:
    """A text that a spreadsheet would run as a formula is quoted (OWASP, CSV injection)."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
