"""Snapshots made readable on a node: which there are, mounting one, keeping it longer, taking it away (RULES V4)."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs.forms import MountForm
from jobs.models import MountState, Snapshot, SnapshotMount
from jobs.restore_sources import reach_of
from jobs.services import JobRefusal
from jobs.services.mounts import DEFAULT_HOURS, active_mount_of, keep_mounted, launch_mount, launch_unmount
from jobs.visible import visible_mounts
from snapcopy_site.lib.roles import operator_required, viewer_required

from .answers import launch, safe_next
from .found import snapshot_or_404
from .protect import address

MOST_ENDED: Final = 20


@viewer_required
@require_safe
def mount_list(request: HttpRequest) -> HttpResponse:
    """Those that are there now, and the last that ended, with the reason."""
    rows = visible_mounts(request.user).select_related("snapshot__subclient__file_server", "node")
    context = {
        "standing": rows.exclude(state=MountState.UNMOUNTED).order_by("expires_at"),
        "ended": rows.filter(state=MountState.UNMOUNTED).order_by("-ended_at")[:MOST_ENDED],
    }
    return render(request, "jobs/mount_list.html", context)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def mount(request: HttpRequest, pk: int) -> HttpResponse:
    """On which node and until when, then the job; the answer of a form that is not right is the form again."""
    snapshot = snapshot_or_404(request.user, pk)
    reach = reach_of(snapshot.subclient.file_server, snapshot.subclient)
    form = MountForm(request.POST or None, reach=reach)
    status = 200
    if request.method == "POST":
        if form.is_valid():
            given = form.cleaned_data
            return launch(
                request,
                lambda: launch_mount(snapshot, node=given["node"], hours=given["hours"], user=request.user),
                back=address(snapshot.subclient),
            )
        status = 422
    context = {"snapshot": snapshot, "form": form, "standing": active_mount_of(snapshot)}
    return render(request, "jobs/mount.html", context, status=status)


@operator_required
@require_POST
def unmount(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    snapshot = snapshot_or_404(request.user, pk)
    found = _standing_or_404(snapshot)
    back = safe_next(request, "mount-list")
    return launch(request, lambda: launch_unmount(found, user=request.user), back=back)


@operator_required
@require_POST
def keep(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    """A day from now."""
    snapshot = snapshot_or_404(request.user, pk)
    found = _standing_or_404(snapshot)
    try:
        kept = keep_mounted(found, hours=DEFAULT_HOURS, user=request.user)
    except JobRefusal as refusal:
        messages.warning(request, f"{refusal} {refusal.hint}".strip())
    else:
        messages.success(request, f"It stays mounted until {kept.expires_at:%Y-%m-%d %H:%M} UTC.")
    return redirect(safe_next(request, "mount-list"))


def _standing_or_404(snapshot: Snapshot) -> SnapshotMount:
    found = active_mount_of(snapshot)
    if found is None:
        raise Http404(f"{snapshot.name} is not mounted.")
    return found
