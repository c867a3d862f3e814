"""Deleting a snapshot from its storage: what holds it and why, and the word of an admin who deletes it anyway (V4)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from jobs import services
from jobs.models import Snapshot
from jobs.rules import states
from jobs.services.deletion import LONGEST_REASON, explained_holds
from policies.resolve import is_point
from snapcopy_site.lib.roles import admin_required

from .answers import launch
from .found import snapshot_or_404
from .protect import address


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete_snapshot(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then delete it from the storage by a job. ``force`` and ``reason``: although something holds it."""
    snapshot = snapshot_or_404(request.user, pk)
    back = address(snapshot.subclient)
    is_forced, reason = "force" in request.POST, request.POST.get("reason", "")
    problem = "Say why: the reason stays in the activity." if is_forced and not reason.strip() else ""
    if request.method == "POST" and not problem:
        forced = reason if is_forced else None
        return launch(
            request,
            lambda: services.launch_snapshot_deletion(snapshot, forced_reason=forced, user=request.user),
            back=back,
        )
    holds = explained_holds(snapshot)
    context = {
        "snapshot": snapshot,
        "consequence": _consequence(snapshot),
        "holds": holds,
        "can_be_forced": all(hold.can_be_forced for hold in holds),
        "longest_reason": LONGEST_REASON,
        "problem": problem,
        "back": back,
    }
    return render(request, "jobs/snapshot_delete.html", context, status=422 if problem else 200)


def _consequence(snapshot: Snapshot) -> str:
    """What is lost and what stays."""
    if is_point(snapshot.engine):
        return (
            f"{snapshot.name} is a point in the history: nothing on the file server is deleted, and backup copies stay."
        )
    copies = snapshot.backup_copies.filter(state__in=states.ON_MEDIA).count()
    if not copies:
        return f"{snapshot.name} has no backup copy: its data can then not be restored any more."
    stay = "Its backup copy stays" if copies == 1 else f"Its {copies} backup copies stay"
    return f"{snapshot.name} goes from the storage. {stay} on media and can be restored."
