"""Pages of the copies of a storage policy. An edit that would delete something asks first (RULES R9)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Final

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from policies import services
from policies.forms.copies import CopyForm
from policies.forms.service_form import SWITCH
from policies.models import Copy, CopyKind, StoragePolicy
from policies.previews import Deletion, deletions_of_edit
from policies.views.pages import delete_page, edit_page, render_page
from snapcopy_site.lib.roles import admin_required

SEEN: Final = "seen"
"""The hidden field that says which deletions the person has read."""

SHOWN_DELETIONS: Final = 100


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def copy_create(request: HttpRequest, pk: int) -> HttpResponse:
    """``pk`` is the policy's."""
    policy = get_object_or_404(StoragePolicy, pk=pk)
    return edit_page(
        request,
        partial(CopyForm, policy=policy, kind=request.GET.get("kind")),
        heading=f"Add a copy to {policy.name}",
        submit="Add the copy",
        cancel=reverse("policies:policy_detail", args=[pk]),
        save=lambda form: form.save(user=request.user),
        saved=lambda copy: _saved(request, policy, f"The copy “{copy}” was added."),
        context=_below(policy),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def copy_edit(request: HttpRequest, pk: int) -> HttpResponse:
    copy = get_object_or_404(Copy.objects.select_related("policy"), pk=pk)
    if request.method == "POST" and SWITCH not in request.POST:
        question = _question(request, copy)
        if question is not None:
            return question
    return edit_page(
        request,
        partial(CopyForm, policy=copy.policy, instance=copy),
        heading=f"Edit {copy}",
        submit="Save the copy",
        cancel=reverse("policies:policy_detail", args=[copy.policy_id]),
        save=lambda form: form.save(user=request.user),
        saved=lambda saved: _saved(request, copy.policy, f"The copy “{saved}” was saved."),
        context=_below(copy.policy) | {"kind": copy.get_kind_display()},
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def copy_delete(request: HttpRequest, pk: int) -> HttpResponse:
    copy = get_object_or_404(Copy.objects.select_related("policy"), pk=pk)
    there = reverse("policies:policy_detail", args=[copy.policy_id])
    return delete_page(
        request,
        copy,
        delete=lambda: services.delete_copy(copy, user=request.user),
        cancel=there,
        done=there,
        stays="What lies on its storage stays there." if copy.kind == CopyKind.PRIMARY_SNAP else "",
    )


@admin_required
@require_POST
def copy_move(request: HttpRequest, pk: int) -> HttpResponse:
    """Earlier or later in precedence, which decides where a restore reads first."""
    copy = get_object_or_404(Copy, pk=pk)
    services.move_copy(copy, earlier=request.POST.get("direction") == "earlier", user=request.user)
    return redirect("policies:policy_detail", copy.policy_id)


def _question(request: HttpRequest, copy: Copy) -> HttpResponse | None:
    """The page that lists what the edit would delete; None = nothing, it was read already, or the form is wrong."""
    form = CopyForm(request.POST, policy=copy.policy, instance=Copy.objects.select_related("policy").get(pk=copy.pk))
    if not form.is_valid():
        return None
    with transaction.atomic():
        is_refused = form.save(user=request.user) is None
        transaction.set_rollback(True)
    if is_refused:
        return None
    deletions = deletions_of_edit(copy=copy, changes=form.values())
    seen = _fingerprint(deletions)
    if not deletions or request.POST.get(SEEN) == seen:
        return None
    typed = [(name, value) for name, values in request.POST.lists() for value in values]
    left_out = {SEEN, "csrfmiddlewaretoken"}
    context = {
        "copy": copy,
        "deletions": deletions[:SHOWN_DELETIONS],
        "count": len(deletions),
        "more": max(0, len(deletions) - SHOWN_DELETIONS),
        "typed": [(name, value) for name, value in typed if name not in left_out],
        "seen": seen,
        "cancel": reverse("policies:policy_detail", args=[copy.policy_id]),
    }
    return render_page(request, "policies/deletions.html", context | _below(copy.policy))


def _fingerprint(deletions: Sequence[Deletion]) -> str:
    """The same for the same list, so that a list that grew meanwhile is shown again."""
    lines = "\n".join(sorted(f"{deletion.kind}\t{deletion.label}\t{deletion.at}" for deletion in deletions))
    return hashlib.sha256(lines.encode()).hexdigest()


def _below(policy: StoragePolicy) -> dict[str, object]:
    return {"breadcrumb": policy.name, "breadcrumb_url": reverse("policies:policy_detail", args=[policy.pk])}


def _saved(request: HttpRequest, policy: StoragePolicy, sentence: str) -> str:
    messages.success(request, sentence)
    return reverse("policies:policy_detail", args=[policy.pk])
