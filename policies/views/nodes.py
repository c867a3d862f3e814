"""Pages of access nodes: what each reports, and draining, enabling and sizing it."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from policies import services
from policies.forms.nodes import NodeForm
from policies.models import AccessNode
from policies.selectors import lists
from policies.selectors.activity import history_of
from policies.selectors.visible import visible_file_servers, visible_policies
from policies.views.pages import delete_page, edit_page, render_page
from snapcopy_site.lib.roles import admin_required, viewer_required


@viewer_required
@require_safe
def node_list(request: HttpRequest) -> HttpResponse:
    """The page, or only its table for the poll."""
    is_poll = request.headers.get("HX-Target") == "nodes"
    template = "policies/_node_table.html" if is_poll else "policies/node_list.html"
    return render_page(request, template, {"nodes": lists.access_nodes()})


@viewer_required
@require_safe
def node_detail(request: HttpRequest, pk: int) -> HttpResponse:
    node = get_object_or_404(AccessNode, pk=pk)
    context = {
        "node": node,
        "servers": visible_file_servers(request.user).filter(access_nodes=node),
        "subclients": lists.subclients(request.user).filter(access_nodes=node),
        "copies": node.agent_of_copies.filter(policy__in=visible_policies(request.user)).select_related("policy"),
        "history": history_of("access node", pk),
    }
    return render_page(request, "policies/node_detail.html", context)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def node_edit(request: HttpRequest, pk: int) -> HttpResponse:
    node = get_object_or_404(AccessNode, pk=pk)
    here = reverse("policies:node_detail", args=[pk])

    def saved(_node: AccessNode) -> str:
        messages.success(request, f"The access node “{node}” was saved.")
        return here

    return edit_page(
        request,
        partial(NodeForm, instance=node),
        heading=f"Edit {node.name}",
        submit="Save the access node",
        cancel=here,
        save=lambda form: form.save(user=request.user),
        saved=saved,
        context={"breadcrumb": "Access nodes", "breadcrumb_url": reverse("policies:node_list")},
    )


@admin_required
@require_POST
def node_drain(request: HttpRequest, pk: int) -> HttpResponse:
    """POST ``on`` = 1 drains, anything else takes work again."""
    node = get_object_or_404(AccessNode, pk=pk)
    is_draining = request.POST.get("on") == "1"
    services.set_node_draining(node, is_draining=is_draining, user=request.user)
    what = "finishes what it runs and takes nothing new" if is_draining else "takes work again"
    messages.success(request, f"The access node “{node}” {what}.")
    return redirect("policies:node_detail", pk)


@admin_required
@require_POST
def node_enable(request: HttpRequest, pk: int) -> HttpResponse:
    """POST ``on`` = 1 enables, anything else disables."""
    node = get_object_or_404(AccessNode, pk=pk)
    is_enabled = request.POST.get("on") == "1"
    services.set_node_enabled(node, is_enabled=is_enabled, user=request.user)
    messages.success(request, f"The access node “{node}” is {'enabled' if is_enabled else 'disabled'}.")
    return redirect("policies:node_detail", pk)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def node_delete(request: HttpRequest, pk: int) -> HttpResponse:
    node = get_object_or_404(AccessNode, pk=pk)
    blockers = ("It is online. Stop its worker first, or disable it.",) if node.is_online else ()
    return delete_page(
        request,
        node,
        delete=lambda: services.delete_node(node, user=request.user),
        cancel=reverse("policies:node_detail", args=[pk]),
        done=reverse("policies:node_list"),
        stays="It comes back when a worker of this name starts again.",
        blockers=blockers,
    )
