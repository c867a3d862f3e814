"""Records of the REST interface: filtering, fields and pages, as ONTAP describes them for every collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .https_server import Answer, Request
from .ontap_state import Json


def page_of(request: Request, records: list[Json], *, most: int) -> Answer:
    """Filtered, cut to the fields asked for, and in pages (``_links.next``)."""
    query = dict(request.query)
    start = int(query.pop("start.index", "0"))
    most = min(int(query.pop("max_records", most)), most)
    fields = query.pop("fields", "")
    found = [one for one in records if all(matches(value_at(one, name), wanted) for name, wanted in query.items())]
    shown = [cut(one, fields.split(",")) for one in found[start : start + most]]
    body: Json = {"records": shown, "num_records": len(shown)}
    if start + most < len(found):
        following = "&".join(f"{name}={value}" for name, value in request.query.items() if name != "start.index")
        body["_links"] = {"next": {"href": f"{request.path}?start.index={start + most}&{following}"}}
    return Answer(body=body)


def value_at(record: Mapping[str, Any], name: str) -> Any:
    value: Any = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def matches(value: Any, wanted: str) -> bool:
    """“Record filtering”: ``*`` stands for anything, ``|`` for or."""
    text = str(value).lower() if isinstance(value, bool) else str(value or "")
    patterns = (".*".join(map(re.escape, one.split("*"))) for one in wanted.split("|"))
    return any(re.fullmatch(one, text) for one in patterns)


def cut(record: Json, fields: list[str]) -> Json:
    kept: Json = {name: record[name] for name in ("uuid", "name", "_links") if name in record}
    for path in fields:
        value = value_at(record, path)
        if value is None:
            continue
        place = kept
        *above, last = path.split(".")
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return kept


def only(record: Json, request: Request, *, keep: tuple[str, ...]) -> Json:
    asked = request.query.get("fields", "").split(",")
    return {name: value for name, value in record.items() if name in asked or name in keep}
