"""Search by name over everything (RULES V3). File names are data, so it needs an operator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from jobs.catalog.names import for_people, to_text
from jobs.catalog.searching import PAGE, CannotSearch, Found, Key, Question, Result, search
from jobs.models import CatalogKind
from jobs.selectors_pages.past import Point, newest_points_of
from policies.models import Subclient
from snapcopy_site.lib.paging import link
from snapcopy_site.lib.roles import operator_required

from .found_kinds import icon_of_kind
from .listing import moment_of
from .search_form import SearchForm
from .stored_paths import display, query_of_path

_WILDCARDS: Final = re.compile(r"[*?]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A result as people read it. ``parts``: pieces of the name, and whether each is what was asked for."""

    parts: Sequence[tuple[str, bool]]
    name: str
    folder: str
    digits: str
    folder_digits: str
    icon: str
    kind: str
    is_file: bool
    size: int
    modified_at: datetime | None
    subclient: Subclient
    first_at: datetime
    until_at: datetime | None
    exists: bool
    versions: int
    point: Point | None
    folder_query: str
    path_query: str
    versions_url: str


@operator_required
@require_safe
def search_everything(request: HttpRequest) -> HttpResponse:
    """The box, and with ``?q=`` what was found. A refusal names the remedy; the filters are kept in the address."""
    is_asked = "q" in request.GET
    form = SearchForm(request.GET if is_asked else None, initial=request.GET.dict(), user=request.user)
    found: Found | None = None
    error = ""
    rows: list[Row] = []
    if is_asked and form.is_valid():
        question = form.question()
        try:
            found = search(request.user, question, after=Key.parse(request.GET.get("after", "")), limit=PAGE)
        except CannotSearch as refusal:
            error = str(refusal)
        else:
            rows = _rows(found, question)
    return render(
        request,
        "jobs/search.html",
        {
            "form": form,
            "found": found,
            "rows": rows,
            "error": error,
            "is_first": "after" not in request.GET,
            "first_url": link(request.GET),
            "next_url": link(request.GET, after=found.after.token()) if found and found.after else "",
        },
    )


def _rows(found: Found, question: Question) -> list[Row]:
    points = newest_points_of([result.id for result in found.results])
    return [_row(result, question, points.get(result.id)) for result in found.results]


def _row(result: Result, question: Question, point: Point | None) -> Row:
    subclient = result.subclient
    versions_url = reverse("restore-versions", args=(subclient.file_server.name, subclient.name))
    kind = CatalogKind(result.kind)
    return Row(
        parts=highlighted(to_text(result.name), question),
        name=display(result.name),
        folder=display(result.folder),
        digits=result.path.hex(),
        folder_digits=result.folder.hex(),
        icon=icon_of_kind(kind),
        kind=str(kind.label),
        is_file=kind is CatalogKind.FILE,
        size=result.size,
        modified_at=moment_of(result.mtime_ns),
        subclient=subclient,
        first_at=result.first_at,
        until_at=result.until_at,
        exists=result.exists,
        versions=result.versions,
        point=point,
        folder_query=query_of_path(result.path if kind is CatalogKind.DIRECTORY else result.folder),
        path_query=query_of_path(result.path),
        versions_url=f"{versions_url}{query_of_path(result.path)}",
    )


def highlighted(name: str, question: Question) -> list[tuple[str, bool]]:
    """The name in pieces; those that the text names are marked. Each is for people."""
    wanted = [] if question.is_exact or question.is_path else _WILDCARDS.split(question.text)
    pattern = "|".join(re.escape(part) for part in wanted if part)
    if not pattern:
        return [(for_people(name), False)]
    pieces = re.split(f"({pattern})", name, flags=re.IGNORECASE)
    return [(for_people(piece), number % 2 == 1) for number, piece in enumerate(pieces) if piece]
