"""What views share: carrying out an order and saying what became of it, and where to go afterwards."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

from jobs.models import Job
from jobs.services import JobRefusal


def safe_next(request: HttpRequest, default: str) -> str:
    """The ``next`` of the form if it is a page of ours, else ``default`` (an address or the name of a view)."""
    wanted = request.POST.get("next", "")
    if wanted and url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}):
        return wanted
    return resolve_url(default)


def launch(request: HttpRequest, order: Callable[[], Job], *, back: str) -> HttpResponseRedirect:
    """Launch a job and go to its page; a refusal is shown on ``back``, or on the job that stands in the way."""
    try:
        job = order()
    except JobRefusal as refusal:
        messages.warning(request, f"{refusal} {refusal.hint}".strip())
        return redirect("job", refusal.job.pk) if refusal.job else redirect(back)
    return redirect("job", job.pk)


def control(request: HttpRequest, order: Callable[[], Job], *, said: str, back: str) -> HttpResponseRedirect:
    """Carry out an order on a job and say so; a job that cannot take it says why (RULES J3)."""
    try:
        order()
    except JobRefusal as refusal:
        messages.warning(request, f"{refusal} {refusal.hint}".strip())
    else:
        messages.success(request, said)
    return redirect(back)
