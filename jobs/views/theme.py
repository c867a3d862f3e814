"""The theme switch for browsers without scripts; with scripts the same cookie is set without a round trip."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from snapcopy_site.lib.roles import viewer_required

from .answers import safe_next

COOKIE = "snapcopy_theme"
YEAR_SECONDS = 365 * 86_400


@viewer_required
@require_POST
def set_theme(request: HttpRequest) -> HttpResponseRedirect:
    """``theme``: light, dark, or anything else for what the system says."""
    theme = request.POST.get("theme", "")
    response = redirect(safe_next(request, "overview"))
    if theme in ("light", "dark"):
        response.set_cookie(COOKIE, theme, max_age=YEAR_SECONDS, samesite="Lax")
    else:
        response.delete_cookie(COOKIE)
    return response
