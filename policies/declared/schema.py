"""The one schema of the file: sections, their keys, and what may stand there. Data only; /docs/declared/ explains it.

A key that is not given leaves what is there as it is; a new object takes the defaults of its form.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from policies.models import (
    CatalogMode,
    CopyKind,
    MissedRun,
    OverdueAction,
    Period,
    Pick,
    ScheduledLevel,
    ScheduledOperation,
    Selection,
    VerifyHow,
)
from policies.models.media import LONGEST_TIMEOUT, MOST_RETRIES, MOST_TRANSFERS, SHORTEST_TIMEOUT

VERSION: Final = 1
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Shape(StrEnum):
    """What may stand at a key."""

    TEXT = "a text"
    FLAG = "true or false"
    NUMBER = "a whole number"
    CHOICE = "one of the words"
    NAMES = "a list of texts"
    WORDS = "a list of the words"
    DATE = "a day like 2026-01-31, or null"
    TIME = "a time like 22:00"
    OPTIONS = "a mapping of settings"
    SECRETS = "a mapping of references: {file: /path} or {env: NAME}"
    RETENTION = "infinite, spool, {days: 30, cycles: 1}, {days: 7} or {count: 10}"
    EXTENDED = "a list of {period: month, pick: last, days: 365}"
    COPIES = "a list of copies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """``choices`` for CHOICE and WORDS; ``least`` and ``most`` for NUMBER; ``may_be_null``: null is a value of it."""

    name: str
    shape: Shape
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 2_000_000_000
    may_be_null: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """``identity``: keys that together name an object; ``needed``: further keys that a new object must have."""

    name: str
    singular: str
    identity: tuple[str, ...]
    keys: tuple[Key, ...]
    needed: tuple[str, ...] = ()

    def key(self, name: str) -> Key | None:
        return next((key for key in self.keys if key.name == name), None)


def _text(name: str, *, may_be_null: bool = False) -> Key:
    return Key(name=name, shape=Shape.TEXT, may_be_null=may_be_null)


def _flag(name: str) -> Key:
    return Key(name=name, shape=Shape.FLAG)


def _number(name: str, least: int = 0, most: int = 2_000_000_000, *, may_be_null: bool = False) -> Key:
    return Key(name=name, shape=Shape.NUMBER, least=least, most=most, may_be_null=may_be_null)


def _choice(name: str, choices: list[str], *, may_be_null: bool = False) -> Key:
    return Key(name=name, shape=Shape.CHOICE, choices=tuple(choices), may_be_null=may_be_null)


def _names(name: str) -> Key:
    return Key(name=name, shape=Shape.NAMES)


SETTINGS: Final = Section(
    name="settings",
    singular="settings",
    identity=(),
    keys=(_text("time_zone"), _choice("week_start", list(WEEKDAYS))),
)

COPIES: Final = Section(
    name="copies",
    singular="copy",
    identity=("name",),
    needed=("kind",),
    keys=(
        _text("name"),
        _choice("kind", list(CopyKind.values)),
        _text("medium", may_be_null=True),
        _text("target_server", may_be_null=True),
        _text("source", may_be_null=True),
        _names("media_agents"),
        _flag("active"),
        _flag("aging"),
        Key(name="retention", shape=Shape.RETENTION),
        Key(name="extended", shape=Shape.EXTENDED),
    ),
)

SECTIONS: Final = (
    Section(
        name="access_nodes",
        singular="access node",
        identity=("name",),
        keys=(_text("name"), _number("slots", 1, 64), _text("address"), _flag("draining"), _flag("enabled")),
    ),
    Section(
        name="media",
        singular="medium",
        identity=("name",),
        needed=("kind",),
        keys=(
            _text("name"),
            _text("description"),
            _text("kind"),
            Key(name="options", shape=Shape.OPTIONS),
            Key(name="secrets", shape=Shape.SECRETS),
            _text("bandwidth", may_be_null=True),
            _names("bandwidth_calendar"),
            _number("transfers", 1, MOST_TRANSFERS, may_be_null=True),
            _number("retries", 0, MOST_RETRIES, may_be_null=True),
            _number("timeout_seconds", SHORTEST_TIMEOUT, LONGEST_TIMEOUT, may_be_null=True),
            _flag("active"),
        ),
    ),
    Section(
        name="file_servers",
        singular="file server",
        identity=("name",),
        needed=("engine",),
        keys=(
            _text("name"),
            _text("description"),
            _text("engine"),
            Key(name="options", shape=Shape.OPTIONS),
            Key(name="secrets", shape=Shape.SECRETS),
            _names("access_nodes"),
            _number("max_sessions", 1, 64),
            _number("max_incrementals", 1, 1_000_000, may_be_null=True),
            _flag("active"),
        ),
    ),
    Section(
        name="policies",
        singular="storage policy",
        identity=("name",),
        keys=(
            _text("name"),
            _text("description"),
            _flag("inline"),
            _flag("active"),
            _choice("catalog", list(CatalogMode.values)),
            _text("backup_source", may_be_null=True),
            _flag("allow_primary"),
            _choice("selection", list(Selection.values)),
            _choice("selection_period", list(Period.values), may_be_null=True),
            Key(name="selection_starts_on", shape=Shape.DATE, may_be_null=True),
            _number("defer_days", 0, 32_767),
            _names("excluded_subclients"),
            _number("alert_after_hours", 1, 32_767),
            _number("overdue_after_days", 1, 32_767),
            _choice("overdue_action", list(OverdueAction.values)),
            _number("offline_attempts", 1, 32_767),
            _number("offline_days", 0, 32_767),
            Key(name="copies", shape=Shape.COPIES),
        ),
    ),
    Section(
        name="subclients",
        singular="subclient",
        identity=("file_server", "name"),
        needed=("content_paths", "policy"),
        keys=(
            _text("file_server"),
            _text("name"),
            _text("description"),
            _names("content_paths"),
            _text("policy"),
            _names("access_nodes"),
            _text("pre_command"),
            _text("post_command"),
            _flag("active"),
        ),
    ),
    Section(
        name="schedules",
        singular="schedule",
        identity=("name",),
        needed=("operation", "cron"),
        keys=(
            _text("name"),
            _text("description"),
            _choice("operation", list(ScheduledOperation.values)),
            _text("policy", may_be_null=True),
            _text("file_server", may_be_null=True),
            _text("subclient", may_be_null=True),
            _text("copy", may_be_null=True),
            _text("medium", may_be_null=True),
            _choice("level", list(ScheduledLevel.values)),
            _choice("verify_how", list(VerifyHow.values)),
            _number("verify_percent", 1, 100),
            _number("verify_days", 1, 32_000),
            _number("drill_files", 1, 10_000),
            _number("drill_mib", 1, 1024 * 1024),
            _text("cron"),
            _text("time_zone"),
            _number("spread_seconds", 0, 86_400),
            _choice("missed", list(MissedRun.values)),
            _flag("active"),
        ),
    ),
    Section(
        name="blackout_windows",
        singular="blackout window",
        identity=("name",),
        needed=("days", "starts_at", "ends_at"),
        keys=(
            _text("name"),
            Key(name="operations", shape=Shape.WORDS, choices=tuple(ScheduledOperation.values)),
            Key(name="days", shape=Shape.WORDS, choices=WEEKDAYS),
            Key(name="starts_at", shape=Shape.TIME),
            Key(name="ends_at", shape=Shape.TIME),
            _text("time_zone"),
            _flag("active"),
        ),
    ),
)
"""In the order in which they are written: each refers only to those before it."""

PERIODS: Final = tuple(Period.values)
PICKS: Final = tuple(Pick.values)
