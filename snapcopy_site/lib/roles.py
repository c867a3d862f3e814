"""Who may do what: viewers read, operators run jobs, admins configure.

Roles are Django groups of the same names; a superuser is an admin; a user in no group has no role and sees nothing.
Every view carries one of the three decorators or sets ``required_role`` through :class:`RoleRequired`; a test walks all
URL patterns and holds that.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any, ClassVar, Concatenate, Final, ParamSpec, cast

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django.views import View


class Role(StrEnum):
    """The names of the groups, weakest first."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def label(self) -> str:
        return self.value.capitalize()

    @property
    def summary(self) -> str:
        return _SUMMARIES[self]

    def includes(self, other: Role) -> bool:
        """An admin may do what an operator may, an operator what a viewer may."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER: Final = tuple(Role)
_SUMMARIES: Final = {
    Role.VIEWER: "Looks, changes nothing.",
    Role.OPERATOR: "Also starts, suspends and kills jobs, and restores.",
    Role.ADMIN: "Also configures, and manages users.",
}

_CACHE_KEY: Final = "_snapcopy_role"


def role_of(user: AbstractBaseUser | AnonymousUser | None) -> Role | None:
    """The strongest role of an active user; None if there is none. One query per user object, then remembered."""
    if user is None or isinstance(user, AnonymousUser) or not user.is_active:
        return None
    if getattr(user, "is_superuser", False):
        return Role.ADMIN
    remembered = user.__dict__
    if _CACHE_KEY not in remembered:
        groups = getattr(user, "groups").all()  # noqa: B009 - groups are a mixin's; all() so that a prefetch serves
        names = {group.name for group in groups}
        remembered[_CACHE_KEY] = next((role for role in reversed(_ORDER) if role.value in names), None)
    role: Role | None = remembered[_CACHE_KEY]
    return role


def forget_role(user: AbstractBaseUser) -> None:
    """Drop the remembered role after a change of groups."""
    user.__dict__.pop(_CACHE_KEY, None)


def has_role(user: AbstractBaseUser | AnonymousUser | None, needed: Role) -> bool:
    role = role_of(user)
    return role is not None and role.includes(needed)


def refusal(request: HttpRequest, needed: Role) -> HttpResponse | None:
    """None if the user has the role; a way to the sign-in page if not signed in; else raises PermissionDenied."""
    if not request.user.is_authenticated:
        redirect = redirect_to_login(request.get_full_path(), resolve_url("login"))
        if request.headers.get("HX-Request"):
            # htmx would follow a redirect and put the sign-in page into the fragment's place
            return HttpResponse(status=204, headers={"HX-Redirect": redirect.url})
        return redirect
    if has_role(request.user, needed):
        return None
    role = role_of(request.user)
    yours = f"Your role is {role.value}." if role else "You have no role yet."
    raise PermissionDenied(f"This needs the role {needed.value}. {yours} An admin can change it under Users.")


P = ParamSpec("P")
ViewFunction = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def role_required(needed: Role) -> Callable[[ViewFunction[P]], ViewFunction[P]]:
    """Decorate a view function; the role is also left on it as ``required_role``."""

    def decorate(view: ViewFunction[P]) -> ViewFunction[P]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            return refusal(request, needed) or view(request, *args, **kwargs)

        guarded.required_role = needed  # type: ignore[attr-defined]
        return cast("ViewFunction[P]", guarded)

    return decorate


viewer_required = role_required(Role.VIEWER)
operator_required = role_required(Role.OPERATOR)
admin_required = role_required(Role.ADMIN)


class RoleRequired(View):
    """Mixin of class-based views: set ``required_role``."""

    required_role: ClassVar[Role]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return refusal(request, self.required_role) or super().dispatch(request, *args, **kwargs)
