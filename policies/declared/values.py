"""One value of the file: its YAML node to plain data, or a problem at its line."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Final

import yaml

from policies.declared.problems import Problem
from policies.declared.schema import PERIODS, PICKS, Key, Shape

_STR: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_BOOL: Final = "tag:yaml.org,2002:bool"
_INT: Final = re.compile(r"[+-]?[0-9]{1,18}\Z")
_TIME: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\Z")
_TRUE: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_RETENTIONS: Final = ({"days", "cycles"}, {"days"}, {"count"})
_REFERENCES: Final = {"file", "env", "keep"}
MOST_PROBLEMS: Final = 50


class ValueReader:
    """Collects problems; what it returns after one is of no use."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def note(self, node: yaml.Node, path: str, sentence: str, remedy: str = "") -> None:
        if len(self.problems) < MOST_PROBLEMS:
            line = int(node.start_mark.line) + 1
            self.problems.append(Problem(line=line, path=path, sentence=sentence, remedy=remedy))

    def items(self, node: yaml.Node, path: str) -> list[yaml.Node]:
        """The members of a list; an empty value is an empty list."""
        if isinstance(node, yaml.ScalarNode) and node.tag == _NULL:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.note(node, path, "Here belongs a list.", "Begin each line with a hyphen.")
            return []
        return list(node.value)

    def value(self, key: Key, node: yaml.Node, path: str) -> Any:
        """Plain data of the key's shape."""
        if key.may_be_null and isinstance(node, yaml.ScalarNode) and node.tag == _NULL:
            return None
        match key.shape:
            case Shape.NAMES | Shape.WORDS:
                words = [self._text(item, path) for item in self.items(node, path)]
                return [self._word(key, word, node, path) for word in words] if key.shape is Shape.WORDS else words
            case Shape.OPTIONS:
                return self._options(node, path)
            case Shape.SECRETS:
                return self._secrets(node, path)
            case Shape.RETENTION:
                return self._retention(node, path)
            case Shape.EXTENDED:
                return [self._extended(item, f"{path}[{number}]") for number, item in enumerate(self.items(node, path))]
            case _:
                return self._scalar(key, node, path)

    def _scalar(self, key: Key, node: yaml.Node, path: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self.note(node, path, f"Here belongs {key.shape}.")
            return None
        match key.shape:
            case Shape.FLAG:
                return self._flag(node, path)
            case Shape.NUMBER:
                return self._number(node, path, key.least, key.most)
            case Shape.DATE:
                return self._date(node, path)
            case Shape.TIME:
                return self._time(node, path)
            case Shape.CHOICE:
                return self._word(key, str(node.value), node, path)
            case _:
                return self._text(node, path)

    def _text(self, node: yaml.Node, path: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.note(node, path, "Here belongs a text.")
            return ""
        if node.tag == _NULL:
            return ""
        if node.tag != _STR:
            self.note(node, path, f"YAML does not read {node.value} as a text.", f'Write it in quotes: "{node.value}".')
        return str(node.value)

    def _word(self, key: Key, word: str, node: yaml.Node, path: str) -> str:
        if word not in key.choices:
            self.note(node, path, f"“{word}” is not known here.", f"One of: {', '.join(key.choices)}.")
        return word

    def _flag(self, node: yaml.ScalarNode, path: str) -> bool:
        if node.tag != _BOOL:
            self.note(node, path, "Here belongs true or false.")
        return _TRUE.get(str(node.value).lower(), False)

    def _number(self, node: yaml.Node, path: str, least: int, most: int) -> int:
        text = str(node.value)
        if not isinstance(node, yaml.ScalarNode) or not _INT.match(text):
            self.note(node, path, "Here belongs a whole number.")
            return least
        number = int(text)
        if not least <= number <= most:
            self.note(node, path, f"{number} is out of range.", f"From {least} to {most}.")
        return number

    def _date(self, node: yaml.ScalarNode, path: str) -> str:
        try:
            return date.fromisoformat(str(node.value)).isoformat()
        except ValueError:
            self.note(node, path, f"“{node.value}” is not a day.", "Write it like 2026-01-31.")
            return ""

    def _time(self, node: yaml.ScalarNode, path: str) -> str:
        found = _TIME.match(str(node.value))
        if not found:
            self.note(node, path, f"“{node.value}” is not a time.", 'Write it like "22:00".')
            return ""
        return f"{int(found[1]):02}:{found[2]}"

    def _mapping(self, node: yaml.Node, path: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self.note(node, path, "Here belongs a mapping of keys and values.")
            return {}
        return {str(key.value): value for key, value in node.value if isinstance(key, yaml.ScalarNode)}

    def _options(self, node: yaml.Node, path: str) -> dict[str, Any]:
        """Texts, numbers, flags and lists of texts; the driver checks them further."""
        options: dict[str, Any] = {}
        for name, value in self._mapping(node, path).items():
            if isinstance(value, yaml.SequenceNode):
                options[name] = [self._text(item, f"{path}.{name}") for item in value.value]
            elif isinstance(value, yaml.ScalarNode):
                options[name] = self._option(value)
            else:
                self.note(value, f"{path}.{name}", "A setting is a text, a number, a flag or a list of texts.")
        return options

    @staticmethod
    def _option(node: yaml.ScalarNode) -> Any:
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL:
            return _TRUE[node.value.lower()]
        if node.tag == "tag:yaml.org,2002:int" and _INT.match(node.value):
            return int(node.value)
        return str(node.value)

    def _secrets(self, node: yaml.Node, path: str) -> dict[str, dict[str, Any]]:
        """Only references: the text of a secret never stands in the file."""
        secrets: dict[str, dict[str, Any]] = {}
        for name, value in self._mapping(node, path).items():
            where = f"{path}.{name}"
            if not isinstance(value, yaml.MappingNode):
                remedy = "Write {file: /path/to/it} or {env: NAME_OF_A_VARIABLE}."
                self.note(value, where, "A secret stands here only as a reference.", remedy)
                continue
            given = self._mapping(value, where)
            if not set(given) <= _REFERENCES or len(set(given) & {"file", "env"}) != 1:
                self.note(value, where, "A reference is {file: /path} or {env: NAME}, with keep: true if you like.")
                continue
            reference: dict[str, Any] = {kind: self._text(given[kind], where) for kind in set(given) & {"file", "env"}}
            if "keep" in given and isinstance(given["keep"], yaml.ScalarNode):
                reference["keep"] = self._flag(given["keep"], where)
            secrets[name] = reference
        return secrets

    def _retention(self, node: yaml.Node, path: str) -> str | dict[str, int]:
        remedy = "Write infinite, spool, {days: 30, cycles: 1}, {days: 7} or {count: 10}."
        if isinstance(node, yaml.ScalarNode) and node.value in {"infinite", "spool"}:
            return str(node.value)
        if not isinstance(node, yaml.MappingNode) or set(given := self._mapping(node, path)) not in _RETENTIONS:
            self.note(node, path, "This is no retention.", remedy)
            return "infinite"
        return {name: self._number(value, f"{path}.{name}", 0, 100_000) for name, value in given.items()}

    def _extended(self, node: yaml.Node, path: str) -> dict[str, Any]:
        given = self._mapping(node, path)
        if not set(given) <= {"period", "pick", "days"} or "period" not in given:
            self.note(node, path, "This is no extended rule.", "Write {period: month, pick: last, days: 365}.")
            return {}
        period, pick = str(given["period"].value), str(given["pick"].value) if "pick" in given else PICKS[0]
        if period not in PERIODS or pick not in PICKS:
            self.note(
                node, path, "This is no extended rule.", f"Period: {', '.join(PERIODS)}. Pick: {', '.join(PICKS)}."
            )
        days = given.get("days")
        is_infinite = days is None or (isinstance(days, yaml.ScalarNode) and days.tag == _NULL)
        return {
            "period": period,
            "pick": pick,
            "days": None if is_infinite or days is None else self._number(days, f"{path}.days", 1, 100_000),
        }
