"""The recovery kit: one page per medium to print and put away: where it is, how to get in, what to type."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from jobs.engine.errors import EngineError
from jobs.engine.media.recovery import access_of
from jobs.engine.plan import Secret
from policies import audit
from policies.models import Media
from policies.resolve import described_options, media_label, stock_place
from policies.secrets import REPOSITORY_PASSWORD, secrets_of
from policies.views.pages import render_page
from snapcopy_site.lib.roles import admin_required


@admin_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def recovery_kit(request: HttpRequest, pk: int) -> HttpResponse:
    """POST shows the page with the password and the keys of the medium, and records who saw them."""
    medium = get_object_or_404(Media, pk=pk)
    secrets = _shown_secrets(request, medium) if request.method == "POST" else None
    access = access_of(
        medium.kind,
        stock_place(medium),
        medium.options,
        password=secrets.get(REPOSITORY_PASSWORD) if secrets is not None else None,
        secrets=secrets,
    )
    context = {
        "medium": medium,
        "kind": media_label(medium),
        "options": described_options(medium),
        "access": access,
        "is_shown": secrets is not None,
        "has_way": bool(stock_place(medium)),
        "others": sorted(name for name in secrets or {} if name != REPOSITORY_PASSWORD),
        "printed_at": timezone.now(),
    }
    return render_page(request, "policies/recovery_kit.html", context)


def _shown_secrets(request: HttpRequest, medium: Media) -> dict[str, Secret] | None:
    """None = they cannot be read. It is recorded before anything is shown."""
    try:
        secrets = secrets_of(medium)
    except EngineError as error:
        messages.error(request, f"{error.sentence} {error.hint}".strip())
        return None
    audit.record(
        action=audit.Action.OPERATED,
        instance=medium,
        user=request.user,
        sentence=f"The recovery kit of the medium {medium.name} was shown with its password",
    )
    return secrets
