"""Pages of file servers and subclients. A subclient's own page, with its snapshots, is in ``jobs``."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from policies import services
from policies.forms.sources import FileServerForm, SubclientForm
from policies.models import FileServer, Subclient
from policies.resolve import described_options, engine_label, incremental_limit, is_point
from policies.selectors import lists
from policies.selectors.activity import history_of
from policies.selectors.visible import sees_whole_server
from policies.views.pages import delete_page, edit_page, render_page, warn_of_subclient
from snapcopy_site.lib.roles import admin_required, viewer_required


@viewer_required
@require_safe
def file_server_list(request: HttpRequest) -> HttpResponse:
    servers = [(server, engine_label(server)) for server in lists.file_servers(request.user)]
    return render_page(request, "policies/file_server_list.html", {"servers": servers})


@viewer_required
@require_safe
def file_server_detail(request: HttpRequest, pk: int) -> HttpResponse:
    server = get_object_or_404(lists.file_servers(request.user), pk=pk)
    context = {
        "server": server,
        "engine": engine_label(server),
        "options": described_options(server),
        "limit": incremental_limit(server),
        "is_stream": is_point(server.engine),
        "subclients": lists.subclients(request.user).filter(file_server=server),
        "is_whole": sees_whole_server(request.user, server),
        "history": history_of("file server", pk),
    }
    return render_page(request, "policies/file_server_detail.html", context)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def file_server_create(request: HttpRequest) -> HttpResponse:
    return edit_page(
        request,
        partial(FileServerForm, kind=request.GET.get("kind")),
        heading="Add a file server",
        submit="Add the file server",
        cancel=reverse("policies:file_server_list"),
        save=lambda form: form.save(user=request.user),
        saved=lambda server: _server_saved(request, server, "was added. Press Test to see whether it can be snapped."),
        context=_below_servers(),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def file_server_edit(request: HttpRequest, pk: int) -> HttpResponse:
    server = get_object_or_404(FileServer, pk=pk)
    return edit_page(
        request,
        partial(FileServerForm, instance=server, kind=request.GET.get("kind")),
        heading=f"Edit {server.name}",
        submit="Save the file server",
        cancel=reverse("policies:file_server_detail", args=[pk]),
        save=lambda form: form.save(user=request.user),
        saved=lambda saved: _server_saved(request, saved, "was saved."),
        context=_below_servers(),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def file_server_delete(request: HttpRequest, pk: int) -> HttpResponse:
    server = get_object_or_404(FileServer, pk=pk)
    return delete_page(
        request,
        server,
        delete=lambda: services.delete_file_server(server, user=request.user),
        cancel=reverse("policies:file_server_detail", args=[pk]),
        done=reverse("policies:file_server_list"),
        stays="The data on the file server itself is not touched.",
    )


@viewer_required
@require_safe
def subclient_list(request: HttpRequest) -> HttpResponse:
    return render_page(request, "policies/subclient_list.html", {"subclients": lists.subclients(request.user)})


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def subclient_create(request: HttpRequest) -> HttpResponse:
    asked = {name: request.GET[name] for name in ("file_server", "policy") if request.GET.get(name, "").isdecimal()}

    def make_form(data: object = None, *, initial: object = None) -> SubclientForm:
        return SubclientForm(data, initial=initial or asked)

    return edit_page(
        request,
        make_form,
        heading="Add a subclient",
        submit="Add the subclient",
        cancel=reverse("policies:subclient_list"),
        save=lambda form: form.save(user=request.user),
        saved=lambda subclient: _subclient_saved(request, subclient, "was added."),
        context={"breadcrumb": "Subclients", "breadcrumb_url": reverse("policies:subclient_list")},
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def subclient_edit(request: HttpRequest, pk: int) -> HttpResponse:
    subclient = get_object_or_404(lists.subclients(request.user), pk=pk)
    here = _address(subclient)
    return edit_page(
        request,
        partial(SubclientForm, instance=subclient),
        heading=f"Edit {subclient.path}",
        submit="Save the subclient",
        cancel=here,
        save=lambda form: form.save(user=request.user),
        saved=lambda saved: _subclient_saved(request, saved, "was saved."),
        context={"breadcrumb": subclient.path, "breadcrumb_url": here},
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def subclient_delete(request: HttpRequest, pk: int) -> HttpResponse:
    subclient = get_object_or_404(lists.subclients(request.user), pk=pk)
    return delete_page(
        request,
        subclient,
        delete=lambda: services.delete_subclient(subclient, user=request.user),
        cancel=_address(subclient),
        done=reverse("policies:file_server_detail", args=[subclient.file_server_id]),
        stays="The data itself is not touched.",
    )


def _below_servers() -> dict[str, object]:
    return {"breadcrumb": "File servers", "breadcrumb_url": reverse("policies:file_server_list")}


def _server_saved(request: HttpRequest, server: FileServer, what: str) -> str:
    messages.success(request, f"The file server “{server}” {what}")
    return reverse("policies:file_server_detail", args=[server.pk])


def _subclient_saved(request: HttpRequest, subclient: Subclient, what: str) -> str:
    messages.success(request, f"The subclient “{subclient}” {what}")
    warn_of_subclient(request, subclient)
    return _address(subclient)


def _address(subclient: Subclient) -> str:
    """Its page, which shows its snapshots too."""
    return reverse("subclient", args=[subclient.file_server.name, subclient.name])
