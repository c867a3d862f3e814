"""Getting data back: choose a subclient, fill a basket, restore to a directory. Looking at folders is ``browse.py``."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs import services
from jobs.dump_forms import DumpRestoreForm, initial_of_dumps
from jobs.forms import RestoreForm, initial_of
from jobs.models import Job, Operation, Snapshot
from jobs.selectors_pages.restore import newest_points, restore_point, restore_points
from jobs.services import JobRefusal
from jobs.services.restore_parameters import DESTINATION
from jobs.services.undumps import is_dumped
from jobs.visible import visible_copies, visible_jobs
from policies.models import Copy
from policies.selectors.visible import Person, visible_subclients
from snapcopy_site.lib.roles import operator_required, viewer_required

from . import basket
from .stored_paths import common_folder, display, path_of_query, paths_of_form, query_of_path


@viewer_required
@require_safe
def restore(request: HttpRequest) -> HttpResponse:
    """Which subclient."""
    newest = newest_points()
    found = visible_subclients(request.user).filter(pk__in=newest).select_related("file_server")
    found = found.order_by("file_server__name", "name")
    rows = [{"subclient": subclient, "newest": newest[subclient.pk]} for subclient in found]
    return render(request, "jobs/restore.html", {"rows": rows})


@viewer_required
@require_safe
def restore_subclient(request: HttpRequest, server: str, name: str) -> HttpResponse:
    """The newest point of a subclient, or the sentence that there is none."""
    seen = visible_subclients(request.user).select_related("file_server")
    found = get_object_or_404(seen, file_server__name=server, name=name)
    newest = restore_points(found).first()
    if newest is None:
        return render(request, "jobs/restore_nothing.html", {"subclient": found})
    return redirect("browse", newest.pk)


@operator_required
@require_POST
def change_basket(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    """``order``: add, remove, clear, or restore (add and go on to the form); ``paths``: what was chosen."""
    point_or_404(pk, request.user)
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
    shown = kept(QueryDict(request.POST.get("view", "")))
    return redirect(f"{reverse('browse', args=(pk,))}{query_of_path(folder)}{chosen_query.replace('?', '&')}{shown}")


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def start_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Where to, and how. What is restored: the basket, or the folder named by ``path``."""
    point, chosen = point_or_404(pk, request.user), chosen_copy(request)
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
    is_dump = is_dumped(point)
    form = _form(request, point, folder)
    if request.method == "POST" and form.is_valid():
        is_preview = request.POST.get("order") == "preview" and not is_dump
        back = reverse("browse", args=(pk,))
        try:
            wanted = () if paths == [b"/"] else paths
            given = form.data_for_launch(folder)
            if is_dump:
                job = services.launch_undump(point, chosen, paths=wanted, user=request.user, **given)
            else:
                job = services.launch_restore(
                    point, chosen, paths=wanted, dry_run=is_preview, user=request.user, **given
                )
        except JobRefusal as refusal:
            messages.warning(request, f"{refusal} {refusal.hint}".strip())
            return redirect("job", refusal.job.pk) if refusal.job else redirect(back)
        if is_preview:
            return redirect("restore-preview", job.pk)
        basket.put(request.session, pk, ())
        return redirect("job", job.pk)
    rows = [{"name": display(path), "digits": path.hex()} for path in paths]
    context = {"point": point, "form": form, "paths": rows, "chosen": chosen, "copy_query": query_of_copy(chosen)}
    return render(request, "jobs/restore_start.html", context | {"is_dump": is_dump})


def _form(request: HttpRequest, point: Snapshot, folder: bytes) -> RestoreForm | DumpRestoreForm:
    """A dump's files are written by a file server, all others by a node."""
    like = _like(request)
    if not is_dumped(point):
        before = {} if like is None or DESTINATION in like.parameters else initial_of(like)
        return RestoreForm(request.POST or None, folder=display(folder), initial=before)
    return DumpRestoreForm(
        request.POST or None,
        subclient=point.subclient,
        user=request.user,
        folder=display(folder),
        initial=initial_of_dumps(like, point.subclient) if like and DESTINATION in like.parameters else {},
    )


def _like(request: HttpRequest) -> Job | None:
    """``like``: the number of a restore whose answers the form begins with."""
    like = request.GET.get("like", "")
    if not like.isdecimal():
        return None
    return visible_jobs(request.user).filter(pk=int(like), operation=Operation.RESTORE).first()


def point_or_404(pk: int, user: Person) -> Snapshot:
    """A snapshot of a subclient they see, of which something is left: on its storage, on another one or on media."""
    try:
        return restore_point(pk, visible_subclients(user))
    except Snapshot.DoesNotExist:
        raise Http404("There is no point with this number, or nothing of it is left.") from None


def chosen_copy(request: HttpRequest) -> Copy | None:
    """The copy that ``copy`` of the form or address names; None = RULES V1 decides."""
    text = request.POST.get("copy") or request.GET.get("copy") or ""
    return visible_copies(request.user).filter(pk=int(text)).first() if text.isascii() and text.isdigit() else None


def query_of_copy(copy: Copy | None) -> str:
    """``?copy=…`` for an address; empty where nobody chose one."""
    return f"?copy={copy.pk}" if copy is not None else ""


def kept(query: QueryDict) -> str:
    """How a folder is shown, which stays the same from folder to folder and from time to time: ``&…`` or nothing."""
    shown = {name: query[name] for name in ("sort", "mixed", "deleted") if query.get(name)}
    return f"&{urlencode(shown)}" if shown else ""


def basket_rows(request: HttpRequest, pk: int) -> list[dict[str, str]]:
    """What the basket of a point holds, for pages."""
    return [{"name": display(path), "digits": path.hex()} for path in basket.contents(request.session, pk)]
