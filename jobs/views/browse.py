"""A folder of one point like a file manager: from the catalog, or, where there is none, from what holds the point."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from jobs.catalog.browsing import PAGE, Key, Order, Question, Sort, entries, folder_at
from jobs.engine.errors import EngineError, NotInCopy
from jobs.models import CatalogState, Snapshot
from jobs.restore_sources import sources_of
from jobs.rules.restore_source import SourceKind
from jobs.selectors_pages.restore import restore_points
from jobs.selectors_pages.time_line import time_line
from jobs.services.catalog import catalogable
from jobs.services.undumps import is_dumped
from policies.selectors.visible import visible_subclients
from snapcopy_site.lib.roles import operator_required

from .catalog_listing import catalog_listing
from .restore import basket_rows, chosen_copy, kept, point_or_404, query_of_copy
from .stored_paths import asked_path, common_folder, crumbs, display, parent, query_of_path
from .uncatalogued import uncatalogued

SORTS: Final = (
    ("name", "Name"),
    ("-name", "Name, from the end"),
    ("-size", "Largest first"),
    ("size", "Smallest first"),
    ("-modified", "Newest first"),
    ("modified", "Oldest first"),
)

_PLAIN_HEADINGS: Final[tuple[dict[str, str], ...]] = (
    {"column": "name", "label": "Name"},
    {"column": "size", "label": "Size"},
    {"column": "modified", "label": "Modified"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How the address wants the folder shown."""

    text: str
    sort: str
    is_mixed: bool
    with_gone: bool

    @classmethod
    def of(cls, request: HttpRequest) -> Wish:
        sort = request.GET.get("sort", "")
        return cls(
            text=request.GET.get("name", "").strip(),
            sort=sort if sort in dict(SORTS) else "name",
            is_mixed=bool(request.GET.get("mixed")),
            with_gone=bool(request.GET.get("deleted")),
        )

    @property
    def order(self) -> Order:
        return Order(
            sort=Sort(self.sort.removeprefix("-")),
            is_descending=self.sort.startswith("-"),
            folders_first=not self.is_mixed,
        )


@operator_required
@require_safe
def browse(request: HttpRequest, pk: int) -> HttpResponse:
    """One folder of one point, from ``copy`` if it is given. File names are data, so it needs an operator."""
    point, chosen = point_or_404(pk, request.user), chosen_copy(request)
    path = asked_path(request) or first_folder(point)
    wish, and_copy = Wish.of(request), query_of_copy(chosen).replace("?", "&")
    sources = [source for source in sources_of(point) if not source.candidate.obstacle]
    is_catalogued = point.catalog_state == CatalogState.DONE
    context: dict[str, Any] = {
        "point": point,
        "times": time_line(point),
        "path": display(path),
        "query": query_of_path(path),
        "up": query_of_path(parent(path)) if path != b"/" else "",
        "crumbs": crumbs(path),
        "digits": path.hex(),
        "wish": wish,
        "sorts": SORTS,
        "headings": _headings(wish, request.GET) if is_catalogued else _PLAIN_HEADINGS,
        "shown": kept(request.GET),
        "keep": kept(request.GET) + and_copy,
        "basket": basket_rows(request, pk),
        "chosen": chosen,
        "copy_query": query_of_copy(chosen),
        "and_copy": and_copy,
        "sources": sources,
        "is_readable": bool(sources) and not is_dumped(point),
        "is_catalogued": is_catalogued,
    }
    try:
        if is_catalogued:
            context |= _from_catalog(request, point, path, wish)
        else:
            context |= {"can_catalog": catalogable(point.subclient).filter(pk=pk).exists()}
            if is_dumped(point) and any(source.kind is SourceKind.MEDIA for source in sources):
                context |= {"volumes": _volumes(point)}
            else:
                context |= uncatalogued(request, point, path, sources=sources, chosen=chosen)
    except EngineError as error:
        context |= {"error": error}
    return render(request, "jobs/browse.html", context, status=_status(context.get("error")))


@operator_required
@require_safe
def browse_at(request: HttpRequest, server: str, name: str) -> HttpResponseRedirect:
    """To the newest point of the moment ``at`` or earlier, or to the last catalogued one that is older than ``before``.

    ``path`` and how folders are shown are kept. A moment without a zone is one of the reader's.
    """
    found = get_object_or_404(visible_subclients(request.user), file_server__name=server, name=name)
    points = restore_points(found)
    at, before = _moment(request.GET.get("at", "")), _moment(request.GET.get("before", ""))
    if before is not None:
        points = points.filter(taken_at__lt=before, catalog_state=CatalogState.DONE)
    elif at is not None:
        points = points.filter(taken_at__lte=at)
    point = points.first() or restore_points(found).last()
    if point is None:
        return redirect("restore-subclient", server, name)
    if at is not None and point.taken_at > at:
        messages.info(request, "There is no point so early; this is the first.")
    path = asked_path(request) or first_folder(point)
    return redirect(f"{reverse('browse', args=(point.pk,))}{query_of_path(path)}{kept(request.GET)}")


def _status(error: EngineError | None) -> int:
    return 200 if error is None else 404 if error.code == "not-in-copy" else 503


def _from_catalog(request: HttpRequest, point: Snapshot, path: bytes, wish: Wish) -> dict[str, Any]:
    """The page's part that the catalog knows; ``error`` when the folder was not there at this moment."""
    folder = folder_at(point.subclient_id, path, point.taken_at)
    if folder is None:
        return {
            "error": NotInCopy(f"There is no folder {display(path)} at this time.", hint="Choose another, or go up.")
        }
    last_seen = _last_seen(point)
    if folder.gone_at is not None:
        sentence = f"The folder {display(path)} was no longer there at this time."
        found = {"last_seen": last_seen(path, folder.gone_at), "gone_at": folder.gone_at}
        if not wish.with_gone:
            return found | {"error": NotInCopy(sentence, hint="It was there earlier.")}
    else:
        found = {}
    question = Question(
        folder_id=folder.id,
        at=point.taken_at,
        order=wish.order,
        text=wish.text,
        with_gone=wish.with_gone,
        limit=PAGE,
    )
    after, before = (Key.parse(request.GET.get(name, "")) for name in ("after", "before"))
    page = entries(question, after=after, before=before)
    rows = catalog_listing(path, page, versions_url=_versions_url(point), last_seen_url=last_seen)
    return {**found, "folder": folder, "listing": rows}


def _volumes(point: Snapshot) -> list[dict[str, str]]:
    """What can be named of a dump before it is catalogued."""
    paths = [os.fsencode(path) for path in point.content]
    return [{"name": display(path), "query": query_of_path(path)} for path in paths]


def _headings(wish: Wish, query: QueryDict) -> list[dict[str, str]]:
    """The columns that sort; a second click turns the order round. Sizes and times begin with the largest."""
    found = []
    for heading in _PLAIN_HEADINGS:
        column = heading["column"]
        first, second = (column, f"-{column}") if column == "name" else (f"-{column}", column)
        changed = query.copy()
        changed["sort"] = second if wish.sort == first else first
        is_sorted = wish.order.sort == column
        direction = ("descending" if wish.order.is_descending else "ascending") if is_sorted else ""
        narrowed = f"&{urlencode({'name': wish.text})}" if wish.text else ""
        found.append(heading | {"query": kept(changed) + narrowed, "direction": direction})
    return found


def _last_seen(point: Snapshot) -> Callable[[bytes, datetime], str]:
    """The address of a folder as it was just before it, or something in it, went."""
    subclient = point.subclient
    address = reverse("browse-at", args=(subclient.file_server.name, subclient.name))

    def url(path: bytes, gone_at: datetime) -> str:
        return f"{address}{query_of_path(path)}&{urlencode({'before': gone_at.isoformat()})}"

    return url


def _versions_url(point: Snapshot) -> Callable[[bytes], str]:
    """The address of all versions of a path."""
    subclient = point.subclient
    try:
        address = reverse("restore-versions", args=(subclient.file_server.name, subclient.name))
    except NoReverseMatch:
        return lambda _path: ""
    return lambda path: f"{address}{query_of_path(path)}"


def first_folder(point: Snapshot) -> bytes:
    """Where a person begins: the content path, or the folder all of them lie in."""
    paths = [os.fsencode(path) for path in point.content]
    return (paths[0] if len(paths) == 1 else common_folder(paths)) if paths else b"/"


def _moment(text: str) -> datetime | None:
    """None for what is no time. One without a zone is the reader's, and stands for the whole of its minute."""
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    if found is None or timezone.is_aware(found):
        return found
    return timezone.make_aware(found) + timedelta(seconds=59, microseconds=999_999)
