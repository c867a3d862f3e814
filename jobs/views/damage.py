"""What is damaged on a medium: every path, and the backup copies it cannot be restored from."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from jobs.selectors_pages import proof
from jobs.visible import visible_backup_copies
from policies.models import Media
from policies.selectors.visible import sees_everything
from snapcopy_site.lib.paging import key_of
from snapcopy_site.lib.roles import viewer_required


@viewer_required
@require_safe
def damage(request: HttpRequest, pk: int) -> HttpResponse:
    """``copy``: only what is damaged in this backup copy; ``after``: the page behind this one."""
    media = get_object_or_404(Media, pk=pk)
    row = None
    if (wanted := key_of(request, "copy")) is not None:
        known = visible_backup_copies(request.user).select_related("snapshot__subclient__file_server", "copy")
        row = get_object_or_404(known, pk=wanted, media=media)
    found = proof.damaged_paths(media, request.user, row=row, after=key_of(request, "after"))
    shown = found[: proof.PAGE]
    copies = proof.copies_of_paths(shown, request.user)
    context = {
        "medium": media,
        "row": row,
        "paths": [(path, [copies[one] for one in path.backup_copies if one in copies]) for path in shown],
        "after": shown[-1].pk if len(found) > proof.PAGE else None,
        "is_whole": sees_everything(request.user),
        "coverage": proof.coverage_of([media.pk]).get(media.pk),
    }
    return render(request, "jobs/damage.html", context)
