"""Putting a subclient's live data back to a snapshot: what it would do and cost, then the word (RULES S6, V4)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from jobs.engine.errors import EngineError
from jobs.forms import RevertForm
from jobs.models import Snapshot
from jobs.services import JobRefusal
from jobs.services.revert import launch_revert
from jobs.services.revert_preview import RevertPreview, preview_revert
from snapcopy_site.lib.roles import admin_required

from .answers import launch
from .found import snapshot_or_404
from .protect import address


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def revert(request: HttpRequest, pk: int) -> HttpResponse:
    """The storage is asked anew each time: only what this page showed may be lost."""
    snapshot = snapshot_or_404(request.user, pk)
    back = address(snapshot.subclient)
    context = {"snapshot": snapshot, "subclient": snapshot.subclient, "back": back}
    try:
        preview = preview_revert(snapshot)
    except (JobRefusal, EngineError) as error:
        return render(request, "jobs/revert.html", context | {"problem": error}, status=503)
    form = _form(request, preview)
    status = 200
    if request.method == "POST":
        if form.is_valid() and _is_right(form, snapshot):
            given = form.cleaned_data
            return launch(
                request,
                lambda: launch_revert(
                    snapshot,
                    confirmation=given["confirmation"],
                    accepted=given["accepted"],
                    with_safety_snapshot=given.get("with_safety_snapshot", False),
                    user=request.user,
                ),
                back=back,
            )
        status = 422
    return render(request, "jobs/revert.html", context | {"preview": preview, "form": form}, status=status)


def _form(request: HttpRequest, preview: RevertPreview) -> RevertForm:
    names = [one.name for one in preview.lost]
    return RevertForm(request.POST or None, lost=names, can_be_safe=preview.can_be_safe)


def _is_right(form: RevertForm, snapshot: Snapshot) -> bool:
    if form.cleaned_data["confirmation"].strip() == snapshot.subclient.name:
        return True
    form.add_error("confirmation", f"This is not its name. Type “{snapshot.subclient.name}”.")
    return False
