"""Schedules as they run: the list, one with its slots, the calendar, and *run now*. Their forms are in ``policies``."""

from __future__ import annotations

from datetime import date

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from jobs.models import SlotState
from jobs.selectors_pages import schedules as reads
from jobs.services.schedules import run_schedule_now
from policies.selectors import schedules as configured
from policies.selectors.activity import history_of
from policies.selectors.visible import schedules_seen_whole, sees_all_it_launches, sees_everything, visible_schedules
from snapcopy_site.lib.paging import key_of, link
from snapcopy_site.lib.roles import operator_required, viewer_required


@viewer_required
@require_safe
def schedule_list(request: HttpRequest) -> HttpResponse:
    rows = reads.schedule_rows(visible_schedules(request.user))
    if sees_everything(request.user):
        whole = {row.schedule.pk for row in rows}
    else:
        whole = set(schedules_seen_whole(request.user).values_list("pk", flat=True))
    return render(request, "jobs/schedule_list.html", {"rows": rows, "whole": whole})


@viewer_required
@require_safe
def schedule(request: HttpRequest, pk: int) -> HttpResponse:
    """One schedule: when it runs next, and what became of its slots."""
    found = get_object_or_404(configured.schedules(visible_schedules(request.user)), pk=pk)
    page = reads.runs_of(found, request.user, before=key_of(request, "before"))
    context = {
        "schedule": found,
        "row": reads.schedule_row(found),
        "next_runs": reads.next_runs_of(found),
        "page": page,
        "older_url": link(request.GET, before=page.older) if page.older else "",
        "is_whole": sees_all_it_launches(request.user, found),
        "history": history_of("schedule", pk),
    }
    return render(request, "jobs/schedule.html", context)


@viewer_required
@require_safe
def calendar(request: HttpRequest) -> HttpResponse:
    """``?month=2026-06``; without it, or with one that is none, the present month."""
    today = timezone.localdate()
    try:
        first = date.fromisoformat(f"{request.GET.get('month', '')}-01")
    except ValueError:
        first = today.replace(day=1)
    if not 0 <= first.year - today.year <= 1:
        first = today.replace(day=1)
    return render(
        request,
        "jobs/schedule_calendar.html",
        {"month": reads.month_of(first, among=visible_schedules(request.user)), "today": today},
    )


@operator_required
@require_POST
def run_now(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    """Launch at once what the schedule launches; it is a start by this person. Who does not see all of it may not."""
    found = get_object_or_404(configured.schedules(visible_schedules(request.user)), pk=pk)
    if not sees_all_it_launches(request.user, found):
        raise PermissionDenied("This schedule also launches jobs outside your scope. Start those you see one by one.")
    run = run_schedule_now(found, user=request.user)
    tell = messages.success if run.state == SlotState.LAUNCHED else messages.warning
    tell(request, run.sentence)
    return redirect("schedule", pk)
