"""What is asked of the catalog, how often, and how long the answers took."""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs.catalog.browsing import Order, Question, Sort, entries, folder_at
from jobs.catalog.names import to_bytes
from jobs.models import Snapshot
from jobs.views.stored_paths import query_of_path
from snapcopy_site.lib.roles import Role
from tests.factories import make_user

from .catalog_restic import beside_restic
from .catalog_rows import make, moments
from .catalog_searches import searches

_SEED: Final = 7
_BROWSE_MS: Final = 50
_SEARCH_MS: Final = 100
"""What nineteen of twenty are to take at most."""
Ask = Callable[[], object]
"""One question; what it returns is thrown away."""


@dataclass(slots=True, kw_only=True)
class Kind:
    """Questions of one kind, with what each took in milliseconds."""

    name: str
    questions: Iterator[Ask]
    target_ms: int = _BROWSE_MS
    took: list[float] = field(default_factory=list)
    slowest: Ask | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of the catalog."""

    id: int
    subclient: int
    path: bytes


def run(arguments: argparse.Namespace, *, tell: Callable[[str], None]) -> None:
    """Make the rows, ask, print the table."""
    begun = time.monotonic()
    make(arguments.rows, seed=_SEED, tell=tell)
    tell(f"ready after {time.monotonic() - begun:.0f} s")
    source = random.Random(_SEED)
    kinds = [kind for kind in _kinds(arguments.times, source) if arguments.only in kind.name]
    for kind in kinds:
        load = os.getloadavg()[0]
        _measure(kind, arguments.times)
        tell(f"{_line(kind)} load {load:.1f}")
    print(_table(kinds))
    if arguments.restic:
        print("\n".join(beside_restic(arguments.restic, Path(os.environ["SNAPCOPY_HOME"]), tell=tell)))
    if arguments.explain:
        for kind in kinds:
            _explain(kind)


def _measure(kind: Kind, times: int) -> None:
    worst = 0.0
    for number, ask in zip(range(times), kind.questions, strict=False):
        begun = time.perf_counter()
        ask()
        took = (time.perf_counter() - begun) * 1000
        kind.took.append(took)
        if took > worst and number:
            worst, kind.slowest = took, ask


def _kinds(times: int, source: random.Random) -> list[Kind]:
    some, weighted, large = (_places(which, times) for which in ("some", "weighted", "large"))
    found = []
    for title, places in (("any folder", some), ("folder of any file", weighted), ("largest folders", large)):
        for sort in Sort:
            for is_descending in (False, True):
                order = Order(sort=sort, is_descending=is_descending)
                name = f"browse, {title}, by {sort.value}{' downwards' if is_descending else ''}"
                found.append(Kind(name=name, questions=_browsing(places, source, order=order)))
        deleted = _browsing(places, source, order=Order(), with_gone=True)
        found.append(Kind(name=f"browse, {title}, with deleted", questions=deleted))
        second = _browsing(places, source, order=Order(), pages=2)
        found.append(Kind(name=f"browse, {title}, first and second page", questions=second))
        narrowed = _browsing(places, source, order=Order(), text="voice-ma")
        found.append(Kind(name=f"browse, {title}, by a part of the name", questions=narrowed))
        found.append(Kind(name=f"whole page, {title}", questions=_pages(places, source)))
    for title, questions in searches(source).items():
        found.append(Kind(name=f"search, {title}", questions=questions, target_ms=_SEARCH_MS))
    return found


def _places(which: str, times: int) -> list[Place]:
    order = {
        "some": "md5(plan.folder_id::text)",
        "weighted": "-ln(1.0 - (('x' || substr(md5(plan.folder_id::text), 1, 7))::bit(28)::int / 268435456.0))"
        " / greatest(plan.files, 0.0001)",
        "large": "plan.is_large DESC, md5(plan.folder_id::text)",
    }[which]
    limit = 5 if which == "large" else times
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT folder.id, folder.subclient_id, folder.path FROM bench_plan plan"
            f" JOIN jobs_catalogfolder folder ON folder.id = plan.folder_id ORDER BY {order} LIMIT %s",
            [limit],
        )
        return [Place(number, subclient, to_bytes(path)) for number, subclient, path in cursor.fetchall()]


def _browsing(
    places: Sequence[Place], source: random.Random, *, order: Order, pages: int = 1, **given: Any
) -> Iterator[Ask]:
    """A folder by its path, and a page of it, at any moment."""
    known = moments()
    while True:
        for place in places:
            at = source.choice(known)

            def ask(place: Place = place, at: Any = at) -> None:
                folder = folder_at(place.subclient, place.path, at)
                if folder is None:
                    return
                question = Question(folder_id=folder.id, at=at, order=order, **given)
                page = entries(question)
                for _ in range(pages - 1):
                    page = entries(question, after=page.after)

            yield ask


def _pages(places: Sequence[Place], source: random.Random) -> Iterator[Ask]:
    """The page of the restore browser, as a signed-in operator sees it."""
    settings.ALLOWED_HOSTS = ["testserver"]
    client = Client()
    client.force_login(_operator())
    points: dict[int, list[int]] = {}
    for subclient, pk in Snapshot.objects.values_list("subclient", "pk"):
        points.setdefault(subclient, []).append(pk)
    while True:
        for place in places:
            url = reverse("browse", args=(source.choice(points[place.subclient]),)) + query_of_path(place.path)

            def ask(url: str = url) -> None:
                answer = client.get(url)
                if answer.status_code not in (200, 404):
                    raise AssertionError(f"{url}: {answer.status_code}")

            yield ask


def _operator() -> User:
    return User.objects.filter(username="bench").first() or make_user(Role.OPERATOR, username="bench")


def _table(kinds: Sequence[Kind]) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM jobs_catalogversion")
        (rows,) = cursor.fetchone() or (0,)
        cursor.execute("SELECT pg_size_pretty(pg_total_relation_size('jobs_catalogversion'))")
        (size,) = cursor.fetchone() or ("",)
    lines = [
        f"{rows:,} versions of paths, {size}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; milliseconds\n",
        "| what | p50 | p95 | largest | of |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_line(kind) for kind in kinds)])


def _line(kind: Kind) -> str:
    took = sorted(kind.took)
    p95 = took[min(len(took) - 1, int(len(took) * 0.95))]
    mark = "" if p95 <= kind.target_ms else " (!)"
    return f"| {kind.name} | {statistics.median(took):.1f} | {p95:.1f}{mark} | {took[-1]:.1f} | {len(took)} |"


def _explain(kind: Kind) -> None:
    """The plans of the slowest question, as it is asked again."""
    if kind.slowest is None:
        return
    with CaptureQueriesContext(connection) as captured:
        kind.slowest()
    print(f"\n## {kind.name}")
    with connection.cursor() as cursor:
        for query in captured.captured_queries:
            if "jobs_catalogversion" in query["sql"]:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {query['sql']}")
                print("\n".join(line for (line,) in cursor.fetchall()), "\n")
