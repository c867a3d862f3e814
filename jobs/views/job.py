"""One job: its page with the live card, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from jobs import services
from jobs.models import Job
from jobs.selectors_pages.bandwidth import limits_in_force
from jobs.selectors_pages.history import JobStory, report_of_test, story
from jobs.selectors_pages.waiting import place_of
from policies.resolve import is_dump_stream, stock_place
from snapcopy_site.lib.roles import operator_required, viewer_required

from .answers import control, launch, safe_next
from .card import JobCard, stock_commands
from .found import job_or_404

Order = Callable[..., Job]

ORDERS: Final[dict[str, tuple[Order, str]]] = {
    "kill": (services.kill_job, "The job is told to end. It keeps its snapshot and leaves no lock."),
    "suspend": (services.suspend_job, "The job is told to stop at its next checkpoint."),
    "resume": (services.resume_job, "The job goes on from what was written."),
    "acknowledge": (services.acknowledge_job, "Acknowledged: it no longer asks for attention."),
}


@viewer_required
@require_safe
def job(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "jobs/job.html", _context(_story(request, pk)))


@viewer_required
@require_safe
def job_live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part that polls; when the job is over it comes without a poll."""
    return render(request, "jobs/_job.html", _context(_story(request, pk)) | {"is_poll": True})


@operator_required
@require_POST
def order_job(request: HttpRequest, pk: int, order: str) -> HttpResponseRedirect:
    """Kill, suspend, resume, acknowledge."""
    if order not in ORDERS:
        raise Http404("There is no such order.")
    carry_out, said = ORDERS[order]
    found = job_or_404(request.user, pk)
    return control(
        request, lambda: carry_out(found, user=request.user), said=said, back=safe_next(request, _address(pk))
    )


@operator_required
@require_POST
def resubmit(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    """The same again, as a new job."""
    found = job_or_404(request.user, pk)
    return launch(request, lambda: services.resubmit_job(found, user=request.user), back=_address(pk))


def _context(told: JobStory) -> dict[str, Any]:
    return {
        "job": told.job,
        "story": told,
        "card": JobCard(told.job, told.phases),
        "commands": _commands(told.job),
        "holds_dumps": told.job.snapshot is not None and is_dump_stream(told.job.snapshot.engine),
        "place": place_of(told.job),
        "limits": limits_in_force(told.job),
        "report": report_of_test(told.job),
    }


def _commands(done: Job) -> str:
    """How stock restic would restore what this job copied; '' when it copied nothing."""
    row = done.backup_copy
    if not done.is_over or row is None or not row.is_on_media or not row.snapshot_file_id:
        return ""
    place = stock_place(row.media)
    return stock_commands(place, snapshot_file_id=row.snapshot_file_id) if place else ""


def _story(request: HttpRequest, pk: int) -> JobStory:
    try:
        return story(pk, request.user)
    except Job.DoesNotExist:
        raise Http404(f"There is no job {pk}.") from None


def _address(pk: int) -> str:
    return reverse("job", args=(pk,))
