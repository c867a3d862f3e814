"""Rows as plain data in the form of the file: complete, in a fixed order, without any secret's text."""

from __future__ import annotations

import re
from typing import Any, Final

from jobs.rules.bandwidth import rate_text
from policies.declared.schema import VERSION, WEEKDAYS
from policies.models import (
    IMPORTED,
    AccessNode,
    BlackoutWindow,
    Copy,
    FileServer,
    Installation,
    Media,
    Retention,
    Schedule,
    StoragePolicy,
    Subclient,
)

Plain = dict[str, Any]
_NOT_A_VARIABLE: Final = re.compile(r"[^A-Z0-9]+")


def picture() -> Plain:
    """The whole configuration. Users, roles and what jobs left, such as imported hosts, are no part of it."""
    installation = Installation.objects.get(pk=1)
    return {
        "version": VERSION,
        "settings": {"time_zone": installation.time_zone, "week_start": WEEKDAYS[installation.week_start]},
        "access_nodes": [_node(node) for node in AccessNode.objects.order_by("name")],
        "media": [_medium(medium) for medium in Media.objects.order_by("name").prefetch_related("secrets")],
        "file_servers": [_server(server) for server in _servers()],
        "policies": [_policy(policy) for policy in _policies()],
        "subclients": [_subclient(subclient) for subclient in _subclients()],
        "schedules": [_schedule(schedule) for schedule in _schedules()],
        "blackout_windows": [_window(window) for window in BlackoutWindow.objects.order_by("name")],
    }


def placeholder(kind: str, name: str, secret: str) -> Plain:
    """What stands for a stored secret: it stays; where there is none yet, it is read from this variable."""
    variable = _NOT_A_VARIABLE.sub("_", f"SNAPCOPY_{kind}_{name}_{secret}".upper())
    return {"env": variable, "keep": True}


def retention_of(copy: Copy) -> str | Plain:
    match copy.retention:
        case Retention.BASIC:
            return {"days": copy.retention_days, "cycles": copy.retention_cycles}
        case Retention.DAYS:
            return {"days": copy.retention_days}
        case Retention.COUNT:
            return {"count": copy.retention_count}
        case _:
            return str(copy.retention)


def _servers() -> Any:
    return FileServer.objects.exclude(engine=IMPORTED).order_by("name").prefetch_related("secrets", "access_nodes")


def _policies() -> Any:
    imported = StoragePolicy.objects.filter(subclients__file_server__engine=IMPORTED)
    rows = StoragePolicy.objects.exclude(pk__in=imported.values("pk")).order_by("name").select_related("backup_source")
    return rows.prefetch_related(
        "copies__media",
        "copies__target_server",
        "copies__source",
        "copies__media_agents",
        "copies__extended",
        "excluded_subclients__file_server",
    )


def _subclients() -> Any:
    rows = Subclient.objects.exclude(file_server__engine=IMPORTED).order_by("file_server__name", "name")
    rows = rows.select_related("file_server", "policy")
    return rows.prefetch_related("access_nodes")


def _schedules() -> Any:
    related = ("policy", "file_server", "subclient__file_server", "copy__policy", "media")
    return Schedule.objects.order_by("name").select_related(*related)


def _node(node: AccessNode) -> Plain:
    return {
        "name": node.name,
        "slots": node.slots,
        "address": node.address,
        "draining": node.is_draining,
        "enabled": node.is_enabled,
    }


def _medium(medium: Media) -> Plain:
    return {
        "name": medium.name,
        "description": medium.description,
        "kind": medium.kind,
        "options": dict(sorted(medium.options.items())),
        "secrets": _secrets("MEDIA", medium),
        "bandwidth": None if medium.bandwidth_limit is None else rate_text(medium.bandwidth_limit),
        "bandwidth_calendar": medium.bandwidth_calendar.splitlines(),
        "transfers": medium.parallel_transfers,
        "retries": medium.retries,
        "timeout_seconds": medium.timeout_seconds,
        "active": medium.is_active,
    }


def _server(server: FileServer) -> Plain:
    return {
        "name": server.name,
        "description": server.description,
        "engine": server.engine,
        "options": dict(sorted(server.options.items())),
        "secrets": _secrets("FILE_SERVER", server),
        "access_nodes": _names(server.access_nodes),
        "max_sessions": server.max_sessions,
        "max_incrementals": server.max_incrementals,
        "active": server.is_active,
    }


def _policy(policy: StoragePolicy) -> Plain:
    return {
        "name": policy.name,
        "description": policy.description,
        "inline": policy.is_inline,
        "active": policy.is_active,
        "catalog": policy.catalog,
        "backup_source": _name(policy.backup_source),
        "allow_primary": policy.allow_primary,
        "selection": policy.selection,
        "selection_period": policy.selection_period or None,
        "selection_starts_on": policy.selection_starts_on.isoformat() if policy.selection_starts_on else None,
        "defer_days": policy.defer_days,
        "excluded_subclients": sorted(subclient.path for subclient in policy.excluded_subclients.all()),
        "alert_after_hours": policy.alert_after_hours,
        "overdue_after_days": policy.overdue_after_days,
        "overdue_action": policy.overdue_action,
        "offline_attempts": policy.offline_attempts,
        "offline_days": policy.offline_days,
        "copies": [_copy(copy) for copy in sorted(policy.copies.all(), key=lambda copy: copy.precedence)],
    }


def _copy(copy: Copy) -> Plain:
    return {
        "name": copy.name,
        "kind": copy.kind,
        "medium": _name(copy.media),
        "target_server": _name(copy.target_server),
        "source": _name(copy.source),
        "media_agents": _names(copy.media_agents),
        "active": copy.is_active,
        "aging": copy.ages,
        "retention": retention_of(copy),
        "extended": [{"period": rule.period, "pick": rule.pick, "days": rule.days} for rule in copy.extended.all()],
    }


def _subclient(subclient: Subclient) -> Plain:
    return {
        "file_server": subclient.file_server.name,
        "name": subclient.name,
        "description": subclient.description,
        "content_paths": list(subclient.content_paths),
        "policy": subclient.policy.name,
        "access_nodes": _names(subclient.access_nodes),
        "pre_command": subclient.pre_command,
        "post_command": subclient.post_command,
        "active": subclient.is_active,
    }


def _schedule(schedule: Schedule) -> Plain:
    return {
        "name": schedule.name,
        "description": schedule.description,
        "operation": schedule.operation,
        "policy": _name(schedule.policy),
        "file_server": _name(schedule.file_server),
        "subclient": schedule.subclient.path if schedule.subclient else None,
        "copy": str(schedule.copy) if schedule.copy else None,
        "medium": _name(schedule.media),
        "level": schedule.level,
        "verify_how": schedule.verify_how,
        "verify_percent": schedule.verify_percent,
        "verify_days": schedule.verify_days,
        "drill_files": schedule.drill_files,
        "drill_mib": schedule.drill_mib,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "spread_seconds": schedule.jitter_seconds,
        "missed": schedule.missed,
        "active": schedule.is_active,
    }


def _window(window: BlackoutWindow) -> Plain:
    return {
        "name": window.name,
        "operations": list(window.operations),
        "days": [WEEKDAYS[day] for day in window.days],
        "starts_at": f"{window.starts_at:%H:%M}",
        "ends_at": f"{window.ends_at:%H:%M}",
        "time_zone": window.time_zone,
        "active": window.is_active,
    }


def _secrets(kind: str, owner: Media | FileServer) -> Plain:
    fields = sorted(secret.field for secret in owner.secrets.all())
    return {field: placeholder(kind, owner.name, field) for field in fields}


def _names(rows: Any) -> list[str]:
    return sorted(row.name for row in rows.all())


def _name(row: Any) -> str | None:
    return None if row is None else str(row.name)
