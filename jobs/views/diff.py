"""What differs between two points of a subclient: totals and the list, below a folder (RULES V3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from jobs.catalog.comparing import PAGE, Change, Comparison, Difference, Key, Side, Total, compare
from jobs.models import CatalogKind, Snapshot
from jobs.selectors_pages.past import catalogued_points
from policies.models import Subclient
from snapcopy_site.lib.paging import key_of, link
from snapcopy_site.lib.roles import operator_required

from .found_kinds import icon_of_kind
from .listing import moment_of
from .stored_paths import crumbs, display, parent, query_of_path
from .versions import path_or_digits, subclient_or_404

POINTS_SHOWN = 500
"""In the two lists; any other point is reached by its number in the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One path that differs. ``point`` is where it is browsed: the later one, or the one that still has it."""

    name: str
    folder: str
    icon: str
    kind: str
    change: Change
    before_size: int | None
    after_size: int | None
    modified_at: datetime | None
    point: int
    folder_query: str
    versions_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The totals of one change; ``url`` narrows the list to it, or shows all again."""

    change: Change
    total: Total
    is_chosen: bool
    url: str


@operator_required
@require_safe
def diff(request: HttpRequest, server: str, name: str) -> HttpResponse:
    """``from`` and ``to`` are numbers of points in any order; without them, the newest one and the one before."""
    subclient = subclient_or_404(request, server, name)
    points = list(catalogued_points(subclient)[:POINTS_SHOWN])
    path = path_or_digits(request)
    last = _point(request, subclient, points, "to") or (points[0] if points else None)
    first = _point(request, subclient, points, "from") or _before(last, subclient)
    context = {
        "subclient": subclient,
        "path": display(path),
        "digits": path.hex(),
        "crumbs": [(text, _here(subclient, query, first, last)) for text, query in crumbs(path)],
        "points": points,
        "first": first,
        "last": last,
    }
    if first is not None and last is not None:
        change = request.GET.get("change", "")
        wanted = Change(change) if change in {one.value for one in Change} else None
        found = compare(
            subclient.pk,
            first.taken_at,
            last.taken_at,
            below=path,
            change=wanted,
            after=Key.parse(request.GET.get("after", "")),
            limit=PAGE,
        )
        context |= {
            "top_url": _here(subclient, "?path=/", first, last),
            "swap_url": _here(subclient, query_of_path(path), last, first),
            "cards": _cards(request, found, wanted),
            "rows": [_row(one, subclient, first, last) for one in found.differences],
            "is_first": "after" not in request.GET,
            "first_url": link(request.GET),
            "next_url": link(request.GET, after=found.after.token()) if found.after else "",
            "is_filtered": wanted is not None,
        }
    return render(request, "jobs/diff.html", context)


def _point(request: HttpRequest, subclient: Subclient, points: Sequence[Snapshot], name: str) -> Snapshot | None:
    """None when nobody asked; a number that is no point of the subclient answers 404."""
    if not request.GET.get(name):
        return None
    number = key_of(request, name)
    found = next((point for point in points if point.pk == number), None)
    found = found or catalogued_points(subclient).filter(pk=number or 0).first()
    if found is None:
        raise Http404("This subclient has no catalogued point with this number, or nothing of it is left.")
    return found


def _before(point: Snapshot | None, subclient: Subclient) -> Snapshot | None:
    return None if point is None else catalogued_points(subclient).filter(taken_at__lt=point.taken_at).first()


def _here(subclient: Subclient, path_query: str, first: Snapshot | None, last: Snapshot | None) -> str:
    address = reverse("restore-diff", args=(subclient.file_server.name, subclient.name))
    asked = "".join(f"&{name}={point.pk}" for name, point in (("from", first), ("to", last)) if point is not None)
    return f"{address}{path_query}{asked}"


def _cards(request: HttpRequest, found: Comparison, wanted: Change | None) -> list[Card]:
    return [
        Card(
            change=change,
            total=found.totals[change],
            is_chosen=change is wanted,
            url=link(request.GET, change=None if change is wanted else change.value),
        )
        for change in Change
    ]


def _row(one: Difference, subclient: Subclient, first: Snapshot, last: Snapshot) -> Row:
    side = one.side
    versions = reverse("restore-versions", args=(subclient.file_server.name, subclient.name))
    return Row(
        name=display(one.name),
        folder=display(one.folder),
        icon=icon_of_kind(side.kind),
        kind=str(CatalogKind(side.kind).label),
        change=one.change,
        before_size=_size(one.before),
        after_size=_size(one.after),
        modified_at=moment_of(side.mtime_ns),
        point=last.pk if one.after is not None else first.pk,
        folder_query=query_of_path(one.path if one.is_folder else parent(one.path)),
        versions_url=f"{versions}{query_of_path(one.path)}",
    )


def _size(side: Side | None) -> int | None:
    """Of a file; for a folder what lies in it is listed by itself."""
    return side.size if side is not None and side.kind != CatalogKind.DIRECTORY else None
