"""Rebuilding the configuration from the one kept in a repository: a look at what changes, then all or nothing."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from jobs import services
from jobs.engine.plan import Secret
from jobs.models import Job, JobState, Operation
from jobs.services import JobRefusal
from policies.declared.applying import apply
from policies.declared.difference import Change
from policies.declared.problems import DeclaredRefused, DeletionsUnconfirmed
from policies.declared.sealed import commands_of, needed_secrets, rebuilt
from policies.models import Media
from snapcopy_site.lib.roles import admin_required

from .rebuild_form import RebuildForm

CHANGES_SHOWN: Final = 500


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def rebuild(request: HttpRequest, pk: int, install: str) -> HttpResponse:
    """What would change if every secret were given; POST does it, and has the points imported."""
    medium = get_object_or_404(Media, pk=pk)
    kept = _kept(medium, install)
    needed = needed_secrets(kept)
    form = RebuildForm(request.POST if request.method == "POST" else None, needed=needed)
    problems: list[str] = []
    if request.method == "POST" and form.is_valid():
        try:
            return _apply(request, medium, install, kept, form)
        except (DeclaredRefused, DeletionsUnconfirmed) as refusal:
            problems = str(refusal).splitlines()
    changes, doubts = _preview(medium, kept)
    context = {
        "medium": medium,
        "install": install,
        "form": form,
        "changes": changes[:CHANGES_SHOWN],
        "count": len(changes),
        "commands": commands_of(kept),
        "problems": problems or doubts,
        "submit": "Rebuild, and import the points",
        "cancel": reverse("media-attach", args=[pk]),
    }
    return render(request, "jobs/rebuild.html", context)


def _kept(medium: Media, install: str) -> dict[str, Any]:
    """As the last attachment read it. Raises Http404."""
    ended = (JobState.COMPLETED, JobState.COMPLETED_WITH_ERRORS)
    found = Job.objects.filter(media=medium, operation=Operation.ATTACH, state__in=ended).order_by("-pk").first()
    sealed = found.result.get("configurations", []) if found is not None else []
    kept: dict[str, Any] | None = next((one["kept"] for one in sealed if one["install"] == install), None)
    if kept is None:
        raise Http404("No such configuration was found on the medium.")
    return kept


def _preview(medium: Media, kept: dict[str, Any]) -> tuple[list[Change], list[str]]:
    """(what would change if all secrets were typed, why it would be refused)."""
    stand_in = {one.key: Secret("stands for what will be typed") for one in needed_secrets(kept)}
    try:
        declared, _ = rebuilt(kept, medium, stand_in)
        return apply(declared, plan=True), []
    except (DeclaredRefused, DeletionsUnconfirmed) as refusal:
        return [], str(refusal).splitlines()


def _apply(request: HttpRequest, medium: Media, install: str, kept: dict[str, Any], form: RebuildForm) -> HttpResponse:
    declared, left_out = rebuilt(kept, medium, form.typed, with_schedules=form.cleaned_data["with_schedules"])
    changes = apply(declared, user=request.user)
    messages.success(request, f"{len(changes)} objects were rebuilt. Their points are imported now.")
    if left_out:
        messages.warning(request, f"Left out for want of a secret: {', '.join(left_out)}.")
    try:
        services.launch_attach(media=medium, imports=True, own=install, user=request.user)
    except JobRefusal as refusal:
        messages.warning(request, f"{refusal} {refusal.hint}".strip())
    return redirect("media-attach", medium.pk)
