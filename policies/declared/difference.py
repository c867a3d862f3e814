"""Two pictures compared: which objects come, go and change, and which of their keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from policies.declared.schema import COPIES, SECTIONS, Section
from policies.previews import Deletion

_DELETIONS_SHOWN: Final = 20


class Action(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """``fields`` maps a key to ``[before, after]``; a new or deleted object shows none.

    ``deletions``: snapshots and backup copies that the next aging would delete because of it (RULES R9).
    """

    action: Action
    kind: str
    name: str
    fields: dict[str, list[Any]] = field(default_factory=dict)
    deletions: list[Deletion] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people: a sign, the object, and a line for each key."""
        sign = {Action.CREATE: "+", Action.CHANGE: "~", Action.DELETE: "-"}[self.action]
        shown = [f"{sign} {self.kind} {self.name}".rstrip()]
        shown += [f"    {key}: {_shown(old)} -> {_shown(new)}" for key, (old, new) in self.fields.items()]
        shown += [f"    deletes {one.kind} {one.label}: {one.reason}" for one in self.deletions[:_DELETIONS_SHOWN]]
        left = len(self.deletions) - _DELETIONS_SHOWN
        return [*shown, f"    deletes {left} more"] if left > 0 else shown

    def as_plain(self) -> dict[str, Any]:
        plain = {"action": self.action.value, "kind": self.kind, "name": self.name, "fields": self.fields}
        deletions = [
            {
                "kind": one.kind,
                "label": one.label,
                "at": one.at.isoformat() if one.at else None,
                "reason": one.reason,
            }
            for one in self.deletions
        ]
        return plain | {"deletions": deletions}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """In the order of the sections."""
    found = []
    settings = _fields(before["settings"], after["settings"])
    if settings:
        found.append(Change(action=Action.CHANGE, kind="settings", name="", fields=settings))
    for section in SECTIONS:
        found += _of_section(section, before[section.name], after[section.name], prefix="")
    return found


def _of_section(section: Section, before: list[Any], after: list[Any], *, prefix: str) -> Iterator[Change]:
    old, new = _by_name(section, before, prefix), _by_name(section, after, prefix)
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield Change(action=Action.DELETE, kind=section.singular, name=name)
            continue
        if name not in old:
            yield Change(action=Action.CREATE, kind=section.singular, name=name)
        elif fields := _fields(old[name], new[name]):
            yield Change(action=Action.CHANGE, kind=section.singular, name=name, fields=fields)
        copies = old.get(name, {}).get(COPIES.name, []), new[name].get(COPIES.name, [])
        yield from _of_section(COPIES, *copies, prefix=f"{name}/")


def _by_name(section: Section, items: list[Any], prefix: str) -> dict[str, dict[str, Any]]:
    return {prefix + "/".join(item[part] for part in section.identity): item for item in items}


def _fields(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    """Keys that differ; settings of a driver one by one; copies only by their order."""
    flat_old, flat_new = _flat(old), _flat(new)
    return {
        key: [flat_old.get(key), flat_new.get(key)]
        for key in [*flat_old, *(key for key in flat_new if key not in flat_old)]
        if flat_old.get(key) != flat_new.get(key)
    }


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if key == COPIES.name:
            flat["order of copies"] = [copy["name"] for copy in value]
        elif key in {"options", "secrets"}:
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def _shown(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case list():
            return "[" + ", ".join(map(_shown, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{key}: {_shown(inner)}" for key, inner in value.items()) + "}"
        case "":
            return "empty"
        case _:
            return str(value)
