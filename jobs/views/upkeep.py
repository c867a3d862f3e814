"""Aging with its preview, pruning and verifying a medium, and the word that a shrunken source is right."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs import services
from jobs.selectors_pages import upkeep as reads
from jobs.selectors_pages.proof import Damage, damage_of
from jobs.services.aging_preview import deletions_of_aging
from jobs.services.upkeep import DEFAULT_PERCENT
from jobs.visible import require_everything
from policies.models import Media
from policies.selectors.visible import sees_everything, visible_subclients
from snapcopy_site.lib.roles import operator_required, viewer_required

from .answers import launch
from .found import subclient_or_404

MOST_SHOWN: Final = 200


@viewer_required
@require_safe
def aging(request: HttpRequest) -> HttpResponse:
    """What an aging would mark now, each with its reason, and the button that does it."""
    over = deletions_of_aging(visible_subclients(request.user))
    is_whole = sees_everything(request.user)
    context = {
        "over": over[:MOST_SHOWN],
        "count": len(over),
        "last": reads.last_aging() if is_whole else None,
        "is_whole": is_whole,
        "frozen": reads.frozen_subclients(request.user),
    }
    return render(request, "jobs/aging.html", context)


@operator_required
@require_POST
def age_now(request: HttpRequest) -> HttpResponseRedirect:
    require_everything(request.user)
    return launch(request, lambda: services.launch_aging(user=request.user), back="aging")


@operator_required
@require_POST
def prune_media(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    require_everything(request.user)
    media = get_object_or_404(Media, pk=pk)
    return launch(request, lambda: services.launch_prune(media=media, user=request.user), back=_page(media))


@operator_required
@require_POST
def verify_media(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    """``percent``: how much of the data to read; empty = the default."""
    require_everything(request.user)
    media = get_object_or_404(Media, pk=pk)
    percent = _percent(request.POST.get("percent", ""))
    if percent is None:
        messages.error(request, "The part of the data to read is a number between 0 and 100.")
        return redirect(_page(media))
    return launch(
        request, lambda: services.launch_verify(media=media, percent=percent, user=request.user), back=_page(media)
    )


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def repair_media(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then bring back what is damaged from other media and held snapshots, by a job."""
    require_everything(request.user)
    media = get_object_or_404(Media, pk=pk)
    if request.method == "POST":
        return launch(request, lambda: services.launch_repair(media=media, user=request.user), back=_page(media))
    known = damage_of(media)
    context = {
        "question": f"Repair {media.name}?",
        "consequence": _what_a_repair_does(known),
        "submit": "Repair",
        "cancel": _page(media),
        "breadcrumb": media.name,
        "breadcrumb_url": _page(media),
    }
    return render(request, "components/confirm.html", context)


@operator_required
@require_POST
def acknowledge_source(request: HttpRequest, server: str, name: str) -> HttpResponseRedirect:
    """Somebody looked at the source: its aging goes on (RULES R10)."""
    found = subclient_or_404(request.user, server, name)
    try:
        services.acknowledge_source(found, user=request.user)
    except services.NothingFrozen as nothing:
        messages.warning(request, nothing.sentence)
    else:
        messages.success(request, f"Acknowledged: {found.path} ages again from the next aging on.")
    return redirect("subclient", server, name)


def _page(media: Media) -> str:
    return reverse("policies:media_detail", args=[media.pk])


def _what_a_repair_does(known: Damage) -> str:
    packs = f"{known.packs:,} damaged pack{'' if known.packs == 1 else 's'}"
    paths = f"{known.paths:,} path{'' if known.paths == 1 else 's'}"
    found = f"{packs} and {paths} that cannot be restored whole are known. " if known else "No damage is known. "
    return (
        f"{found}What is lost comes back from other media and from snapshots that are still there, under the same ids. "
        "What does not is copied again where its snapshot still exists, and is named where it does not. "
        "While the repair runs, copies and restores of this medium wait."
    )


def _percent(text: str) -> float | None:
    """None = no number between 0 and 100."""
    if not text.strip():
        return DEFAULT_PERCENT
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= 100 else None
