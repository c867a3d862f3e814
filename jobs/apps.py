"""The Django app of the work."""

from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = "Jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from jobs import models, visible  # noqa: PLC0415 - the same
        from jobs.services.aging_preview import deletions_of_edit  # noqa: PLC0415 - it needs the models, which exist now
        from policies import previews  # noqa: PLC0415 - the same
        from policies.selectors import visible_entries  # noqa: PLC0415 - the same

        previews.set_provider(deletions_of_edit)
        for model, provider in (
            (models.Job, visible.visible_jobs),
            (models.Snapshot, visible.visible_snapshots),
            (models.BackupCopy, visible.visible_backup_copies),
            (models.SnapshotReplica, visible.visible_replicas),
            (models.SnapshotMount, visible.visible_mounts),
        ):
            visible_entries.register(str(model._meta.verbose_name), provider)
