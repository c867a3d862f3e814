"""Attaching a repository that is there already: its settings, what a node found in it, and taking that over."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from jobs import services
from jobs.models import Job, JobState, Operation
from jobs.rules import states
from jobs.services import JobRefusal
from jobs.services.attaching import IMPORT
from policies.forms.media import MediaForm
from policies.models import IMPORTED, Media, Subclient
from policies.resolve import install_id
from policies.views.pages import edit_page
from snapcopy_site.lib.roles import admin_required

SUBCLIENTS_SHOWN: Final = 200
_NS: Final = 10**9


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def attach_new(request: HttpRequest) -> HttpResponse:
    """The form of a medium; saving it has a node look what lies there."""
    return edit_page(
        request,
        partial(MediaForm, kind=request.GET.get("kind"), has_repository=True),
        heading="Attach an existing repository",
        submit="Save, and look what is there",
        cancel=reverse("policies:media_list"),
        save=lambda form: form.save(user=request.user),
        saved=lambda medium: _look_at_new(request, medium),
        context={
            "breadcrumb": "Media",
            "breadcrumb_url": reverse("policies:media_list"),
            "lede": "Where the repository lies, and its password. It may be one of SnapCopy or of stock restic. "
            "Attaching changes nothing on the medium.",
        },
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def attach(request: HttpRequest, pk: int) -> HttpResponse:
    """What was found; POST looks again, or with ``action=import`` takes it over."""
    medium = get_object_or_404(Media, pk=pk)
    if request.method == "POST":
        _launch(request, medium, imports=request.POST.get("action") == "import")
        return redirect("media-attach", pk)
    return render(request, "jobs/attach.html", _context(medium))


@admin_required
@require_safe
def attach_live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part that polls while a node is at it."""
    return render(request, "jobs/_attach.html", _context(get_object_or_404(Media, pk=pk)))


def _look_at_new(request: HttpRequest, medium: Media) -> str:
    _launch(request, medium, imports=False)
    return reverse("media-attach", args=[medium.pk])


def _launch(request: HttpRequest, medium: Media, *, imports: bool) -> None:
    try:
        services.launch_attach(media=medium, imports=imports, user=request.user)
    except JobRefusal as refusal:
        messages.warning(request, f"{refusal} {refusal.hint}".strip())


def _context(medium: Media) -> dict[str, Any]:
    jobs = Job.objects.filter(media=medium, operation=Operation.ATTACH).order_by("-pk")
    last = jobs.first()
    imports = {f"parameters__{IMPORT}": True}
    ended = (JobState.COMPLETED, JobState.COMPLETED_WITH_ERRORS)
    found = jobs.filter(state__in=ended).first()
    subclients = Subclient.objects.filter(file_server__engine=IMPORTED, policy__copies__media=medium)
    return {
        "medium": medium,
        "job": last,
        "is_active": last is not None and last.state in states.ACTIVE,
        "is_importing": last is not None and bool(last.parameters.get(IMPORT)),
        "found": found.result if found is not None else None,
        "looked": found,
        "imported": jobs.filter(state__in=ended, **imports).first(),
        "groups": [_group(group) for group in found.result.get("groups", [])] if found is not None else [],
        "sealed": [_sealed(one) for one in found.result.get("configurations", [])] if found is not None else [],
        "subclients": subclients.select_related("file_server")[:SUBCLIENTS_SHOWN],
    }


def _sealed(one: dict[str, Any]) -> dict[str, Any]:
    return one | {"at": _moment(one["at_ns"]), "is_own": one["install"] == install_id()}


def _group(group: dict[str, Any]) -> dict[str, Any]:
    return group | {name: _moment(group[f"{name}_ns"]) for name in ("first", "last")}


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / _NS, tz=UTC)
