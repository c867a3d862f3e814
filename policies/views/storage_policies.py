"""Pages of storage policies. Their copies are in ``copies``."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_http_methods, require_safe

from policies import services
from policies.forms.storage_policies import PolicyForm
from policies.models import Media, StoragePolicy
from policies.selectors import lists
from policies.selectors.activity import history_of
from policies.selectors.copy_tree import copy_tree
from policies.selectors.visible import visible_file_servers
from policies.services.stream_checks import has_points, has_streams, point_warnings
from policies.views.pages import delete_page, edit_page, render_page
from snapcopy_site.lib.roles import admin_required, viewer_required


@viewer_required
@require_safe
def policy_list(request: HttpRequest) -> HttpResponse:
    policies = [(policy, copy_tree(policy)) for policy in lists.policies(request.user)]
    return render_page(
        request, "policies/policy_list.html", {"policies": policies, "seen_servers": _seen_servers(request)}
    )


@viewer_required
@require_safe
def policy_detail(request: HttpRequest, pk: int) -> HttpResponse:
    policy = get_object_or_404(lists.policies(request.user), pk=pk)
    context = {
        "policy": policy,
        "tree": copy_tree(policy),
        "seen_servers": _seen_servers(request),
        "excluded": lists.subclients(request.user).filter(excluded_by_policies=policy),
        "subclients": lists.subclients(request.user).filter(policy=policy),
        "history": history_of("storage policy", pk),
        "has_media": Media.objects.exists(),
        "point_warnings": point_warnings(policy, are_points=has_points(policy)) if has_streams(policy) else [],
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


def _seen_servers(request: HttpRequest) -> SimpleLazyObject[set[int]]:
    """Keys of file servers that may be named, read where a copy goes to one."""
    return SimpleLazyObject(lambda: set(visible_file_servers(request.user).values_list("pk", flat=True)))


def _below_policies() -> dict[str, object]:
    return {"breadcrumb": "Policies", "breadcrumb_url": reverse("policies:policy_list")}


def _saved(request: HttpRequest, policy: StoragePolicy, sentence: str) -> str:
    messages.success(request, sentence)
    return reverse("policies:policy_detail", args=[policy.pk])
