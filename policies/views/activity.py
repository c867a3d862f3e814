"""The activity page: the audit trail, filtered by the address."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from policies.forms.activity import ActivityFilterForm
from policies.selectors.activity import activity as find_activity
from policies.views.pages import render_page
from snapcopy_site.lib.roles import viewer_required


@viewer_required
@require_safe
def activity(request: HttpRequest) -> HttpResponse:
    form = ActivityFilterForm(request.GET, user=request.user)
    older_than, newer_than = _key(request, "older_than"), _key(request, "newer_than")
    page = find_activity(form.wanted(), user=request.user, older_than=older_than, newer_than=newer_than)
    context = {
        "form": form,
        "entries": page.entries,
        "older": _address(request, older_than=page.older_than),
        "newer": _address(request, newer_than=page.newer_than),
        "reset": reverse("policies:activity"),
    }
    return render_page(request, "policies/activity.html", context)


def _key(request: HttpRequest, name: str) -> int | None:
    """A key from the address, if it could be one (a bigint)."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _address(request: HttpRequest, **key: int | None) -> str:
    """This page with another key, keeping the filter; empty without a key."""
    ((name, value),) = key.items()
    if value is None:
        return ""
    query = request.GET.copy()
    for other in ("older_than", "newer_than"):
        query.pop(other, None)
    query[name] = str(value)
    return f"?{query.urlencode()}"
