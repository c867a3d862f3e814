"""Names of the file to rows; a name that nothing has is a fault of the entry that uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from policies.models import AccessNode, Copy, FileServer, Media, StoragePolicy, Subclient

Row = TypeVar("Row", bound=Model)


def node_rows(names: Sequence[str], *, key: str) -> list[AccessNode]:
    rows = {node.name: node for node in AccessNode.objects.filter(name__in=names)}
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise _unknown(key, "access node", ", ".join(unknown), "Declare it under access_nodes, or start its worker.")
    return [rows[name] for name in names]


def policy_row(name: str | None, *, key: str) -> StoragePolicy | None:
    return _one(StoragePolicy.objects.all(), name, key=key, what="storage policy", name_of={"name": name})


def server_row(name: str | None, *, key: str) -> FileServer | None:
    return _one(FileServer.objects.all(), name, key=key, what="file server", name_of={"name": name})


def medium_row(name: str | None, *, key: str) -> Media | None:
    return _one(Media.objects.all(), name, key=key, what="medium", name_of={"name": name})


def subclient_row(path: str | None, *, key: str) -> Subclient | None:
    """``SERVER/SUBCLIENT``."""
    server, _, name = (path or "").partition("/")
    rows = Subclient.objects.select_related("file_server", "policy")
    return _one(rows, path, key=key, what="subclient", name_of={"file_server__name": server, "name": name})


def copy_row(path: str | None, *, key: str) -> Copy | None:
    """``POLICY/COPY``."""
    policy, _, name = (path or "").partition("/")
    rows = Copy.objects.select_related("policy")
    return _one(rows, path, key=key, what="copy", name_of={"policy__name": policy, "name": name})


def _one(rows: QuerySet[Row], name: str | None, *, key: str, what: str, name_of: dict[str, Any]) -> Row | None:
    if name is None:
        return None
    found = rows.filter(**name_of).first()
    if found is None:
        raise _unknown(key, what, name, "Declare it in the file, or correct the name.")
    return found


def _unknown(key: str, what: str, name: str, remedy: str) -> ValidationError:
    return ValidationError({key: [f"There is no {what} {name}. {remedy}"]})
