"""Pages of storage policies and their copies."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from policies import services
from policies.forms.storage_policies import CopyForm, PolicyForm
from policies.models import Copy, Media, StoragePolicy
from policies.selectors import lists
from policies.selectors.activity import history_of
from policies.views.pages import delete_page, edit_page, render_page
from snapcopy_site.lib.roles import admin_required, viewer_required


@viewer_required
@require_safe
def policy_list(request: HttpRequest) -> HttpResponse:
    return render_page(request, "policies/policy_list.html", {"policies": lists.policies()})


@viewer_required
@require_safe
def policy_detail(request: HttpRequest, pk: int) -> HttpResponse:
    policy = get_object_or_404(lists.policies(), pk=pk)
    context = {
        "policy": policy,
        "subclients": lists.subclients().filter(policy=policy),
        "history": history_of("storage policy", pk),
        "has_media": Media.objects.exists(),
    }
    return render_page(request, "policies/policy_detail.html", context)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def policy_create(request: HttpRequest) -> HttpResponse:
    return edit_page(
        request,
        PolicyForm,
        heading="Add a storage policy",
        submit="Add the policy",
        cancel=reverse("policies:policy_list"),
        save=lambda form: form.save(user=request.user),
        saved=lambda policy: _saved(request, policy, f"The storage policy “{policy}” was added."),
        context=_below_policies(),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def policy_edit(request: HttpRequest, pk: int) -> HttpResponse:
    policy = get_object_or_404(StoragePolicy, pk=pk)
    return edit_page(
        request,
        partial(PolicyForm, instance=policy),
        heading=f"Edit {policy.name}",
        submit="Save the policy",
        cancel=reverse("policies:policy_detail", args=[pk]),
        save=lambda form: form.save(user=request.user),
        saved=lambda saved: _saved(request, saved, f"The storage policy “{saved}” was saved."),
        context=_below_policies(),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def policy_delete(request: HttpRequest, pk: int) -> HttpResponse:
    policy = get_object_or_404(StoragePolicy, pk=pk)
    return delete_page(
        request,
        policy,
        delete=lambda: services.delete_policy(policy, user=request.user),
        cancel=reverse("policies:policy_detail", args=[pk]),
        done=reverse("policies:policy_list"),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def copy_create(request: HttpRequest, pk: int) -> HttpResponse:
    """``pk`` is the policy's."""
    policy = get_object_or_404(StoragePolicy, pk=pk)
    return edit_page(
        request,
        partial(CopyForm, policy=policy),
        heading=f"Add a backup copy to {policy.name}",
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
    return edit_page(
        request,
        partial(CopyForm, policy=copy.policy, instance=copy),
        heading=f"Edit {copy}",
        submit="Save the copy",
        cancel=reverse("policies:policy_detail", args=[copy.policy_id]),
        save=lambda form: form.save(user=request.user),
        saved=lambda saved: _saved(request, copy.policy, f"The copy “{saved}” was saved."),
        context=_below(copy.policy),
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
        stays="What lies on the medium stays there.",
    )


@admin_required
@require_POST
def copy_move(request: HttpRequest, pk: int) -> HttpResponse:
    """Earlier or later in precedence, which decides where a restore reads first."""
    copy = get_object_or_404(Copy, pk=pk)
    services.move_copy(copy, earlier=request.POST.get("direction") == "earlier", user=request.user)
    return redirect("policies:policy_detail", copy.policy_id)


def _below_policies() -> dict[str, object]:
    return {"breadcrumb": "Policies", "breadcrumb_url": reverse("policies:policy_list")}


def _below(policy: StoragePolicy) -> dict[str, object]:
    return {"breadcrumb": policy.name, "breadcrumb_url": reverse("policies:policy_detail", args=[policy.pk])}


def _saved(request: HttpRequest, policy: StoragePolicy, sentence: str) -> str:
    messages.success(request, sentence)
    return reverse("policies:policy_detail", args=[policy.pk])
