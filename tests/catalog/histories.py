"""Small trees and their histories for tests: what the catalog must answer, computed from the trees themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from jobs.catalog.names import to_bytes
from jobs.engine.operations.catalog import Change, Found, Gone
from jobs.models import CatalogVersion


@dataclass(frozen=True, slots=True)
class File:
    size: int


Tree = Mapping[bytes, "File | Tree"]
"""By name. Paths below ``/srv/data`` in every test."""

ROOT = b"/srv/data"
ONE_DATABASE = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
"""For properties over the database: its fixture is the same for all examples, and each empties the catalog."""
NAMES = st.sampled_from([b"a", b"b", b"c\xff"])
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.dictionaries(NAMES, st.builds(File, st.integers(0, 3)), max_size=3),
    lambda below: st.dictionaries(NAMES, st.builds(File, st.integers(0, 3)) | below, max_size=3),
    max_leaves=8,
)


def moment(number: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)


def listing(tree: Tree) -> list[Change]:
    """Everything, as an engine tells it."""
    chain = [Found(b"/", b"srv", "d", 0, 0, 0, 0, 0, "", "", b""), _found(b"/srv", b"data", tree)]
    return [*chain, *_below(ROOT, tree)]


def changes(old: Tree, new: Tree) -> list[Change]:
    """What changed, as an engine tells it."""
    return list(_changes(ROOT, old, new))


def expected(tree: Tree) -> dict[bytes, tuple[str, int, int]]:
    """By path: kind, bytes and files, of all below for folders."""
    size, files = _total(tree)
    found = {b"/srv": ("d", size, files), ROOT: ("d", size, files)}
    return found | dict(_expected(ROOT, tree))


def found_at(subclient_id: int, at: datetime) -> dict[bytes, tuple[str, int, int]]:
    """The same, from the tables."""
    covers = Q(until_at__isnull=True) | Q(until_at__gt=at)
    rows = CatalogVersion.objects.filter(covers, first_at__lte=at, folder__subclient=subclient_id)
    values = list(rows.values_list("folder__path", "name", "kind", "size", "files"))
    found = {
        to_bytes(f"{folder.rstrip('/')}/{name}"): (kind, size, files) for folder, name, kind, size, files in values
    }
    assert len(found) == len(values), "a path has two versions at one moment"
    return found


def all_rows(subclient_id: int) -> list[tuple[Any, ...]]:
    """Everything the catalog keeps of a subclient, without the numbers of rows."""
    rows = CatalogVersion.objects.filter(subclient=subclient_id, folder__subclient=subclient_id)
    columns = ("folder__path", "name", "kind", "size", "files", "mtime_ns", "mode", "owner__uid", "link_target")
    return sorted(rows.values_list(*columns, "first_at", "until_at"), key=str)


def _found(folder: bytes, name: bytes, node: File | Tree) -> Found:
    if isinstance(node, File):
        return Found(folder, name, "f", node.size, node.size * 1000, 0o644, 0, 0, "root", "root", b"")
    return Found(folder, name, "d", 0, 5, 0o755, 0, 0, "root", "root", b"")


def _below(folder: bytes, tree: Tree) -> Iterator[Change]:
    for name, node in tree.items():
        yield _found(folder, name, node)
        if not isinstance(node, File):
            yield from _below(folder + b"/" + name, node)


def _changes(folder: bytes, old: Tree, new: Tree) -> Iterator[Change]:
    yield from (Gone(folder, name) for name in old.keys() - new.keys())
    for name, node in new.items():
        before, path = old.get(name), folder + b"/" + name
        if before == node:
            continue
        if before is not None and not isinstance(before, File) and not isinstance(node, File):
            yield from _changes(path, before, node)
            continue
        if before is not None:
            yield Gone(folder, name)
        yield _found(folder, name, node)
        if not isinstance(node, File):
            yield from _below(path, node)


def _total(tree: Tree) -> tuple[int, int]:
    parts = [(node.size, 1) if isinstance(node, File) else _total(node) for node in tree.values()]
    return sum(size for size, _ in parts), sum(files for _, files in parts)


def _expected(folder: bytes, tree: Tree) -> Iterator[tuple[bytes, tuple[str, int, int]]]:
    for name, node in tree.items():
        path = folder + b"/" + name
        if isinstance(node, File):
            yield path, ("f", node.size, 0)
        else:
            yield path, ("d", *_total(node))
            yield from _expected(path, node)
