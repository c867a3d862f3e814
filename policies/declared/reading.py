"""YAML to checked entries. Every fault is found at once, each with its line, its path and the remedy.

Only plain data is read: PyYAML's safe loader, which builds no objects. Names of other objects are not looked up here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from policies.declared.problems import DeclaredRefused, Problem
from policies.declared.schema import COPIES, SECTIONS, SETTINGS, VERSION, Section, Shape
from policies.declared.values import ValueReader

MOST_CHARACTERS: Final = 5_000_000
ABSENT: Final = "absent"
STATE: Final = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One object as the file wants it. ``values`` holds only what was given; ``copies`` are entries themselves.

    ``lines``: where each key stands.
    """

    section: Section
    name: str
    path: str
    line: int
    values: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)
    is_absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    settings: Entry | None = None
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    """By the section's name, in the order of the file."""


def read(text: str) -> Declared:
    """Raises DeclaredRefused with everything that is wrong."""
    if len(text) > MOST_CHARACTERS:
        raise DeclaredRefused([Problem(line=0, path="", sentence="The file is too long.", remedy="Split it.")])
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError as error:
        raise DeclaredRefused([Problem(line=0, path="", sentence="This is nested too deeply.")]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        line = mark.line + 1 if mark else 0
        raise DeclaredRefused([Problem(line=line, path="", sentence=f"This is not YAML: {what}.")]) from error
    if root is None:
        return Declared()
    reader = _Reader()
    declared = reader.file(root)
    if reader.problems:
        raise DeclaredRefused(sorted(reader.problems, key=lambda problem: problem.line))
    return declared


class _Reader(ValueReader):
    """Walks the tree once and notes what is wrong."""

    def file(self, root: yaml.Node) -> Declared:
        sections = {section.name: section for section in SECTIONS}
        known = ["version", SETTINGS.name, *sections]
        settings, entries = None, {}
        for name, key, value in self.pairs(root, "", known):
            if name == "version":
                self._version(value)
            elif name == SETTINGS.name:
                values = self._values(SETTINGS, value, name)
                settings = Entry(section=SETTINGS, name="", path=name, line=line_of(key), values=values)
            else:
                entries[name] = self._entries(sections[name], value, name)
        return Declared(settings=settings, entries=entries)

    def pairs(self, node: yaml.Node, path: str, known: list[str]) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """The keys of a mapping that are known, each once; the others are problems."""
        if not isinstance(node, yaml.MappingNode):
            self.note(node, path, "Here belongs a mapping of keys and values.")
            return
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            where = f"{path}.{name}" if path else name
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                remedy = f"Did you mean “{near[0]}”?" if near else f"Known: {', '.join(known)}."
                self.note(key, where, f"There is no key “{name}” here.", remedy)
            elif name in seen:
                self.note(key, where, "This key stands here twice.", "Keep one of them.")
            else:
                seen.add(name)
                yield name, key, value

    def _version(self, node: yaml.Node) -> None:
        if not isinstance(node, yaml.ScalarNode) or node.value != str(VERSION):
            self.note(node, "version", "This version of the format is not known.", f"Write {VERSION}.")

    def _entries(self, section: Section, node: yaml.Node, path: str) -> list[Entry]:
        found: list[Entry] = []
        for number, item in enumerate(self.items(node, path)):
            entry = self._entry(section, item, f"{path}[{number}]", path)
            if entry is None:
                continue
            if any(other.name == entry.name for other in found):
                self.note(item, entry.path, "This object stands in the file twice.", "Keep one of them.")
            found.append(entry)
        return found

    def _entry(self, section: Section, node: yaml.Node, place: str, path: str) -> Entry | None:
        known = [key.name for key in section.keys] + [STATE]
        if not isinstance(node, yaml.MappingNode):
            self.note(node, place, f"Here belongs a {section.singular}: a mapping with {', '.join(section.identity)}.")
            return None
        names = {key.value: value.value for key, value in node.value if key.value in section.identity}
        name = "/".join(str(names.get(part, "")) for part in section.identity)
        missing = [part for part in section.identity if not names.get(part)]
        if missing:
            self.note(node, place, f"A {section.singular} needs its {' and '.join(missing)}.")
            return None
        here = f"{path}[{name}]"
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        is_absent = False
        for key_name, key, value in self.pairs(node, here, known):
            lines[key_name] = line_of(key)
            if key_name == STATE:
                is_absent = value.value == ABSENT
                if value.value not in {ABSENT, "present"}:
                    self.note(value, f"{here}.state", "The state is present or absent.")
            else:
                values |= self._value(section, key_name, value, here)
        return Entry(
            section=section,
            name=name,
            path=here,
            line=line_of(node),
            values=values,
            lines=lines,
            is_absent=is_absent,
        )

    def _values(self, section: Section, node: yaml.Node, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, _key, value in self.pairs(node, path, [key.name for key in section.keys]):
            values |= self._value(section, name, value, path)
        return values

    def _value(self, section: Section, name: str, node: yaml.Node, path: str) -> dict[str, Any]:
        key = section.key(name)
        assert key is not None, "only known keys get here"  # noqa: S101
        where = f"{path}.{name}"
        if key.shape is Shape.COPIES:
            return {name: self._entries(COPIES, node, where)}
        before = len(self.problems)
        value = self.value(key, node, where)
        return {name: value} if len(self.problems) == before else {}


def line_of(node: yaml.Node) -> int:
    """From 1."""
    return int(node.start_mark.line) + 1
