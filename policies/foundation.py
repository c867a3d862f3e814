"""The rows every installation has: its own id and the three role groups."""

from __future__ import annotations

from typing import Any

from django.apps import apps as global_apps

from policies.models.installation import new_install_id
from snapcopy_site.lib.roles import Role


def lay_foundation(*, using: str, apps: Any = global_apps, **_kwargs: object) -> None:
    """Create the installation's row and the role groups; idempotent.

    Runs after every ``migrate`` rather than in a migration, so that a flushed database (Django's transactional tests)
    has them too.
    """
    try:
        installation = apps.get_model("policies", "Installation")
        group = apps.get_model("auth", "Group")
    except LookupError:  # migrated back to before the tables
        return
    installation.objects.using(using).get_or_create(pk=1, defaults={"install_id": new_install_id()})
    for role in Role:
        group.objects.using(using).get_or_create(name=role.value)
