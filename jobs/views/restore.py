"""Getting data back: choose a subclient and a time, browse the copy, fill a basket, restore to a directory."""

from __future__ import annotations

import os
from itertools import groupby
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs import services
from jobs.engine.errors import EngineError
from jobs.forms import RestoreForm
from jobs.models import Snapshot
from jobs.restore_sources import sources_of
from jobs.selectors_pages.restore import POINTS_SHOWN, newest_points, restore_point, restore_points
from policies.models import Copy, Subclient
from snapcopy_site.lib.roles import operator_required, viewer_required

from . import basket
from .answers import launch
from .listing import listing
from .opened import browser_of, on_media
from .stored_paths import common_folder, crumbs, display, parent, path_of_query, paths_of_form, query_of_path


@viewer_required
@require_safe
def restore(request: HttpRequest) -> HttpResponse:
    """Which subclient."""
    newest = newest_points()
    found = Subclient.objects.filter(pk__in=newest).select_related("file_server").order_by("file_server__name", "name")
    rows = [{"subclient": subclient, "newest": newest[subclient.pk]} for subclient in found]
    return render(request, "jobs/restore.html", {"rows": rows})


@viewer_required
@require_safe
def restore_subclient(request: HttpRequest, server: str, name: str) -> HttpResponse:
    """The newest point of a subclient, or the sentence that there is none."""
    found = get_object_or_404(Subclient.objects.select_related("file_server"), file_server__name=server, name=name)
    newest = restore_points(found).first()
    if newest is None:
        return render(request, "jobs/restore_nothing.html", {"subclient": found})
    return redirect("browse", newest.pk)


@operator_required
@require_safe
def browse(request: HttpRequest, pk: int) -> HttpResponse:
    """One folder of one point, from ``copy`` if it is given. File names are data, so it needs an operator."""
    point, chosen = point_or_404(pk), chosen_copy(request)
    path = path_of_query(request) if "path" in request.GET else _first_folder(point)
    text = request.GET.get("name", "").strip()
    context: dict[str, Any] = {
        "point": point,
        "points": _points_by_day(point),
        "path": display(path),
        "query": query_of_path(path),
        "up": query_of_path(parent(path)) if path != b"/" else "",
        "crumbs": crumbs(path),
        "digits": path.hex(),
        "text": text,
        "basket": _basket_rows(request, pk),
        "chosen": chosen,
        "copy_query": query_of_copy(chosen),
        "and_copy": query_of_copy(chosen).replace("?", "&"),
        "sources": [source for source in sources_of(point) if not source.candidate.obstacle],
    }
    status = 200
    try:
        row = on_media(point, chosen)
        context |= {"row": row}
        entries = browser_of(row).entries(path)
    except EngineError as error:
        context |= {"error": error}
        status = 404 if error.code == "not-in-copy" else 503
    else:
        found = listing(path, entries, text=text, after=request.GET.get("after", ""))
        context |= {"listing": found, "everything": len(entries)}
    return render(request, "jobs/browse.html", context, status=status)


@operator_required
@require_POST
def change_basket(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    """``order``: add, remove, clear, or restore (add and go on to the form); ``paths``: what was chosen."""
    point_or_404(pk)
    chosen_query = query_of_copy(chosen_copy(request))
    order = request.POST.get("order", "add")
    chosen, before = paths_of_form(request.POST.getlist("paths")), basket.contents(request.session, pk)
    match order:
        case "clear":
            basket.put(request.session, pk, ())
        case "remove":
            basket.put(request.session, pk, [path for path in before if path not in chosen])
        case _:
            basket.put(request.session, pk, [*before, *chosen])
    if order == "restore":
        if not chosen and not before:
            messages.warning(request, "Choose files or folders first.")
        else:
            return redirect(reverse("restore-start", args=(pk,)) + chosen_query)
    folder = next(iter(paths_of_form([request.POST.get("folder", "")])), b"/")
    return redirect(f"{reverse('browse', args=(pk,))}{query_of_path(folder)}{chosen_query.replace('?', '&')}")


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def start_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Where to, and how. What is restored: the basket, or the folder named by ``path``."""
    point, chosen = point_or_404(pk), chosen_copy(request)
    if request.method == "POST":
        paths = paths_of_form(request.POST.getlist("paths"))
    elif "path" in request.GET:
        paths = [path_of_query(request)]
    else:
        paths = basket.contents(request.session, pk)
    if not paths:
        messages.warning(request, "Choose files or folders first.")
        return redirect("browse", pk)
    folder = common_folder(paths)
    form = RestoreForm(request.POST or None, folder=display(folder))
    if request.method == "POST" and form.is_valid():
        is_flat = form.cleaned_data["layout"] == "flat" and folder != b"/"
        answer = launch(
            request,
            lambda: services.launch_restore(
                point,
                chosen,
                paths=() if paths == [b"/"] else paths,
                strip_prefix=folder if is_flat else b"",
                user=request.user,
                **form.data_for_launch(),
            ),
            back=reverse("browse", args=(pk,)),
        )
        basket.put(request.session, pk, ())
        return answer
    rows = [{"name": display(path), "digits": path.hex()} for path in paths]
    context = {"point": point, "form": form, "paths": rows, "chosen": chosen, "copy_query": query_of_copy(chosen)}
    return render(request, "jobs/restore_start.html", context)


def point_or_404(pk: int) -> Snapshot:
    """A snapshot of which something is left, on its storage, on another one or on media."""
    try:
        return restore_point(pk)
    except Snapshot.DoesNotExist:
        raise Http404("There is no point with this number, or nothing of it is left.") from None


def chosen_copy(request: HttpRequest) -> Copy | None:
    """The copy that ``copy`` of the form or address names; None = RULES V1 decides."""
    text = request.POST.get("copy") or request.GET.get("copy") or ""
    return Copy.objects.filter(pk=int(text)).first() if text.isascii() and text.isdigit() else None


def query_of_copy(copy: Copy | None) -> str:
    """``?copy=…`` for an address; empty where nobody chose one."""
    return f"?copy={copy.pk}" if copy is not None else ""


def _first_folder(point: Snapshot) -> bytes:
    """Where a person begins: the content path, or the folder all of them lie in."""
    paths = [os.fsencode(path) for path in point.content]
    return (paths[0] if len(paths) == 1 else common_folder(paths)) if paths else b"/"


def _points_by_day(point: Snapshot) -> list[tuple[Any, list[Snapshot]]]:
    """The time line: days, newest first, each with its points. The folder is kept when the time changes."""
    points = list(restore_points(point.subclient)[:POINTS_SHOWN])
    by_day = groupby(points, lambda row: timezone.localtime(row.taken_at).date())
    return [(day, list(rows)) for day, rows in by_day]


def _basket_rows(request: HttpRequest, pk: int) -> list[dict[str, str]]:
    return [{"name": display(path), "digits": path.hex()} for path in basket.contents(request.session, pk)]
