"""Keyset paging by id: ``?before=123`` shows what is older, ``?after=123`` what is newer."""

from __future__ import annotations

from django.http import HttpRequest, QueryDict

_LARGEST_KEY = 2**63 - 1


def key_of(request: HttpRequest, name: str) -> int | None:
    """The id in the query, None if there is none or it is no id."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _LARGEST_KEY else None


def link(query: QueryDict, **values: int | str | None) -> str:
    """The address of another page of the same list: ``?…`` with the filters kept and ``values`` put in; None drops."""
    changed = query.copy()
    for name in ("before", "after"):
        changed.pop(name, None)
    for name, value in values.items():
        changed.pop(name, None)
        if value is not None:
            changed[name] = str(value)
    return f"?{changed.urlencode()}"
