"""Forms of schedules and blackout windows. What became of the slots is jobs' side of it (``jobs.views.schedules``)."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from policies import services
from policies.forms.blackout import BlackoutForm
from policies.forms.schedules import ScheduleForm
from policies.models import BlackoutWindow, Schedule
from policies.selectors.schedules import described_windows
from policies.views.pages import delete_page, edit_page, render_page
from snapcopy_site.lib.roles import admin_required, viewer_required

FORM = "policies/schedule_form.html"


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def schedule_create(request: HttpRequest) -> HttpResponse:
    return edit_page(
        request,
        ScheduleForm,
        heading="Add a schedule",
        submit="Add the schedule",
        cancel=reverse("schedule-list"),
        save=lambda form: form.save(user=request.user),
        saved=lambda schedule: _saved(request, schedule, f"The schedule “{schedule}” was added."),
        context=_below_schedules(),
        template=FORM,
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def schedule_edit(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = get_object_or_404(Schedule, pk=pk)
    return edit_page(
        request,
        partial(ScheduleForm, instance=schedule),
        heading=f"Edit {schedule.name}",
        submit="Save the schedule",
        cancel=reverse("schedule", args=[pk]),
        save=lambda form: form.save(user=request.user),
        saved=lambda saved: _saved(request, saved, f"The schedule “{saved}” was saved."),
        context=_below_schedules(),
        template=FORM,
    )


@admin_required
@require_POST
def schedule_activate(request: HttpRequest, pk: int) -> HttpResponse:
    """POST ``on`` = 1 switches it on, anything else off."""
    schedule = get_object_or_404(Schedule, pk=pk)
    is_active = request.POST.get("on") == "1"
    services.update_schedule(schedule, user=request.user, is_active=is_active)
    messages.success(request, f"The schedule “{schedule}” is switched {'on' if is_active else 'off'}.")
    return redirect("schedule", pk)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def schedule_delete(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = get_object_or_404(Schedule, pk=pk)
    return delete_page(
        request,
        schedule,
        delete=lambda: services.delete_schedule(schedule, user=request.user),
        cancel=reverse("schedule", args=[pk]),
        done=reverse("schedule-list"),
        stays="Jobs it started stay.",
    )


@viewer_required
@require_safe
def blackout_list(request: HttpRequest) -> HttpResponse:
    return render_page(request, "policies/blackout_list.html", {"windows": described_windows()})


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def blackout_create(request: HttpRequest) -> HttpResponse:
    return edit_page(
        request,
        BlackoutForm,
        heading="Add a blackout window",
        submit="Add the window",
        cancel=reverse("policies:blackout_list"),
        save=lambda form: form.save(user=request.user),
        saved=lambda window: _window_saved(request, f"The blackout window “{window}” was added."),
        context=_below_windows(),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def blackout_edit(request: HttpRequest, pk: int) -> HttpResponse:
    window = get_object_or_404(BlackoutWindow, pk=pk)
    return edit_page(
        request,
        partial(BlackoutForm, instance=window),
        heading=f"Edit {window.name}",
        submit="Save the window",
        cancel=reverse("policies:blackout_list"),
        save=lambda form: form.save(user=request.user),
        saved=lambda saved: _window_saved(request, f"The blackout window “{saved}” was saved."),
        context=_below_windows(),
    )


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def blackout_delete(request: HttpRequest, pk: int) -> HttpResponse:
    window = get_object_or_404(BlackoutWindow, pk=pk)
    return delete_page(
        request,
        window,
        delete=lambda: services.delete_blackout_window(window, user=request.user),
        cancel=reverse("policies:blackout_list"),
        done=reverse("policies:blackout_list"),
        stays="What it put off starts within a second.",
    )


def _below_schedules() -> dict[str, object]:
    return {"breadcrumb": "Schedules", "breadcrumb_url": reverse("schedule-list")}


def _below_windows() -> dict[str, object]:
    return {"breadcrumb": "Blackout windows", "breadcrumb_url": reverse("policies:blackout_list")}


def _saved(request: HttpRequest, schedule: Schedule, sentence: str) -> str:
    messages.success(request, sentence)
    return reverse("schedule", args=[schedule.pk])


def _window_saved(request: HttpRequest, sentence: str) -> str:
    messages.success(request, sentence)
    return reverse("policies:blackout_list")
