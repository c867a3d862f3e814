"""The time line of one path: every version, the points and copies that hold it, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from jobs.catalog.names import for_people
from jobs.catalog.versions import PAGE, versions_of
from jobs.models import CatalogKind, CatalogVersion
from jobs.selectors_pages.past import Point, points_of
from policies.models import Subclient
from policies.selectors.visible import visible_subclients
from snapcopy_site.lib.paging import link
from snapcopy_site.lib.roles import operator_required

from .found_kinds import icon_of_kind
from .listing import moment_of
from .stored_paths import crumbs, display, parent, path_of_query, paths_of_form, query_of_path

_POINTS_SHOWN: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One version. ``newest`` is the point it is taken from, None = no point holds it any more."""

    icon: str
    kind: str
    is_file: bool
    size: int
    files: int
    modified_at: datetime | None
    rights: str
    owner: str
    link_target: str
    first_at: datetime
    until_at: datetime | None
    newest: Point | None
    points: list[Point]
    more_points: int
    diff_url: str
    """What else changed in the snapshot that brought this version; '' for the first one."""


def subclient_or_404(request: HttpRequest, server: str, name: str) -> Subclient:
    """One that the user may see."""
    visible = visible_subclients(request.user).select_related("file_server")
    return get_object_or_404(visible, file_server__name=server, name=name)


def path_or_digits(request: HttpRequest) -> bytes:
    """``path`` of the address, readable or in hexadecimal digits; the root without one."""
    text = request.GET.get("path", "/")
    if text.startswith("/"):
        return path_of_query(request)
    return next(iter(paths_of_form([text])), b"/")


@operator_required
@require_safe
def versions(request: HttpRequest, server: str, name: str) -> HttpResponse:
    """Newest first, in pages; a path that was never there answers 404."""
    subclient = subclient_or_404(request, server, name)
    path = path_or_digits(request)
    found = versions_of(subclient.pk, path)
    before = _moment(request.GET.get("before", ""))
    shown = list((found.filter(first_at__lt=before) if before else found)[: PAGE + 1])
    has_more, shown = len(shown) > PAGE, shown[:PAGE]
    points = points_of(subclient, shown)
    rows = [_row(subclient, path, version, points[version.pk]) for version in shown]
    context = {
        "subclient": subclient,
        "path": display(path),
        "digits": path.hex(),
        "folder_digits": parent(path).hex(),
        "query": query_of_path(path),
        "folder_query": query_of_path(parent(path)),
        "crumbs": crumbs(path),
        "rows": rows,
        "is_first": before is None,
        "first_url": link(request.GET),
        "next_url": link(request.GET, before=shown[-1].first_at.isoformat()) if has_more else "",
    }
    return render(request, "jobs/versions.html", context, status=200 if rows else 404)


def _row(subclient: Subclient, path: bytes, version: CatalogVersion, points: list[Point]) -> Row:
    kind, owner = CatalogKind(version.kind), version.owner
    return Row(
        icon=icon_of_kind(kind),
        kind=str(kind.label),
        is_file=kind is CatalogKind.FILE,
        size=version.size,
        files=version.files,
        modified_at=moment_of(version.mtime_ns),
        rights=f"{version.mode:04o}",
        owner=str(owner) if owner is not None else "",
        link_target=for_people(version.link_target),
        first_at=version.first_at,
        until_at=version.until_at,
        newest=points[0] if points else None,
        points=points[:_POINTS_SHOWN],
        more_points=max(0, len(points) - _POINTS_SHOWN),
        diff_url=_diff_url(subclient, path, points),
    )


def _diff_url(subclient: Subclient, path: bytes, points: list[Point]) -> str:
    if not points:
        return ""
    address = reverse("restore-diff", args=(subclient.file_server.name, subclient.name))
    return f"{address}{query_of_path(parent(path))}&to={points[-1].pk}"


def _moment(text: str) -> datetime | None:
    """None for what is none."""
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
