"""The locks on the repository of a medium: whose they are, and clearing a dead one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobs.engine.errors import EngineError
from jobs.services.locks import clear_lock, locks_on
from jobs.visible import require_everything
from policies.models import Media
from snapcopy_site.lib.roles import operator_required


@operator_required
@require_safe
def locks(request: HttpRequest, pk: int) -> HttpResponse:
    """Asked of a node while the page waits; with htmx the part that goes into the medium's page."""
    require_everything(request.user)
    medium = get_object_or_404(Media, pk=pk)
    context: dict[str, Any] = {"medium": medium}
    try:
        context["locks"] = locks_on(medium)
    except EngineError as error:
        context["error"] = error
    is_part = bool(request.headers.get("HX-Request"))
    return render(request, "jobs/_locks.html" if is_part else "jobs/locks.html", context)


@operator_required
@require_POST
def clear(request: HttpRequest, pk: int) -> HttpResponse:
    """``lock`` is its id. One that may be alive is refused in words."""
    require_everything(request.user)
    medium = get_object_or_404(Media, pk=pk)
    try:
        cleared = clear_lock(medium, request.POST.get("lock", ""), user=request.user)
    except EngineError as error:
        messages.error(request, f"{error.sentence} {error.hint}".strip())
    else:
        if cleared is None:
            messages.info(request, "That lock is gone already.")
        else:
            messages.success(request, f"The lock of process {cleared.pid} on {cleared.host} was cleared.")
    return redirect("media-locks", pk)
