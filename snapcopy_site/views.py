"""Pages of the site itself: sign-in, sign-out, password, the documentation, and a health answer for monitors."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from django.views.generic.edit import FormView

from snapcopy_site import documentation, sign_in
from snapcopy_site.guessing import GuardedAuthenticationForm
from snapcopy_site.lib.roles import viewer_required


class SignIn(LoginView):
    """Name and password. Template: registration/login.html with ``form`` and ``next``."""

    redirect_authenticated_user = True
    authentication_form = GuardedAuthenticationForm


class SignOut(LogoutView):
    """POST only; afterwards the sign-in page."""


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """A one-time link. Looking at it changes nothing (previews look too); its one button signs in."""
    if request.method == "POST":
        user = sign_in.use_link(token)
        if user is not None:
            login(request, user)
            if not user.has_usable_password():
                messages.info(
                    request, "You are signed in without a password. Set one in your account to sign in without a link."
                )
            return redirect(settings.LOGIN_REDIRECT_URL)
    link = sign_in.find_link(token)
    return render(request, "registration/sign_in_link.html", {"link": link}, status=200 if link else 410)


@method_decorator(never_cache, name="dispatch")
class ChangePassword(FormView["SetPasswordForm[User]"]):
    """One's own password; who has none yet sets the first. Template: registration/password.html with ``form``."""

    template_name = "registration/password.html"
    success_url = reverse_lazy("password_change")

    def get_form_class(self) -> type[SetPasswordForm[User]]:
        user = self.request.user
        return PasswordChangeForm if user.is_authenticated and user.has_usable_password() else SetPasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "user": self.request.user}

    def form_valid(self, form: SetPasswordForm[User]) -> HttpResponse:
        form.save()
        update_session_auth_hash(self.request, form.user)
        messages.success(self.request, "Your password was changed. Other sessions of yours were signed out.")
        return super().form_valid(form)


@viewer_required
@require_safe
def docs(request: HttpRequest, page: str = "") -> HttpResponse:
    """One page of the documentation. Template: docs/page.html with ``document`` and ``contents``."""
    document = documentation.find(page)
    if document is None:
        raise Http404("There is no such page in the documentation.")
    context = {"document": document, "contents": documentation.contents()}
    return render(request, "docs/page.html", context)


@login_not_required
@require_safe
def favicon(_request: HttpRequest) -> HttpResponse:
    """For pages that do not name their icon, as those of the Django admin."""
    return redirect(static("img/favicon.svg"))


@login_not_required
@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """200 when this process reaches the database, else 503; says nothing else to a stranger."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"ok": False}, status=503)
    return JsonResponse({"ok": True})
