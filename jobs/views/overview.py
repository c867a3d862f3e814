"""The overview: one verdict, what runs, what calls for a person, and how full the media are."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from jobs import services
from jobs.models import Job
from jobs.selectors_pages import overview as reads
from jobs.selectors_pages import upkeep
from jobs.selectors_pages.pending import pending_copies
from jobs.selectors_pages.protection import subclient_states
from jobs.selectors_pages.schedules import coming_up
from policies.models import FileServer, Media, StoragePolicy, Subclient
from policies.selectors.visible import sees_everything, visible_schedules, visible_subclients
from snapcopy_site.lib.roles import admin_required, viewer_required

from .answers import launch

ALARMS_SHOWN: Final = 5


@viewer_required
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """``/``"""
    seen = visible_subclients(request.user)
    rows = subclient_states(seen)
    running = reads.running_jobs(request.user)
    if not rows:
        if not sees_everything(request.user):
            return render(request, "jobs/nothing_visible.html")
        return render(request, "jobs/welcome.html", {"steps": _steps_done(), "running": running})
    attention, attention_count = reads.attention(request.user)
    waiting = pending_copies(rows)
    overdue = [pending for pending in waiting if pending.is_overdue]
    context = {
        "rows": rows,
        "verdict": reads.verdict(rows),
        "waiting": waiting,
        "overdue": overdue[:ALARMS_SHOWN],
        "overdue_more": len(overdue) - ALARMS_SHOWN,
        "running": running,
        "seen": _seen(running),
        "attention": attention,
        "attention_more": attention_count - len(attention),
        "media": reads.media_use(request.user),
        "frozen": upkeep.frozen_subclients(request.user),
        "limits": upkeep.limit_warnings(seen),
        "coming_up": coming_up(visible_schedules(request.user)),
    }
    return render(request, "jobs/overview.html", context)


@viewer_required
@require_safe
def overview_running(request: HttpRequest) -> HttpResponse:
    """The fragment that polls. When other jobs run than the page shows, the whole page is read again."""
    running = reads.running_jobs(request.user)
    seen = _seen(running)
    if request.GET.get("seen", "") != seen:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "jobs/_running.html", {"running": running, "seen": seen})


@admin_required
@require_POST
def start_demo(request: HttpRequest) -> HttpResponseRedirect:
    """*Try with sample data*: it configures, so it needs an admin."""
    return launch(request, lambda: services.launch_demo(user=request.user), back="overview")


def _seen(running: list[Job]) -> str:
    return "-".join(str(job.pk) for job in running)


def _steps_done() -> dict[str, bool]:
    """Which of the steps of the welcome page are done."""
    return {
        "media": Media.objects.exists(),
        "policy": StoragePolicy.objects.exists(),
        "server": FileServer.objects.exists(),
        "subclient": Subclient.objects.exists(),
    }
