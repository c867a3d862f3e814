"""The **Test** buttons of media and file servers: launch a test job, show its report as it comes."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobs import services
from jobs.models import Job, Operation
from jobs.selectors_pages.history import report_of_test
from jobs.services import JobRefusal
from jobs.visible import visible_jobs
from policies.models import Media
from policies.selectors.visible import whole_file_servers
from snapcopy_site.lib.roles import operator_required, viewer_required

from .answers import launch


@operator_required
@require_POST
def test_media(request: HttpRequest, pk: int) -> HttpResponse:
    media = get_object_or_404(Media, pk=pk)
    return _test(request, lambda: services.launch_test(media=media, user=request.user))


@operator_required
@require_POST
def test_file_server(request: HttpRequest, pk: int) -> HttpResponse:
    server = get_object_or_404(whole_file_servers(request.user), pk=pk)
    return _test(request, lambda: services.launch_test(file_server=server, user=request.user))


@viewer_required
@require_safe
def test_live(request: HttpRequest, pk: int) -> HttpResponse:
    """The report of one test job; polls until the job is over."""
    job = get_object_or_404(visible_jobs(request.user), pk=pk, operation=Operation.TEST)
    return render(request, "jobs/_test_live.html", {"job": job, "report": report_of_test(job)})


def _test(request: HttpRequest, order: Callable[[], Job]) -> HttpResponse:
    """With htmx the report comes into the panel; without, the job's page shows it."""
    if not request.headers.get("HX-Request"):
        return launch(request, order, back="overview")
    try:
        job = order()
    except JobRefusal as refusal:
        return render(request, "components/note.html", {"tone": "bad", "title": str(refusal), "hint": refusal.hint})
    return redirect("test-live", job.pk)
