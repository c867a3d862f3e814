"""An admin makes a one-time sign-in link for somebody. Here because the apps know nothing of links."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from policies import audit
from snapcopy_site import sign_in
from snapcopy_site.lib.roles import admin_required


@admin_required
@never_cache
@require_POST
def new_sign_in_link(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the link once: the database keeps only its hash. That it was made is audited, the link is not."""
    person = get_object_or_404(User, pk=pk, is_active=True)
    token = sign_in.new_link(person)
    audit.record(
        action=audit.Action.OPERATED, instance=person, user=request.user, sentence="Made a one-time sign-in link."
    )
    context = {
        "person": person,
        "link": request.build_absolute_uri(reverse("sign-in-link", args=[token])),
        "lifetime": sign_in.LINK_LIFETIME,
    }
    return render(request, "policies/sign_in_link_made.html", context)
