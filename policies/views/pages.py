"""What the pages share: who is looking, saving through a form, and asking before something is deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from policies.errors import CannotDelete
from policies.forms.kind_form import SHOWN_KIND
from policies.forms.service_form import SWITCH, ServiceForm, refill
from policies.forms.sources import missing_here
from policies.models import Subclient
from policies.resolve import is_dump_stream, is_point
from policies.selectors.deletion import effects_of_deleting
from policies.services.stream_checks import point_warnings
from snapcopy_site.lib.roles import Role, has_role

FormType = TypeVar("FormType", bound=ServiceForm)


class MakeForm(Protocol[FormType]):  # type: ignore[misc]
    """Builds the form of a page, bound or filled with initial values."""

    def __call__(self, data: Any = None, *, initial: Mapping[str, Any] | None = None) -> FormType: ...


def render_page(request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    """Render with ``can_configure`` and ``can_operate`` of the user who looks."""
    rights = {
        "can_configure": has_role(request.user, Role.ADMIN),
        "can_operate": has_role(request.user, Role.OPERATOR),
    }
    return render(request, template, rights | dict(context), status=status)


def edit_page(
    request: HttpRequest,
    make_form: MakeForm[FormType],
    *,
    heading: str,
    submit: str,
    cancel: str,
    save: Callable[[FormType], Model | None],
    saved: Callable[[Any], str],
    context: Mapping[str, Any] | None = None,
    template: str = "policies/form.html",
) -> HttpResponse:
    """Show a form, save it, go on to the address ``saved`` gives; a refused form comes back as it was typed.

    ``cancel`` is the address to leave to. ``save`` returns None when the form now shows why not.
    """
    if request.method == "POST" and SWITCH in request.POST:
        bound = make_form(request.POST)
        same_kind = request.POST.get(SHOWN_KIND) == getattr(bound, "kind_name", "")
        form = make_form(initial=refill(request.POST, bound, same_kind=same_kind))
    elif request.method == "POST":
        form = make_form(request.POST)
        instance = save(form) if form.is_valid() else None
        if instance is not None:
            return redirect(saved(instance))
    else:
        form = make_form()
    shown = {"form": form, "heading": heading, "submit": submit, "cancel": cancel} | dict(context or {})
    return render_page(request, template, shown)


def warn_of_missing_paths(request: HttpRequest, paths: Sequence[str]) -> None:
    """A saved content path that this machine does not have may be a slip, or be on the access node only."""
    for path in missing_here(paths):
        messages.warning(request, f"{path} is not on the machine of this web server; the access node must have it.")


def warn_of_subclient(request: HttpRequest, subclient: Subclient) -> None:
    """After it was saved: what may be a slip, or unwise."""
    if not is_dump_stream(subclient.file_server.engine):
        warn_of_missing_paths(request, subclient.content_paths)
        return
    for sentence in point_warnings(subclient.policy, are_points=is_point(subclient.file_server.engine)):
        messages.warning(request, sentence)


def delete_page(
    request: HttpRequest,
    instance: Model,
    *,
    delete: Callable[[], None],
    cancel: str,
    done: str,
    stays: str = "",
    blockers: tuple[str, ...] = (),
) -> HttpResponse:
    """Ask, naming what goes with it and what stands in the way; delete on POST. ``stays``: what is not touched."""
    kind, name = str(instance._meta.verbose_name), str(instance)
    if request.method == "POST":
        try:
            delete()
        except CannotDelete as refusal:
            blockers = (f"{refusal.sentence} {refusal.hint}".strip(), *map(_needed, refusal.needed_by))
        else:
            messages.success(request, f"The {kind} “{name}” was deleted.")
            return redirect(done)
    effects = effects_of_deleting(instance)
    blockers = blockers or tuple(map(_needed, effects.needed_by))
    consequences = [] if blockers else _consequences(effects.goes_with, effects.forgets, stays)
    context = {
        "question": f"The {kind} “{name}” cannot be deleted" if blockers else f"Delete the {kind} “{name}”?",
        "consequence": " ".join(consequences),
        "blockers": blockers,
        "submit": f"Delete the {kind}",
        "cancel": cancel,
        "breadcrumb": name,
        "breadcrumb_url": cancel,
    }
    return render_page(request, "components/confirm.html", context)


def _needed(what: str) -> str:
    return f"Still needed by: {what}."


def _consequences(goes_with: tuple[str, ...], forgets: tuple[str, ...], stays: str) -> list[str]:
    parts = []
    if goes_with:
        parts.append(f"With it goes: {', '.join(goes_with)}.")
    if forgets:
        parts.append(f"These stay in the history and keep its name: {', '.join(forgets)}.")
    if stays:
        parts.append(stays)
    return [*parts, "This cannot be undone."]
