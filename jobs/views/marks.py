"""Decisions about snapshots on a subclient's page: pick, prevent, leave to the rules, copy again, pin, unpin."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from jobs import services
from jobs.forms import Action, MarkForm
from jobs.models import BackupCopy, Mark, Snapshot
from jobs.rules.zones import local_moment
from jobs.selectors import backup_copies_of_policy
from jobs.services import Marked
from policies.models import Copy, Installation, Subclient
from snapcopy_site.lib.paging import key_of
from snapcopy_site.lib.roles import operator_required

from .found import subclient_or_404
from .protect import address, context, row_or_404

MOST_SHOWN = 5
"""Refusals that a page lists one by one."""

_DONE = {
    Action.PICK: "picked for copying",
    Action.PREVENT: "prevented from being copied",
    Action.RULE: "left to the rules",
    Action.RECOPY: "to be copied again",
    Action.PIN: "pinned",
    Action.UNPIN: "unpinned",
}
_MARKS = {Action.PICK: Mark.PICK, Action.PREVENT: Mark.PREVENT, Action.RULE: Mark.NONE}


@operator_required
@require_POST
def mark(request: HttpRequest, server: str, name: str) -> HttpResponse:
    """One or many; what cannot be done is said, the rest is done. A wrong form is shown again with what was chosen."""
    found = subclient_or_404(request.user, server, name)
    copies = backup_copies_of_policy(found)
    form = MarkForm(request.POST, subclient=found, copies=copies)
    before = key_of(request, "before")
    if not form.is_valid():
        for problems in form.errors.values():
            messages.error(request, " ".join(map(str, problems)))
        shown = context(row_or_404(request.user, server, name), request.user, before=before, form=form)
        return render(request, "jobs/subclient.html", shown, status=422)
    given = form.cleaned_data
    towards = [given["copy"]] if given["copy"] else copies
    marked = _carry_out(request, found, given, towards)
    _say(request, Action(given["action"]), marked, is_one_copy=len(towards) == 1)
    back = address(found)
    return redirect(f"{back}?before={before}" if before else back)


def _carry_out(request: HttpRequest, subclient: Subclient, given: dict[str, Any], copies: list[Copy]) -> Marked:
    action, until = Action(given["action"]), given["until"]
    snapshots: list[Snapshot] = list(given["snapshots"])
    if action is Action.PIN:
        return services.pin_snapshots(snapshots, until=_end_of(until) if until else None, user=request.user)
    if action is Action.UNPIN:
        return services.unpin_snapshots(snapshots, user=request.user)
    if not copies:
        return Marked(refused=[f"The storage policy {subclient.policy.name} has no active backup copy."])
    rows = _rows(subclient, snapshots, copies)
    if action is Action.RECOPY:
        _jobs, marked = services.recopy_all(rows, user=request.user)
        return marked
    return services.mark_copies(rows, mark=_MARKS[action], user=request.user)


def _rows(subclient: Subclient, snapshots: list[Snapshot], copies: list[Copy]) -> list[BackupCopy]:
    """The rules are asked first, so that every snapshot has a row towards every copy."""
    services.refresh_selection(subclient)
    rows = BackupCopy.objects.filter(snapshot__in=snapshots, copy__in=copies)
    rows = rows.select_related("snapshot__subclient__file_server", "snapshot__subclient__policy", "copy")
    return list(rows.order_by("snapshot__taken_at", "copy__precedence"))


def _end_of(day: date) -> datetime:
    """Midnight after it, where the installation is."""
    here = Installation.objects.filter(pk=1).first() or Installation()
    return local_moment(datetime.combine(day + timedelta(days=1), time()), ZoneInfo(here.time_zone))


def _say(request: HttpRequest, action: Action, marked: Marked, *, is_one_copy: bool) -> None:
    if marked.changed:
        is_of_copies = action not in (Action.PIN, Action.UNPIN) and not is_one_copy
        one, many = ("copy", "copies") if is_of_copies else ("snapshot", "snapshots")
        count = f"1 {one} is" if marked.changed == 1 else f"{marked.changed} {many} are"
        messages.success(request, f"{count} {_DONE[action]}.")
    elif not marked.refused:
        messages.info(request, "Nothing changed: it was so already.")
    for refusal in marked.refused[:MOST_SHOWN]:
        messages.warning(request, refusal)
    if len(marked.refused) > MOST_SHOWN:
        messages.warning(request, f"The same of {len(marked.refused) - MOST_SHOWN} more.")
