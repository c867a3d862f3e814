"""Pages of media."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from policies import services
from policies.forms.media import MediaForm
from policies.models import Copy, Media
from policies.resolve import described_limits, described_options, media_label, stock_place
from policies.selectors import lists
from policies.selectors.activity import history_of
from policies.selectors.visible import visible_policies
from policies.views.pages import delete_page, edit_page, render_page
from snapcopy_site.lib.roles import admin_required, viewer_required


@viewer_required
@require_safe
def media_list(request: HttpRequest) -> HttpResponse:
    media = [(medium, media_label(medium)) for medium in lists.media(request.user)]
    return render_page(request, "policies/media_list.html", {"media": media})


@viewer_required
@require_safe
def media_detail(request: HttpRequest, pk: int) -> HttpResponse:
    medium = get_object_or_404(lists.media(request.user), pk=pk)
    context = {
        "medium": medium,
        "kind": media_label(medium),
        "options": described_options(medium),
        "stock_place": stock_place(medium),
        "limits": described_limits(medium),
        "copies": Copy.objects.filter(media=medium, policy__in=visible_policies(request.user)).select_related("policy"),
        "history": history_of("medium", pk),
    }
    return render_page(request, "policies/media_detail.html", context)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def media_create(request: HttpRequest) -> HttpResponse:
    return edit_page(
        request,
        partial(MediaForm, kind=request.GET.get("kind")),
        heading="Add a medium",
        submit="Add the medium",
        cancel=reverse("policies:media_list"),
        save=lambda form: form.save(user=request.user),
        saved=lambda medium: _saved(request, medium, "was added. Press Test to see whether it can be written."),
        context=_below_media(),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def media_edit(request: HttpRequest, pk: int) -> HttpResponse:
    medium = get_object_or_404(Media, pk=pk)
    return edit_page(
        request,
        partial(MediaForm, instance=medium, kind=request.GET.get("kind")),
        heading=f"Edit {medium.name}",
        submit="Save the medium",
        cancel=reverse("policies:media_detail", args=[pk]),
        save=lambda form: form.save(user=request.user),
        saved=lambda saved: _saved(request, saved, "was saved."),
        context=_below_media(),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def media_delete(request: HttpRequest, pk: int) -> HttpResponse:
    medium = get_object_or_404(Media, pk=pk)
    return delete_page(
        request,
        medium,
        delete=lambda: services.delete_media(medium, user=request.user),
        cancel=reverse("policies:media_detail", args=[pk]),
        done=reverse("policies:media_list"),
        stays="The repository on the storage stays as it is; SnapCopy only forgets it, and its password.",
    )


def _below_media() -> dict[str, object]:
    return {"breadcrumb": "Media", "breadcrumb_url": reverse("policies:media_list")}


def _saved(request: HttpRequest, medium: Media, what: str) -> str:
    messages.success(request, f"The medium “{medium}” {what}")
    return reverse("policies:media_detail", args=[medium.pk])
