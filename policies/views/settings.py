"""The page of the installation's settings, for admins."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from policies.forms.settings import SettingsForm
from policies.models import Installation
from policies.views.pages import edit_page
from snapcopy_site.lib.roles import admin_required


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest) -> HttpResponse:
    return edit_page(
        request,
        partial(SettingsForm, instance=Installation.objects.get(pk=1)),
        heading="Settings",
        submit="Save the settings",
        cancel=reverse("overview"),
        save=lambda form: form.save(user=request.user),
        saved=lambda _installation: _saved(request),
    )


def _saved(request: HttpRequest) -> str:
    messages.success(request, "The settings were saved.")
    return reverse("policies:settings")
