"""Protect: file servers with their subclients, and one subclient's chain of snapshots and copies."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_POST, require_safe

from jobs import services
from jobs.forms import Action, MarkForm
from jobs.models import Level
from jobs.selectors_pages.chain import chain, level_forecast
from jobs.selectors_pages.protection import SubclientState, active_backup_copies, subclient_states
from jobs.selectors_pages.upkeep import limit_warnings
from jobs.services.catalog import catalogable
from jobs.services.replicas import secondary_copies_of
from jobs.services.revert import can_revert
from policies.models import CopyKind, Subclient
from policies.resolve import is_dump_stream, is_point
from policies.selectors.visible import Person, visible_file_servers, visible_subclients
from policies.services.stream_checks import point_warnings
from snapcopy_site.lib.paging import key_of
from snapcopy_site.lib.roles import operator_required, viewer_required

from .answers import launch
from .found import subclient_or_404


@viewer_required
@require_safe
def protect(request: HttpRequest) -> HttpResponse:
    """Every file server that the user may see, also one without subclients."""
    rows = subclient_states(visible_subclients(request.user))
    by_server = {key: list(rows) for key, rows in groupby(rows, lambda row: row.subclient.file_server_id)}
    servers = [(server, by_server.get(server.pk, [])) for server in visible_file_servers(request.user)]
    return render(request, "jobs/protect.html", {"servers": servers})


@viewer_required
@require_safe
def subclient(request: HttpRequest, server: str, name: str) -> HttpResponse:
    """One subclient: its state, its chain, and what can be done now."""
    row = row_or_404(request.user, server, name)
    return render(request, "jobs/subclient.html", context(row, request.user, before=key_of(request, "before")))


@viewer_required
@require_safe
def subclient_live(request: HttpRequest, server: str, name: str) -> HttpResponse:
    """The part of the page that polls while something runs."""
    return render(request, "jobs/_subclient.html", context(row_or_404(request.user, server, name), request.user))


@operator_required
@require_POST
def snapshot_now(request: HttpRequest, server: str, name: str) -> HttpResponseRedirect:
    """``level``: incremental unless the form says otherwise."""
    found = subclient_or_404(request.user, server, name)
    level = request.POST.get("level") or Level.INCREMENTAL
    if level not in Level.values:
        messages.error(request, f"There is no level “{level}”. Choose full, incremental or differential.")
        return redirect(address(found))
    return launch(request, lambda: services.launch_snapshot(found, level=level, user=request.user), back=address(found))


@operator_required
@require_POST
def copy_now(request: HttpRequest, server: str, name: str) -> HttpResponseRedirect:
    """``copy``: id of one of the policy's copies, '' = its first backup copy; to a secondary snap copy it is sent.

    ``snapshot``: only this one; ``recopy``: again.
    """
    found = subclient_or_404(request.user, server, name)
    copy_id, snapshot_id = request.POST.get("copy", ""), request.POST.get("snapshot", "")
    copy = get_object_or_404(found.policy.copies, pk=copy_id) if copy_id.isdigit() else None
    snapshot = get_object_or_404(found.snapshots, pk=snapshot_id) if snapshot_id.isdigit() else None
    if copy is not None and copy.kind == CopyKind.SECONDARY_SNAP:
        return launch(
            request,
            lambda: services.launch_secondary_copy(subclient=found, copy=copy, user=request.user),
            back=address(found),
        )
    return launch(
        request,
        lambda: services.launch_backup_copy(
            found, copy, snapshot=snapshot, recopy="recopy" in request.POST, user=request.user
        ),
        back=address(found),
    )


@operator_required
@require_POST
def drill_now(request: HttpRequest, server: str, name: str) -> HttpResponseRedirect:
    """Restore some files of the newest copies to scratch, and compare. ``files``, ``mib``: bounds; empty = usual."""
    found = subclient_or_404(request.user, server, name)
    bounds: dict[str, Any] = {}
    for field in ("files", "mib"):
        if not (text := request.POST.get(field, "").strip()):
            continue
        if not text.isdecimal() or len(text) > 9:
            messages.error(request, f"“{text}” is no number of {'files' if field == 'files' else 'MiB'}.")
            return redirect(address(found))
        bounds[field] = int(text)
    return launch(request, lambda: services.launch_drill(found, user=request.user, **bounds), back=address(found))


@operator_required
@require_POST
def catalog_now(request: HttpRequest, server: str, name: str) -> HttpResponseRedirect:
    """Catalogue every snapshot that is not yet, also what the policy skipped (RULES S4)."""
    found = subclient_or_404(request.user, server, name)
    return launch(
        request,
        lambda: services.launch_catalog(found, everything=True, user=request.user),
        back=address(found),
    )


def context(
    row: SubclientState, user: Person, *, before: int | None = None, form: MarkForm | None = None
) -> dict[str, Any]:
    """What the page of a subclient shows to ``user``. ``form`` is one that was not right, with what was chosen."""
    found = row.subclient
    links = chain(found, active_backup_copies(found), before=before)
    return {
        "row": row,
        "subclient": found,
        "chain": links,
        "is_first_page": before is None,
        "before": before,
        "seen_servers": SimpleLazyObject(lambda: set(visible_file_servers(user).values_list("pk", flat=True))),
        "chosen": form.chosen if form else set(),
        "actions": Action.choices,
        "levels": Level.choices,
        "forecast": level_forecast(found),
        "copies": active_backup_copies(found),
        "secondaries": secondary_copies_of(found),
        "frozen": [found] if found.aging_frozen_at else [],
        "uncatalogued": catalogable(found).count(),
        "can_revert": can_revert(found.file_server.engine),
        "is_stream": is_point(found.file_server.engine),
        "is_openable": not is_dump_stream(found.file_server.engine),
        "point_warnings": point_warnings(found.policy, are_points=is_point(found.file_server.engine))
        if is_dump_stream(found.file_server.engine)
        else [],
        "limits": limit_warnings(Subclient.objects.filter(pk=found.pk)),
    }


def row_or_404(user: Person, server: str, name: str) -> SubclientState:
    found = subclient_or_404(user, server, name)
    return subclient_states(Subclient.objects.filter(pk=found.pk))[0]


def address(found: Subclient) -> str:
    return reverse("subclient", args=(found.file_server.name, found.name))
