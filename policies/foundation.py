"""The rows every installation has: its own id, the three role groups, and the schedules that keep it in shape."""

from __future__ import annotations

from typing import Any, Final

from django.apps import apps as global_apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist

from policies.models.installation import new_install_id
from snapcopy_site.lib.roles import Role

FIRST_SCHEDULES: Final[tuple[dict[str, object], ...]] = (
    {
        "name": "aging",
        "description": "Marks what its retention no longer keeps.",
        "operation": "aging",
        "cron": "0 12 * * *",
    },
    {
        "name": "pruning",
        "description": "Frees the space of what has aged.",
        "operation": "prune",
        "cron": "0 13 * * 0",
        "jitter_seconds": 1800,
    },
)
"""What a new installation does by itself (RULES R4); an admin may change, switch off or delete them."""


def lay_foundation(*, using: str, apps: Any = global_apps, **_kwargs: object) -> None:
    """Create the installation's row, with it the first schedules, and the role groups; idempotent.

    Runs after every ``migrate`` rather than in a migration, so that a flushed database (Django's transactional tests)
    has them too.
    """
    try:
        installation = apps.get_model("policies", "Installation")
        group = apps.get_model("auth", "Group")
    except LookupError:  # migrated back to before the tables
        return
    given: dict[str, object] = {"install_id": new_install_id()}
    if _has_field(installation, "time_zone"):
        given["time_zone"] = settings.TIME_ZONE
    _row, is_new = installation.objects.using(using).get_or_create(pk=1, defaults=given)
    if is_new and "time_zone" in given:
        add_first_schedules(apps.get_model("policies", "Schedule").objects.using(using), zone=settings.TIME_ZONE)
    for role in Role:
        group.objects.using(using).get_or_create(name=role.value)


def add_first_schedules(schedules: Any, *, zone: str) -> None:
    """At noon of the installation's zone, and after it. ``schedules``: a query set of schedules of any version."""
    for values in FIRST_SCHEDULES:
        schedules.get_or_create(name=values["name"], defaults={**values, "time_zone": zone})


def _has_field(model: Any, name: str) -> bool:
    """False after migrating back to a version without it."""
    try:
        model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True
