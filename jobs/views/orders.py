"""Orders for many jobs at once, the list of those that wait, and their priority."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobs.selectors_pages.waiting import in_line
from jobs.services.bulk import Answer, Order, order_jobs
from jobs.services.priority import HIGHEST, LOWEST, set_priority
from jobs.visible import visible_jobs
from snapcopy_site.lib.roles import operator_required, viewer_required

from .answers import control, safe_next
from .found import job_or_404

_TOLD = 10
_DONE = {
    Order.SUSPEND: "told to stop at the next checkpoint",
    Order.RESUME: "go on",
    Order.KILL: "told to end",
    Order.RESUBMIT: "run again",
    Order.ACKNOWLEDGE: "acknowledged",
}


@operator_required
@require_POST
def order_many(request: HttpRequest) -> HttpResponseRedirect:
    """POST ``order`` and any number of ``job``; what each job answered is said, those that cannot take it by name."""
    if request.POST.get("order") not in set(Order):
        raise Http404("There is no such order.")
    order = Order(request.POST["order"])
    chosen = {int(text) for text in request.POST.getlist("job") if text.isascii() and text.isdigit() and len(text) < 19}
    back = safe_next(request, "job-list")
    if not chosen:
        messages.info(request, "No job was chosen: tick some first.")
        return redirect(back)
    _tell(request, order, order_jobs(chosen, order, among=visible_jobs(request.user), user=request.user))
    return redirect(back)


@viewer_required
@require_safe
def waiting(request: HttpRequest) -> HttpResponse:
    """Jobs that wait, in their order."""
    return render(request, "jobs/waiting.html", {"rows": in_line(request.user), "highest": HIGHEST, "lowest": LOWEST})


@operator_required
@require_POST
def change_priority(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    """POST ``priority``."""
    job = job_or_404(request.user, pk)
    text = request.POST.get("priority", "").strip()
    priority = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return control(
        request,
        lambda: set_priority(job, priority=priority, user=request.user),
        said=f"Job {pk} has priority {priority}.",
        back=safe_next(request, "job-waiting"),
    )


def _tell(request: HttpRequest, order: Order, answers: list[Answer]) -> None:
    done = [answer for answer in answers if answer.is_done]
    refused = [answer for answer in answers if not answer.is_done]
    if len(done) == 1:
        messages.success(request, done[0].sentence)
    elif done:
        messages.success(request, f"{len(done)} jobs: {_DONE[order]}.")
    for answer in refused[:_TOLD]:
        messages.warning(request, answer.sentence)
    if len(refused) > _TOLD:
        messages.warning(request, f"{len(refused) - _TOLD} more jobs could not take the order.")
