"""One writer per section: the keys of an entry as the values of a service, which checks, saves and audits them.

A writer raises what its service raises; where in the file that was, ``applying`` knows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time
from typing import Any, Final

from django.core.exceptions import ValidationError

from jobs.rules.bandwidth import InvalidCalendarError, parse_rate
from policies import services
from policies.audit import Actor, How
from policies.declared import lookups
from policies.declared.reading import Entry
from policies.declared.schema import WEEKDAYS
from policies.declared.secrets import changed_secrets
from policies.models import AccessNode, BlackoutWindow, FileServer, Media, Schedule, StoragePolicy, Subclient

Values = dict[str, Any]
_RENAMED: Final = {
    "active": "is_active",
    "inline": "is_inline",
    "draining": "is_draining",
    "enabled": "is_enabled",
    "aging": "ages",
    "spread_seconds": "jitter_seconds",
    "medium": "media",
    "bandwidth": "bandwidth_limit",
    "transfers": "parallel_transfers",
}
"""Keys whose column is called otherwise. ``FIELD_KEYS`` is the way back, for refusals."""

FIELD_KEYS: Final = {field: key for key, field in _RENAMED.items()} | {
    "retention_days": "retention",
    "retention_cycles": "retention",
    "retention_count": "retention",
}


def write_settings(entry: Entry, user: Actor) -> None:
    values = dict(entry.values)
    if "week_start" in values:
        values["week_start"] = WEEKDAYS.index(values["week_start"])
    services.update_settings(user=user, how=How.CLI, **values)


def write_node(entry: Entry, user: Actor) -> None:
    row = AccessNode.objects.filter(name=entry.name).first()
    values = _plain(entry)
    if row is None:
        services.create_node(user=user, how=How.CLI, name=entry.name, **values)
    else:
        services.update_node(row, user=user, how=How.CLI, **values)


def write_medium(entry: Entry, user: Actor) -> None:
    row = Media.objects.filter(name=entry.name).first()
    values = _plain(entry, "secrets", "options") | _bandwidth(entry)
    secrets = changed_secrets(row or Media(), entry.values.get("secrets", {}))
    given = entry.values.get("options", {})
    if row is None:
        services.create_media(user=user, how=How.CLI, name=entry.name, secrets=secrets, options=given, **values)
        return
    options = _options(row.options, given, keeps=values.get("kind", row.kind) == row.kind)
    services.update_media(row, user=user, how=How.CLI, secrets=secrets, options=options, **values)


def _bandwidth(entry: Entry) -> Values:
    values: Values = {}
    if "bandwidth" in entry.values:
        text = entry.values["bandwidth"]
        try:
            values["bandwidth_limit"] = None if text is None else parse_rate(text)
        except InvalidCalendarError as error:
            raise ValidationError({"bandwidth_limit": error.sentence}) from error
    if "bandwidth_calendar" in entry.values:
        values["bandwidth_calendar"] = "\n".join(entry.values["bandwidth_calendar"])
    return values


def write_server(entry: Entry, user: Actor) -> None:
    row = FileServer.objects.filter(name=entry.name).first()
    values = _plain(entry, "secrets", "options")
    if "access_nodes" in values:
        values["access_nodes"] = lookups.node_rows(values["access_nodes"], key="access_nodes")
    secrets = changed_secrets(row or FileServer(), entry.values.get("secrets", {}))
    given = entry.values.get("options", {})
    if row is None:
        services.create_file_server(user=user, how=How.CLI, name=entry.name, secrets=secrets, options=given, **values)
        return
    options = _options(row.options, given, keeps=values.get("engine", row.engine) == row.engine)
    services.update_file_server(row, user=user, how=How.CLI, secrets=secrets, options=options, **values)


def write_policy(entry: Entry, user: Actor) -> None:
    """Without its copies, and without what refers to copies and subclients: those come later."""
    row = StoragePolicy.objects.filter(name=entry.name).first()
    values = _plain(entry, "copies", "backup_source", "excluded_subclients")
    if "selection_period" in values:
        values["selection_period"] = values["selection_period"] or ""
    if values.get("selection_starts_on"):
        values["selection_starts_on"] = date.fromisoformat(values["selection_starts_on"])
    if row is None:
        services.create_policy(user=user, how=How.CLI, name=entry.name, **values)
    else:
        services.update_policy(row, user=user, how=How.CLI, **values)


def write_policy_references(entry: Entry, user: Actor) -> None:
    """The source of the backup copies, and the excluded subclients."""
    policy = StoragePolicy.objects.get(name=entry.name)
    values: Values = {}
    if "backup_source" in entry.values:
        source = entry.values["backup_source"]
        path = None if source is None else f"{policy.name}/{source}"
        values["backup_source"] = lookups.copy_row(path, key="backup_source")
    if "excluded_subclients" in entry.values:
        paths = entry.values["excluded_subclients"]
        values["excluded_subclients"] = [lookups.subclient_row(path, key="excluded_subclients") for path in paths]
    if values:
        services.update_policy(policy, user=user, how=How.CLI, **values)


def write_subclient(entry: Entry, user: Actor) -> None:
    path = entry.name
    server, _, name = path.partition("/")
    row = Subclient.objects.filter(file_server__name=server, name=name).select_related("file_server").first()
    values = _plain(entry)
    if "policy" in values:
        values["policy"] = lookups.policy_row(values["policy"], key="policy")
    if "access_nodes" in values:
        values["access_nodes"] = lookups.node_rows(values["access_nodes"], key="access_nodes")
    if row is None:
        values["file_server"] = lookups.server_row(server, key="file_server")
        services.create_subclient(user=user, how=How.CLI, name=name, **values)
    else:
        services.update_subclient(row, user=user, how=How.CLI, **values)


def write_schedule(entry: Entry, user: Actor) -> None:
    row = Schedule.objects.filter(name=entry.name).first()
    values = _plain(entry)
    finders: dict[str, tuple[str, Callable[..., object]]] = {
        "policy": ("policy", lookups.policy_row),
        "file_server": ("file_server", lookups.server_row),
        "subclient": ("subclient", lookups.subclient_row),
        "copy": ("copy", lookups.copy_row),
        "media": ("medium", lookups.medium_row),
    }
    for field, (key, find) in finders.items():
        if field in values:
            values[field] = find(values[field], key=key)
    if row is None:
        services.create_schedule(user=user, how=How.CLI, name=entry.name, **values)
    else:
        services.update_schedule(row, user=user, how=How.CLI, **values)


def write_window(entry: Entry, user: Actor) -> None:
    row = BlackoutWindow.objects.filter(name=entry.name).first()
    values = _plain(entry)
    if "days" in values:
        values["days"] = [WEEKDAYS.index(day) for day in values["days"]]
    for key in ("starts_at", "ends_at"):
        if key in values:
            values[key] = time.fromisoformat(values[key])
    if row is None:
        services.create_blackout_window(user=user, how=How.CLI, name=entry.name, **values)
    else:
        services.update_blackout_window(row, user=user, how=How.CLI, **values)


def _plain(entry: Entry, *without: str) -> Values:
    """The given keys under their columns' names, without the identity."""
    left_out = {*without, *entry.section.identity}
    return {_RENAMED.get(key, key): value for key, value in entry.values.items() if key not in left_out}


def _options(stored: Values, given: Values, *, keeps: bool) -> Values:
    """Settings that are not named stay, unless the kind changes."""
    return {**stored, **given} if keeps else given
