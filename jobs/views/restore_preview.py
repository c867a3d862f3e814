"""What a restore would do, found on the node that would do it, shown before anybody confirms it (RULES V2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from jobs import services
from jobs.models import Job, Operation
from snapcopy_site.lib.roles import operator_required

from . import basket
from .answers import launch
from .found import job_or_404
from .stored_paths import display, query_of_path

CONFLICTS_SHOWN: Final = 100
EXCEPTIONS_SHOWN: Final = 20
FATES: Final = {
    "replaced": "is replaced",
    "kept": "stays, is not restored",
    "compared": "is replaced if its content differs",
    "blocked": "cannot be restored: a directory is in its place",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictRow:
    """One file that is there and differs. ``is_newer``: the one that is there was changed later."""

    name: str
    fate: str
    words: str
    size: int
    changed_at: datetime
    there_size: int
    there_changed_at: datetime

    @property
    def is_newer(self) -> bool:
        return self.there_changed_at > self.changed_at


@operator_required
@require_safe
def restore_preview(request: HttpRequest, pk: int) -> HttpResponse:
    """The page; it says what is looked at until the dry run is over."""
    return render(request, "jobs/restore_preview.html", _context(request, pk))


@operator_required
@require_safe
def restore_preview_live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part that polls."""
    return render(request, "jobs/_restore_preview.html", _context(request, pk))


@operator_required
@require_POST
def start_previewed(request: HttpRequest, pk: int) -> HttpResponse:
    """Confirmed: the restore that was previewed."""
    job = _preview_or_404(request, pk)
    answer = launch(
        request,
        lambda: services.launch_previewed(job, user=request.user),
        back=reverse("restore-preview", args=(pk,)),
    )
    if job.snapshot_id is not None:
        basket.put(request.session, job.snapshot_id, ())
    return answer


def _preview_or_404(request: HttpRequest, pk: int) -> Job:
    """File names are data, so it needs an operator; and somebody who sees the subclient."""
    job = job_or_404(request.user, pk)
    if job.operation != Operation.RESTORE or not job.parameters.get("dry_run"):
        raise Http404(f"Job {pk} is no preview of a restore.")
    return job


def _context(request: HttpRequest, pk: int) -> dict[str, Any]:
    job = _preview_or_404(request, pk)
    found = job.result.get("preview") or {}
    rows = [_row(conflict) for conflict in found.get("conflicts", [])[:CONFLICTS_SHOWN]]
    paths = [bytes.fromhex(path) for path in job.parameters["paths"]]
    return {
        "job": job,
        "found": found,
        "conflicts": rows,
        "paths": [display(path) for path in paths],
        "lacking": [space for space in found.get("spaces", []) if space["needed_bytes"] > space["free_bytes"]],
        "to_write": found.get("files_new", 0) + found.get("files_replaced", 0),
        "exceptions": list(job.exceptions.filter(attempt=job.attempt)[:EXCEPTIONS_SHOWN]) if job.is_over else [],
        "change": _way_back(job, paths),
    }


def _way_back(job: Job, paths: list[bytes]) -> str:
    """The form again, filled in as it was; a basket is still full."""
    if job.snapshot_id is None:
        return ""
    chosen = job.parameters.get("chosen_copy")
    query = query_of_path(paths[0] if paths else b"/") if len(paths) <= 1 else "?"
    copy = f"&copy={chosen}" if chosen else ""
    return f"{reverse('restore-start', args=(job.snapshot_id,))}{query}&like={job.pk}{copy}".replace("?&", "?")


def _row(conflict: dict[str, Any]) -> ConflictRow:
    return ConflictRow(
        name=display(bytes.fromhex(conflict["path"])),
        fate=conflict["fate"],
        words=FATES[conflict["fate"]],
        size=conflict["size"],
        changed_at=_moment(conflict["mtime_ns"]),
        there_size=conflict["there_size"],
        there_changed_at=_moment(conflict["there_mtime_ns"]),
    )


def _moment(ns: int) -> datetime:
    """A time that no calendar holds becomes the nearest one that it holds."""
    try:
        return datetime.fromtimestamp(ns / 1e9, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return datetime(9999 if ns > 0 else 1, 1, 2, tzinfo=UTC)
