"""Reconciling a storage with the record: the button, and importing or deleting what nobody knows (RULES V4)."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from jobs import services
from jobs.services.storage_record import last_reconcile, orphans_of
from policies.models import FileServer
from policies.selectors.visible import whole_file_servers
from snapcopy_site.lib.roles import admin_required, operator_required

from .answers import launch, safe_next
from .found import subclient_or_404


@operator_required
@require_POST
def reconcile_server(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    """``accept``: it was said that not one snapshot is there, and that is right."""
    server = get_object_or_404(whole_file_servers(request.user), pk=pk)
    return launch(
        request,
        lambda: services.launch_reconcile(server, accept_missing="accept" in request.POST, user=request.user),
        back=_page(server),
    )


@operator_required
@require_POST
def reconcile_subclient(request: HttpRequest, server: str, name: str) -> HttpResponseRedirect:
    """Every storage that its snapshots are on, as far as the user sees all of it: a job for each."""
    found = subclient_or_404(request.user, server, name)
    mine = whole_file_servers(request.user)
    get_object_or_404(mine, pk=found.file_server_id)
    launched = services.launch_reconciles(scope=found, within=mine, user=request.user)
    for refusal in launched.refused:
        messages.warning(request, refusal)
    if len(launched.jobs) == 1:
        return redirect("job", launched.jobs[0].pk)
    if launched.jobs:
        messages.success(request, f"Jobs {', '.join(str(job.pk) for job in launched.jobs)} look at its storages.")
    return redirect("subclient", server, name)


@operator_required
@require_POST
def import_snapshot(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    """``name`` of a snapshot that the last reconciliation found, ``subclient`` that it becomes one of."""
    server = get_object_or_404(whole_file_servers(request.user), pk=pk)
    name = _found_or_404(server, request.POST.get("name", ""))
    chosen = request.POST.get("subclient", "")
    subclient = server.subclients.filter(pk=chosen).first() if chosen.isdigit() else None
    back = safe_next(request, _page(server))
    if subclient is None:
        messages.error(request, f"Choose the subclient that {name} becomes a snapshot of.")
        return redirect(back)
    return launch(
        request,
        lambda: services.launch_reconcile(server, imports={name: subclient}, user=request.user),
        back=back,
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete_unknown(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then delete a snapshot that nobody knows, ``name`` of the address, from its storage."""
    server = get_object_or_404(FileServer, pk=pk)
    name = _found_or_404(server, request.GET.get("name", ""))
    back = _page(server)
    if request.method == "POST":
        return launch(
            request,
            lambda: services.launch_reconcile(server, deletions=[name], user=request.user),
            back=back,
        )
    context = {
        "question": f"Delete {name} from {server.name}?",
        "consequence": "The database does not count on it: no page shows its content, and no backup copy of it is "
        "known. Once it is deleted, what only this snapshot holds is gone. To look into it first, import it.",
        "submit": "Delete the snapshot",
        "cancel": back,
        "breadcrumb": server.name,
        "breadcrumb_url": back,
    }
    return render(request, "components/confirm.html", context)


def _found_or_404(server: FileServer, name: str) -> str:
    """Only what was found, and is still unknown."""
    last = last_reconcile(server)
    if last is None or name not in {one["name"] for one in orphans_of(last)}:
        raise Http404(f"No unknown snapshot {name} was found on {server.name}.")
    return name


def _page(server: FileServer) -> str:
    return reverse("policies:file_server_detail", args=[server.pk]) + "#storage"
