"""Pages of users, for admins. The one-time sign-in link is made by the site (``sign-in-link-new``)."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from policies import services
from policies.forms.users import UserForm
from policies.selectors import lists
from policies.selectors.activity import history_of
from policies.selectors.visible import scope_in_words
from policies.views.pages import edit_page, render_page
from snapcopy_site.lib.roles import Role, admin_required, role_of


@admin_required
@require_safe
def user_list(request: HttpRequest) -> HttpResponse:
    users = [(person, role_of(person), _sees(person)) for person in lists.users()]
    return render_page(request, "policies/user_list.html", {"users": users})


@admin_required
@require_safe
def user_detail(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(lists.users(), pk=pk)
    context = {
        "person": person,
        "role": role_of(person),
        "sees": _sees(person),
        "did": person.audit_entries.all()[:10],
        "history": history_of("user", pk),
    }
    return render_page(request, "policies/user_detail.html", context)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def user_create(request: HttpRequest) -> HttpResponse:
    return edit_page(
        request,
        UserForm,
        heading="Add a user",
        submit="Add the user",
        cancel=reverse("policies:user_list"),
        save=lambda form: form.save(user=request.user),
        saved=lambda person: _saved(request, person, "was added. Make a sign-in link for them: they have no password."),
        context=_below_users(),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def user_edit(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    return edit_page(
        request,
        partial(UserForm, instance=person),
        heading=f"Edit {person}",
        submit="Save the user",
        cancel=reverse("policies:user_detail", args=[pk]),
        save=lambda form: form.save(user=request.user),
        saved=lambda saved: _saved(request, saved, "was saved."),
        context=_below_users(),
    )


@admin_required
@require_POST
def user_activate(request: HttpRequest, pk: int) -> HttpResponse:
    """POST ``on`` = 1 lets the user sign in, anything else shuts them out."""
    person = get_object_or_404(User, pk=pk)
    is_active = request.POST.get("on") == "1"
    try:
        services.set_user_active(person, is_active=is_active, user=request.user)
    except ValidationError as refusal:
        messages.error(request, " ".join(refusal.messages))
    else:
        what = "can sign in again" if is_active else "can no longer sign in"
        messages.success(request, f"The user “{person}” {what}.")
    return redirect("policies:user_detail", pk)


def _sees(person: User) -> str:
    """“everything”, or the names of what they are limited to."""
    is_admin = role_of(person) is Role.ADMIN
    return scope_in_words(None if is_admin else getattr(person, "scope", None))


def _below_users() -> dict[str, object]:
    return {"breadcrumb": "Users", "breadcrumb_url": reverse("policies:user_list")}


def _saved(request: HttpRequest, person: User, what: str) -> str:
    messages.success(request, f"The user “{person}” {what}")
    return reverse("policies:user_detail", args=[person.pk])
