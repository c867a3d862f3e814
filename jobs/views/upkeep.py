"""Aging with its preview, pruning and verifying a medium, and the word that a shrunken source is right."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from jobs import services
from jobs.selectors_pages import upkeep as reads
from jobs.services.aging_preview import deletions_of_aging
from jobs.services.upkeep import DEFAULT_PERCENT
from policies.models import Media, Subclient
from snapcopy_site.lib.roles import operator_required, viewer_required

from .answers import launch

MOST_SHOWN: Final = 200


@viewer_required
@require_safe
def aging(request: HttpRequest) -> HttpResponse:
    """What an aging would mark now, each with its reason, and the button that does it."""
    over = deletions_of_aging()
    context = {
        "over": over[:MOST_SHOWN],
        "count": len(over),
        "last": reads.last_aging(),
        "frozen": reads.frozen_subclients(),
    }
    return render(request, "jobs/aging.html", context)


@operator_required
@require_POST
def age_now(request: HttpRequest) -> HttpResponseRedirect:
    return launch(request, lambda: services.launch_aging(user=request.user), back="aging")


@operator_required
@require_POST
def prune_media(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    media = get_object_or_404(Media, pk=pk)
    return launch(request, lambda: services.launch_prune(media=media, user=request.user), back=_page(media))


@operator_required
@require_POST
def verify_media(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    """``percent``: how much of the data to read; empty = the default."""
    media = get_object_or_404(Media, pk=pk)
    percent = _percent(request.POST.get("percent", ""))
    if percent is None:
        messages.error(request, "The part of the data to read is a number between 0 and 100.")
        return redirect(_page(media))
    return launch(
        request, lambda: services.launch_verify(media=media, percent=percent, user=request.user), back=_page(media)
    )


@operator_required
@require_POST
def acknowledge_source(request: HttpRequest, server: str, name: str) -> HttpResponseRedirect:
    """Somebody looked at the source: its aging goes on (RULES R10)."""
    found = get_object_or_404(Subclient.objects.select_related("file_server"), file_server__name=server, name=name)
    try:
        services.acknowledge_source(found, user=request.user)
    except services.NothingFrozen as nothing:
        messages.warning(request, nothing.sentence)
    else:
        messages.success(request, f"Acknowledged: {found.path} ages again from the next aging on.")
    return redirect("subclient", server, name)


def _page(media: Media) -> str:
    return reverse("policies:media_detail", args=[media.pk])


def _percent(text: str) -> float | None:
    """None = no number between 0 and 100."""
    if not text.strip():
        return DEFAULT_PERCENT
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= 100 else None
