"""Restart policies: how jobs that met a passing failure are tried again, per operation (RULES J4)."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from policies import services
from policies.forms.restarts import RestartForm
from policies.models import RestartPolicy
from policies.selectors.restarts import RestartRow, restart_rows
from policies.views.pages import edit_page, render_page
from snapcopy_site.lib.roles import admin_required, viewer_required


@viewer_required
@require_safe
def restart_list(request: HttpRequest) -> HttpResponse:
    return render_page(request, "policies/restart_list.html", {"rows": restart_rows()})


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def restart_edit(request: HttpRequest, operation: str) -> HttpResponse:
    row = _row(operation)

    def saved(_policy: RestartPolicy) -> str:
        messages.success(request, f"The restart policy of “{row.label}” was saved.")
        return reverse("policies:restart_list")

    return edit_page(
        request,
        partial(RestartForm, row=row),
        heading=f"Restart policy: {row.label}",
        submit="Save the restart policy",
        cancel=reverse("policies:restart_list"),
        save=lambda form: form.save(user=request.user),
        saved=saved,
        context={"breadcrumb": "Restart policies", "breadcrumb_url": reverse("policies:restart_list")},
    )


@admin_required
@require_POST
def restart_reset(request: HttpRequest, operation: str) -> HttpResponse:
    """Back to the default."""
    row = _row(operation)
    services.reset_restart_policy(operation, user=request.user)
    messages.success(request, f"“{row.label}” is back to the default.")
    return redirect("policies:restart_list")


def _row(operation: str) -> RestartRow:
    for row in restart_rows():
        if row.operation == operation:
            return row
    raise Http404("There is no restart policy of this name.")
