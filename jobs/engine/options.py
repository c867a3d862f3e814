"""Settings of drivers as frozen dataclasses: what a form needs to know about them, and JSON into a checked value.

A driver declares a frozen, keyword-only ``Options`` dataclass in its own file. Each field is one of ``str``, ``int``,
``bool``, :class:`pathlib.Path` (absolute), a ``StrEnum``, ``tuple[str, ...]`` or :class:`~jobs.engine.plan.Secret`,
or one of these ``| None``. ``metadata`` may hold ``label``, ``help``, ``unit`` ("bytes"), ``minimum``, ``maximum``,
``choice_labels``, ``conditional`` (needed or not by other options), ``command`` (a command line) and, for secrets of
several lines such as private keys, ``multiline``. A rule over several fields belongs in ``__post_init__`` and raises
:class:`~jobs.engine.errors.InvalidOptions` naming a field.

Forms, encryption and storage of secrets live elsewhere: here a secret comes in as a Secret and never goes out.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from .errors import InvalidOptions
from .plan import Secret

OptionsType = TypeVar("OptionsType")

_UNITS: Final = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_SIZE: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgtp]?)(?:i?b)?|b)\s*\Z", re.IGNORECASE)


class FieldType(StrEnum):
    """What kind of input a form shows."""

    TEXT = "text"
    LINES = "lines"
    PATH = "path"
    INTEGER = "integer"
    BYTES = "bytes"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    SECRET = "secret"  # noqa: S105


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One option as a form shows it. ``default`` is JSON-compatible; None also when there is none.

    ``choices`` are (value, label). ``minimum`` and ``maximum`` are inclusive, None = open. ``is_multiline``: a secret
    of several lines. ``is_conditional``: other options decide whether it is needed. ``is_command``: a command line that
    an access node runs.
    """

    name: str
    type: FieldType
    label: str
    help: str = ""
    default: object = None
    required: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    is_multiline: bool = False
    is_conditional: bool = False
    is_command: bool = False

    @property
    def secret(self) -> bool:
        return self.type is FieldType.SECRET


@cache
def field_specs(options: type) -> tuple[FieldSpec, ...]:
    """The options of a driver, in the order declared."""
    return tuple(_spec(field, kind, optional) for field, kind, optional in _fields(options))


def parse_options(
    options: type[OptionsType], values: Mapping[str, object], secrets: Mapping[str, Secret] | None = None
) -> OptionsType:
    """Check a JSON object and build the driver's options. Absent keys take their defaults.

    Raises InvalidOptions, naming the first field that is wrong; :func:`option_problems` gives all of them.
    """
    parsed, problems = _parse(options, values, secrets or {})
    if problems:
        raise problems[0]
    return options(**parsed)


def option_problems(
    options: type, values: Mapping[str, object], secrets: Mapping[str, Secret] | None = None
) -> tuple[InvalidOptions, ...]:
    """Everything that is wrong with a JSON object, for a form; empty when it can be used."""
    parsed, problems = _parse(options, values, secrets or {})
    if not problems:
        try:
            options(**parsed)
        except InvalidOptions as problem:
            problems.append(problem)
    return tuple(problems)


def dump_options(options: object) -> dict[str, object]:
    """The JSON object :func:`parse_options` reads back, without secrets."""
    result: dict[str, object] = {}
    for field, kind, _optional in _fields(type(options)):
        if kind is not Secret:
            result[field.name] = _as_json(getattr(options, field.name))
    return result


def parse_bytes(text: str) -> int:
    """“10 GiB”, “512M”, “4096” to bytes; units are powers of 1024. Raises ValueError."""
    match = _SIZE.match(text)
    if match is None:
        raise ValueError(text)
    unit = _UNITS[(match[2] or "").lower()]
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def _fields(options: type) -> Iterator[tuple[dataclasses.Field[Any], Any, bool]]:
    """(field, type without ``| None``, whether None is allowed)."""
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        hint = hints[field.name]
        if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
            (kind,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
            yield field, kind, True
        else:
            yield field, hint, False


def _spec(field: dataclasses.Field[Any], kind: Any, optional: bool) -> FieldSpec:
    metadata = field.metadata
    default = _default(field)
    return FieldSpec(
        name=field.name,
        type=_field_type(kind, metadata),
        label=metadata.get("label") or field.name.replace("_", " ").capitalize(),
        help=metadata.get("help", ""),
        default=None if isinstance(default, Secret) or default is dataclasses.MISSING else _as_json(default),
        required=default is dataclasses.MISSING and not optional,
        choices=_choices(kind, metadata),
        minimum=metadata.get("minimum"),
        maximum=metadata.get("maximum"),
        is_multiline=bool(metadata.get("multiline")),
        is_conditional=bool(metadata.get("conditional")),
        is_command=bool(metadata.get("command")),
    )


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _field_type(kind: Any, metadata: Mapping[str, Any]) -> FieldType:
    if kind is int:
        return FieldType.BYTES if metadata.get("unit") == "bytes" else FieldType.INTEGER
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return FieldType.CHOICE
    if typing.get_origin(kind) is tuple:
        return FieldType.LINES
    return {str: FieldType.TEXT, bool: FieldType.BOOLEAN, Path: FieldType.PATH, Secret: FieldType.SECRET}[kind]


def _choices(kind: Any, metadata: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    if not (isinstance(kind, type) and issubclass(kind, StrEnum)):
        return ()
    labels: Mapping[str, str] = metadata.get("choice_labels", {})
    return tuple((member.value, labels.get(member.value, member.value)) for member in kind)


def _as_json(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return value


def _parse(
    options: type, values: Mapping[str, object], secrets: Mapping[str, Secret]
) -> tuple[dict[str, Any], list[InvalidOptions]]:
    parsed: dict[str, Any] = {}
    known = {spec.name: spec for spec in field_specs(options)}
    problems = [
        InvalidOptions(f"There is no option “{name}” here.", field=str(name))
        for name in values
        if name not in known or known[name].secret
    ]
    for field, kind, optional in _fields(options):
        spec = known[field.name]
        given = secrets.get(field.name) if spec.secret else values.get(field.name)
        if _is_absent(given):
            if spec.required:
                problems.append(InvalidOptions(f"{spec.label} is missing.", field=spec.name))
            elif optional and _default(field) is dataclasses.MISSING:
                parsed[field.name] = None
            continue
        try:
            parsed[field.name] = _value(spec, kind, given)
        except InvalidOptions as problem:
            problems.append(problem)
    return parsed, problems


def _is_absent(given: object) -> bool:
    return given is None or given == "" or (isinstance(given, Secret) and not given.reveal())


def _value(spec: FieldSpec, kind: Any, given: object) -> object:
    match spec.type:
        case FieldType.TEXT:
            return _text(spec, given)
        case FieldType.SECRET:
            return _secret(spec, given)
        case FieldType.LINES:
            return _lines(spec, given)
        case FieldType.PATH:
            return _path(spec, given)
        case FieldType.INTEGER | FieldType.BYTES:
            return _number(spec, given)
        case FieldType.BOOLEAN:
            if isinstance(given, bool):
                return given
            raise _wrong(spec, "must be on or off")
        case FieldType.CHOICE:
            return _choice(spec, kind, given)


def _wrong(spec: FieldSpec, reason: str) -> InvalidOptions:
    return InvalidOptions(f"{spec.label} {reason}.", field=spec.name)


def _text(spec: FieldSpec, given: object) -> str:
    if not isinstance(given, str):
        raise _wrong(spec, "must be text")
    text = given.strip()
    if not text:
        raise _wrong(spec, "is missing")
    if not text.isprintable():
        raise _wrong(spec, "holds a control character")
    return text


def _secret(spec: FieldSpec, given: object) -> Secret:
    if not isinstance(given, Secret):
        raise _wrong(spec, "must be given as a secret")
    return given


def _lines(spec: FieldSpec, given: object) -> tuple[str, ...]:
    lines = given.splitlines() if isinstance(given, str) else given
    if not isinstance(lines, list | tuple):
        raise _wrong(spec, "must be a list of lines")
    return tuple(_text(spec, line) for line in lines if line != "")


def _path(spec: FieldSpec, given: object) -> Path:
    text = _text(spec, given)
    if not text.startswith("/"):
        raise _wrong(spec, "must be an absolute path, like /srv/backup")
    if ".." in text.split("/"):
        raise _wrong(spec, "must not hold “..”")
    path = Path(text)
    return path if not text.startswith("//") else Path("/" + text.lstrip("/"))


def _number(spec: FieldSpec, given: object) -> int:
    number = _integer(spec, given)
    if spec.minimum is not None and number < spec.minimum:
        raise _wrong(spec, f"must be at least {spec.minimum}")
    if spec.maximum is not None and number > spec.maximum:
        raise _wrong(spec, f"must be at most {spec.maximum}")
    return number


def _integer(spec: FieldSpec, given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    if isinstance(given, str) and len(given) < 40:
        try:
            return parse_bytes(given) if spec.type is FieldType.BYTES else int(given)
        except ValueError:
            pass
    raise _wrong(
        spec, "must be a size like 512 MiB or 10 GiB" if spec.type is FieldType.BYTES else "must be a whole number"
    )


def _choice(spec: FieldSpec, kind: Any, given: object) -> StrEnum:
    values = [value for value, _label in spec.choices]
    if given not in values:
        raise _wrong(spec, f"must be one of {', '.join(values)}")
    return typing.cast("StrEnum", kind(given))
