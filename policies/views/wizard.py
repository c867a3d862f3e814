"""The first three steps: source, media, policy. Each step saves what it made, so that it can be tested at once.

Only what cannot be saved yet, the subclient's name and paths, waits in the session; no secret ever does.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from policies.forms.sources import content_problems
from policies.forms.wizard import MediaStepForm, PolicyStepForm, SourceStepForm
from policies.models import FileServer, Media, Subclient
from policies.resolve import is_dump_stream
from policies.views.pages import edit_page, warn_of_missing_paths
from snapcopy_site.lib.roles import admin_required

SESSION_KEY = "first_steps"
TEMPLATE = "policies/wizard.html"
STEPS = (("wizard", "Source"), ("wizard_media", "Media"), ("wizard_policy", "Policy"))


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def source(request: HttpRequest) -> HttpResponse:
    """Step 1: a file server and its content paths. Coming back to it edits the same file server."""
    memory = _memory(request)
    server = _server(memory)
    typed = {"subclient_name": memory.get("name", ""), "content_paths": "\n".join(memory.get("paths", []))}

    def make_form(data: Any = None, *, initial: Any = None) -> SourceStepForm:
        return SourceStepForm(data, instance=server, kind=request.GET.get("kind"), initial=initial or typed)

    def save(form: SourceStepForm) -> FileServer | None:
        saved = form.save(user=request.user)
        if saved is None:
            return None
        name, paths = form.cleaned_data["subclient_name"], form.cleaned_data["content_paths"]
        _remember(request, server=saved.pk, name=name, paths=paths)
        for message in content_problems(saved, paths):
            form.add_error("content_paths", message)
        if form.errors:
            return None
        if not is_dump_stream(saved.engine):
            warn_of_missing_paths(request, paths)
        return saved

    return edit_page(
        request,
        make_form,
        heading="What do you want to protect?",
        submit="Go on to the medium",
        cancel=reverse("overview"),
        save=save,
        saved=lambda _server: reverse("policies:wizard_media"),
        context=_context("wizard"),
        template=TEMPLATE,
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def media(request: HttpRequest) -> HttpResponse:
    """Step 2: a new medium, or one there is (POST ``use`` = its id)."""
    memory = _memory(request)
    server = _server(memory)
    if server is None:
        return redirect("policies:wizard")
    existing = list(Media.objects.filter(is_active=True))
    use = request.POST.get("use", "")
    if use.isdecimal() and int(use) in {medium.pk for medium in existing}:
        _remember(request, media=int(use))
        return redirect("policies:wizard_policy")

    def saved(medium: Media) -> str:
        _remember(request, media=medium.pk)
        return reverse("policies:wizard_policy")

    return edit_page(
        request,
        partial(MediaStepForm, kind=request.GET.get("kind")),
        heading="Where do the copies go?",
        submit="Go on to the policy",
        cancel=reverse("policies:wizard"),
        save=lambda form: form.save(user=request.user),
        saved=saved,
        context=_context("wizard_media") | {"made_server": server, "existing_media": existing},
        template=TEMPLATE,
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def policy(request: HttpRequest) -> HttpResponse:
    """Step 3: the policy that ties them together, and with it the subclient."""
    memory = _memory(request)
    server = _server(memory)
    medium = Media.objects.filter(pk=memory["media"]).first() if "media" in memory else None
    if server is None or not memory.get("paths"):
        return redirect("policies:wizard")
    if medium is None:
        return redirect("policies:wizard_media")

    def save(form: PolicyStepForm) -> Subclient | None:
        return form.save(user=request.user, server=server, medium=medium, name=memory["name"], paths=memory["paths"])

    def saved(subclient: Subclient) -> str:
        request.session.pop(SESSION_KEY, None)
        messages.success(request, f"“{subclient}” is ready: take its first snapshot now.")
        return reverse("subclient", args=[subclient.file_server.name, subclient.name])

    return edit_page(
        request,
        PolicyStepForm,
        heading="How are they tied together?",
        submit="Create the policy and the subclient",
        cancel=reverse("policies:wizard_media"),
        save=save,
        saved=saved,
        context=_context("wizard_policy") | {"made_server": server, "made_media": medium, "memory": memory},
        template=TEMPLATE,
    )


def _memory(request: HttpRequest) -> dict[str, Any]:
    memory: dict[str, Any] = request.session.get(SESSION_KEY, {})
    return memory


def _server(memory: dict[str, Any]) -> FileServer | None:
    return FileServer.objects.filter(pk=memory["server"]).first() if "server" in memory else None


def _remember(request: HttpRequest, **values: Any) -> None:
    request.session[SESSION_KEY] = _memory(request) | values


def _context(current: str) -> dict[str, Any]:
    names = [name for name, _label in STEPS]
    steps = [
        {
            "label": label,
            "url": reverse(f"policies:{name}"),
            "is_current": name == current,
            "is_done": number < names.index(current),
        }
        for number, (name, label) in enumerate(STEPS)
    ]
    return {"steps": steps, "step_number": names.index(current) + 1}
