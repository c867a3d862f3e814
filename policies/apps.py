"""The Django app of the configuration."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PoliciesConfig(AppConfig):
    name = "policies"
    verbose_name = "Configuration"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from policies.foundation import lay_foundation  # noqa: PLC0415 - it needs the models, which exist only now

        post_migrate.connect(lay_foundation, sender=self)
