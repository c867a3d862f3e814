"""What a new installation begins with, in one step: 0001_initial to 0011_dump_dates, which older ones came through."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.operations
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("jobs", "0001_initial"),
        ("jobs", "0002_snapshot_deletion"),
        ("jobs", "0003_rules"),
        ("jobs", "0004_catalog"),
        ("jobs", "0005_catalog_jobs"),
        ("jobs", "0006_snapshots"),
        ("jobs", "0007_verification"),
        ("jobs", "0008_catalog_search"),
        ("jobs", "0009_catalog_sorts"),
        ("jobs", "0010_attach"),
        ("jobs", "0011_dump_dates"),
    ]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("policies", "0001_squashed_0009_media_limits"),
    ]

    operations = [
        django.contrib.postgres.operations.TrigramExtension(),
        django.contrib.postgres.operations.BtreeGinExtension(),
        migrations.CreateModel(
            name="BackupCopy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("not_selected", "Not selected"),
                            ("candidate", "Candidate"),
                            ("to_be_copied", "To be copied"),
                            ("copying", "Copying"),
                            ("copied", "Copied"),
                            ("partial", "Partial"),
                            ("skipped", "Skipped"),
                            ("failed", "Failed"),
                            ("prevented", "Prevented"),
                            ("aged", "Aged"),
                        ],
                        default="to_be_copied",
                        max_length=12,
                    ),
                ),
                ("state_reason", models.TextField(blank=True)),
                (
                    "mark",
                    models.CharField(
                        blank=True,
                        choices=[("", "By rule"), ("pick", "Picked"), ("prevent", "Prevented")],
                        default="",
                        max_length=8,
                    ),
                ),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("selected_at", models.DateTimeField(blank=True, null=True)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("offline_since", models.DateTimeField(blank=True, null=True)),
                ("offline_attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "ran_level",
                    models.CharField(
                        blank=True,
                        choices=[("full", "Full"), ("differential", "Differential"), ("incremental", "Incremental")],
                        max_length=12,
                    ),
                ),
                ("level_number", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("tokens", models.JSONField(blank=True, default=dict)),
                ("snapshot_file_id", models.CharField(blank=True, max_length=64, null=True)),
                ("tree_id", models.CharField(blank=True, max_length=64, null=True)),
                ("files", models.PositiveBigIntegerField(default=0)),
                ("logical_bytes", models.PositiveBigIntegerField(default=0)),
                ("new_bytes", models.PositiveBigIntegerField(default=0)),
                ("stored_bytes", models.PositiveBigIntegerField(default=0)),
                ("exceptions", models.PositiveBigIntegerField(default=0)),
                ("damaged_files", models.PositiveBigIntegerField(default=0)),
                ("damaged_folders", models.PositiveBigIntegerField(default=0)),
                ("copied_at", models.DateTimeField(blank=True, null=True)),
                ("retain_until", models.DateTimeField(blank=True, null=True)),
                ("retain_reason", models.TextField(blank=True)),
                ("aged_at", models.DateTimeField(blank=True, null=True)),
                ("forgotten_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "copy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="backup_copies", to="policies.copy"
                    ),
                ),
                (
                    "media",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="backup_copies", to="policies.media"
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="based_on_this",
                        to="jobs.backupcopy",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "backup copies",
                "ordering": ["-snapshot__taken_at", "copy__precedence"],
                "indexes": [models.Index(fields=["copy", "state"], name="backup_copy_by_state")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                [
                                    "not_selected",
                                    "candidate",
                                    "to_be_copied",
                                    "copying",
                                    "copied",
                                    "partial",
                                    "skipped",
                                    "failed",
                                    "prevented",
                                    "aged",
                                ],
                            )
                        ),
                        name="backup_copy_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["copied", "partial"]), _negated=True),
                            models.Q(
                                ("copied_at__isnull", False),
                                ("snapshot_file_id__isnull", False),
                                ("tree_id__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="backup_copy_on_media_has_a_file",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("aged_at__isnull", False), ("state", "aged")),
                            models.Q(
                                models.Q(("state", "aged"), _negated=True),
                                ("aged_at__isnull", True),
                                ("forgotten_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="backup_copy_aged_has_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "copied"), _negated=True), ("exceptions", 0), _connector="OR"
                        ),
                        name="backup_copy_copied_has_no_exceptions",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CatalogFolder",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField(blank=True)),
                ("path", models.TextField()),
                ("depth", models.PositiveIntegerField()),
                (
                    "parent",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="folders",
                        to="jobs.catalogfolder",
                    ),
                ),
                (
                    "subclient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="catalog_folders",
                        to="policies.subclient",
                    ),
                ),
            ],
            options={
                "indexes": [django.contrib.postgres.indexes.HashIndex(fields=["path"], name="catalog_folder_by_path")],
                "constraints": [
                    models.UniqueConstraint(fields=("parent", "name"), name="catalog_folder_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("parent__isnull", True)),
                        fields=("subclient",),
                        name="catalog_folder_one_root",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("depth", 0), ("name", ""), ("parent__isnull", True), ("path", "/")),
                            models.Q(
                                ("depth__gte", 1), ("parent__isnull", False), models.Q(("name", ""), _negated=True)
                            ),
                            _connector="OR",
                        ),
                        name="catalog_folder_only_the_root_is_nameless",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CatalogOwner",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uid", models.PositiveBigIntegerField()),
                ("gid", models.PositiveBigIntegerField()),
                ("user", models.TextField(blank=True)),
                ("group", models.TextField(blank=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("uid", "gid", "user", "group"), name="catalog_owner_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="CatalogVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("f", "File"),
                            ("d", "Folder"),
                            ("l", "Symbolic link"),
                            ("b", "Block device"),
                            ("c", "Character device"),
                            ("p", "Named pipe"),
                            ("o", "Other"),
                        ],
                        max_length=1,
                    ),
                ),
                ("size", models.PositiveBigIntegerField(default=0)),
                ("files", models.PositiveBigIntegerField(default=0)),
                ("mtime_ns", models.BigIntegerField(default=0)),
                ("mode", models.PositiveSmallIntegerField(default=0)),
                ("link_target", models.TextField(blank=True, default="")),
                ("first_at", models.DateTimeField()),
                ("until_at", models.DateTimeField(null=True)),
                (
                    "folder",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="versions",
                        to="jobs.catalogfolder",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="jobs.catalogowner",
                    ),
                ),
                (
                    "subclient",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="catalog_versions",
                        to="policies.subclient",
                    ),
                ),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        models.F("subclient"),
                        django.contrib.postgres.indexes.OpClass(
                            django.db.models.functions.text.Upper("name"), name="gin_trgm_ops"
                        ),
                        name="catalog_version_by_part",
                    ),
                    models.Index(
                        condition=models.Q(("until_at__isnull", False)),
                        fields=["subclient", "until_at"],
                        name="catalog_version_by_end",
                    ),
                    models.Index(fields=["subclient", "first_at"], name="catalog_version_by_start"),
                    models.Index(
                        condition=models.Q(("kind", "d"), _negated=True),
                        fields=["folder", "size"],
                        name="catalog_version_by_size",
                    ),
                    models.Index(
                        condition=models.Q(("kind", "d"), _negated=True),
                        fields=["folder", "mtime_ns"],
                        name="catalog_version_by_mtime",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("folder", "name", "first_at"), name="catalog_version_once"),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["f", "d", "l", "b", "c", "p", "o"])),
                        name="catalog_version_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True), name="catalog_version_has_a_name"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("until_at__isnull", True), ("until_at__gt", models.F("first_at")), _connector="OR"
                        ),
                        name="catalog_version_ends_after_it_began",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind", "d"), ("files", 0), _connector="OR"),
                        name="catalog_version_counts_files_of_folders_only",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DumpDate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.CharField(max_length=300)),
                ("path", models.TextField()),
                ("level", models.PositiveSmallIntegerField()),
                ("is_committed", models.BooleanField(default=False)),
                ("begun_at", models.DateTimeField(auto_now_add=True)),
                (
                    "backup_copy",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="dump_dates",
                        to="jobs.backupcopy",
                    ),
                ),
                (
                    "file_server",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="dump_dates", to="policies.fileserver"
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("file_server", "address", "path", "level"), name="dump_date_once_per_level"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Job",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("files_total", models.PositiveBigIntegerField(blank=True, null=True)),
                ("files_done", models.PositiveBigIntegerField(default=0)),
                ("files_new", models.PositiveBigIntegerField(default=0)),
                ("files_changed", models.PositiveBigIntegerField(default=0)),
                ("files_unmodified", models.PositiveBigIntegerField(default=0)),
                ("directories_done", models.PositiveBigIntegerField(default=0)),
                ("bytes_total", models.PositiveBigIntegerField(blank=True, null=True)),
                ("bytes_done", models.PositiveBigIntegerField(default=0)),
                ("bytes_read", models.PositiveBigIntegerField(default=0)),
                ("bytes_new", models.PositiveBigIntegerField(default=0)),
                ("bytes_stored", models.PositiveBigIntegerField(default=0)),
                ("exceptions_count", models.PositiveBigIntegerField(default=0, verbose_name="exceptions")),
                (
                    "operation",
                    models.CharField(
                        choices=[
                            ("snapshot", "Snapshot"),
                            ("backup_copy", "Backup copy"),
                            ("secondary_copy", "Secondary snap copy"),
                            ("restore", "Restore"),
                            ("delete_snapshot", "Snapshot deletion"),
                            ("aging", "Aging"),
                            ("prune", "Pruning"),
                            ("verify", "Verification"),
                            ("repair", "Repair"),
                            ("attach", "Attachment"),
                            ("drill", "Restore drill"),
                            ("catalog", "Catalog"),
                            ("revert", "Revert"),
                            ("mount", "Mounting"),
                            ("unmount", "Unmounting"),
                            ("reconcile", "Reconciliation"),
                            ("test", "Test"),
                            ("demo", "Sample data"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("waiting", "Waiting"),
                            ("pending", "Pending"),
                            ("running", "Running"),
                            ("suspended", "Suspended"),
                            ("completed", "Completed"),
                            ("completed_with_errors", "Completed with errors"),
                            ("failed", "Failed"),
                            ("killed", "Killed"),
                        ],
                        default="queued",
                        max_length=24,
                    ),
                ),
                ("state_reason", models.TextField(blank=True)),
                ("error_code", models.CharField(blank=True, max_length=64)),
                ("error_sentence", models.TextField(blank=True)),
                ("error_hint", models.TextField(blank=True)),
                ("subclient_label", models.CharField(blank=True, max_length=130)),
                ("file_server_label", models.CharField(blank=True, max_length=64)),
                ("copy_label", models.CharField(blank=True, max_length=130)),
                ("media_label", models.CharField(blank=True, max_length=64)),
                (
                    "initiator",
                    models.CharField(
                        choices=[
                            ("person", "Person"),
                            ("script", "Script"),
                            ("schedule", "Schedule"),
                            ("inline", "Inline"),
                        ],
                        default="person",
                        max_length=10,
                    ),
                ),
                (
                    "how",
                    models.CharField(
                        choices=[("web", "Web"), ("cli", "Command line"), ("api", "API"), ("policy", "Policy")],
                        default="web",
                        max_length=10,
                    ),
                ),
                ("started_by_label", models.CharField(blank=True, max_length=150)),
                ("priority", models.PositiveSmallIntegerField(default=100, help_text="Lower goes first.")),
                (
                    "asked_level",
                    models.CharField(
                        blank=True,
                        choices=[("full", "Full"), ("differential", "Differential"), ("incremental", "Incremental")],
                        max_length=12,
                    ),
                ),
                (
                    "ran_level",
                    models.CharField(
                        blank=True,
                        choices=[("full", "Full"), ("differential", "Differential"), ("incremental", "Incremental")],
                        max_length=12,
                    ),
                ),
                ("level_number", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("level_reason", models.TextField(blank=True)),
                ("node_label", models.CharField(blank=True, max_length=64)),
                ("node_reason", models.TextField(blank=True)),
                (
                    "want",
                    models.CharField(
                        choices=[("run", "Run"), ("kill", "Kill"), ("suspend", "Suspend")], default="run", max_length=8
                    ),
                ),
                ("want_at", models.DateTimeField(blank=True, null=True)),
                ("attempt", models.PositiveIntegerField(default=1)),
                ("awaits_children", models.BooleanField(default=False)),
                ("retries", models.PositiveSmallIntegerField(default=0)),
                ("lost_attempts", models.PositiveSmallIntegerField(default=0)),
                ("retry_at", models.DateTimeField(blank=True, null=True)),
                ("current_phase", models.CharField(blank=True, max_length=16)),
                ("percent", models.FloatField(blank=True, null=True)),
                ("in_flight", models.JSONField(blank=True, default=list)),
                ("rate_samples", models.JSONField(blank=True, default=list)),
                ("checkpoint", models.JSONField(blank=True, default=dict)),
                ("parameters", models.JSONField(blank=True, default=dict)),
                ("result", models.JSONField(blank=True, default=dict)),
                ("lease_node", models.CharField(blank=True, max_length=64)),
                ("lease_pid", models.PositiveIntegerField(blank=True, null=True)),
                ("lease_boot_id", models.CharField(blank=True, max_length=64)),
                ("heartbeat_at", models.DateTimeField(blank=True, null=True)),
                ("enqueued_at", models.DateTimeField(blank=True, null=True)),
                ("enqueues", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("queued_at", models.DateTimeField(blank=True, null=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("acknowledged_at", models.DateTimeField(blank=True, null=True)),
                (
                    "acknowledged_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="jobs_acknowledged",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "backup_copy",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="jobs",
                        to="jobs.backupcopy",
                    ),
                ),
                (
                    "copy",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="jobs",
                        to="policies.copy",
                    ),
                ),
                (
                    "media",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="jobs",
                        to="policies.media",
                    ),
                ),
                (
                    "node",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="jobs",
                        to="policies.accessnode",
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="children",
                        to="jobs.job",
                    ),
                ),
                (
                    "started_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="jobs_started",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "subclient",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="jobs",
                        to="policies.subclient",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [
                    models.Index(fields=["state", "-id"], name="job_by_state"),
                    models.Index(fields=["subclient", "-id"], name="job_by_subclient"),
                    models.Index(fields=["operation", "-id"], name="job_by_operation"),
                    models.Index(fields=["-finished_at"], name="job_by_end"),
                    models.Index(
                        condition=models.Q(("state__in", ["pending", "queued", "running", "suspended", "waiting"])),
                        fields=["id"],
                        name="job_active",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                [
                                    "queued",
                                    "waiting",
                                    "pending",
                                    "running",
                                    "suspended",
                                    "completed",
                                    "completed_with_errors",
                                    "failed",
                                    "killed",
                                ],
                            )
                        ),
                        name="job_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("want__in", ["run", "kill", "suspend"])), name="job_want_known"
                    ),
                    models.CheckConstraint(condition=models.Q(("attempt__gte", 1)), name="job_attempt_from_1"),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("operation", "backup_copy"),
                            ("state__in", ["pending", "queued", "running", "suspended", "waiting"]),
                        ),
                        fields=("subclient", "copy"),
                        name="job_one_active_backup_copy",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("operation", "secondary_copy"),
                            ("state__in", ["pending", "queued", "running", "suspended", "waiting"]),
                        ),
                        fields=("subclient", "copy"),
                        name="job_one_active_secondary_copy",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("operation__in", ["prune", "verify", "repair", "attach"]),
                            ("state__in", ["pending", "queued", "running", "suspended", "waiting"]),
                        ),
                        fields=("media",),
                        name="job_one_active_upkeep_per_medium",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("operation", "catalog"),
                            ("state__in", ["pending", "queued", "running", "suspended", "waiting"]),
                        ),
                        fields=("subclient",),
                        name="job_one_active_catalog",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("operation", "drill"),
                            ("state__in", ["pending", "queued", "running", "suspended", "waiting"]),
                        ),
                        fields=("subclient",),
                        name="job_one_active_drill",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("operation", "aging"),
                            ("state__in", ["pending", "queued", "running", "suspended", "waiting"]),
                        ),
                        fields=("operation",),
                        name="job_one_active_aging",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("finished_at__isnull", True),
                                ("state__in", ["pending", "queued", "running", "suspended", "waiting"]),
                            ),
                            models.Q(
                                ("finished_at__isnull", False),
                                ("state__in", ["completed", "completed_with_errors", "failed", "killed"]),
                            ),
                            _connector="OR",
                        ),
                        name="job_finished_exactly_when_over",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "running"), _negated=True),
                            models.Q(
                                ("heartbeat_at__isnull", False),
                                ("lease_pid__isnull", False),
                                ("started_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="job_running_has_a_lease",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "queued"), _negated=True),
                            models.Q(("node__isnull", False), ("queued_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="job_queued_on_a_node",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DrillResult",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "compared_with",
                    models.CharField(
                        choices=[("snapshot", "the held snapshot, byte for byte"), ("hashes", "the stored hashes")],
                        max_length=10,
                    ),
                ),
                ("files", models.PositiveIntegerField()),
                ("compared_bytes", models.PositiveBigIntegerField()),
                ("seconds", models.FloatField()),
                ("differences", models.PositiveIntegerField(default=0)),
                ("at", models.DateTimeField()),
                (
                    "backup_copy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="drills", to="jobs.backupcopy"
                    ),
                ),
                (
                    "copy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="drills", to="policies.copy"
                    ),
                ),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="drills", to="jobs.job"
                    ),
                ),
            ],
            options={
                "ordering": ["-at", "-pk"],
                "indexes": [models.Index(fields=["copy", "-at"], name="drill_by_copy")],
                "constraints": [
                    models.UniqueConstraint(fields=("job", "backup_copy"), name="drill_once_per_job_and_copy"),
                    models.CheckConstraint(
                        condition=models.Q(("differences__lte", models.F("files"))), name="drill_differences_are_files"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("compared_with__in", ["snapshot", "hashes"])), name="drill_comparison_known"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DamagedPath",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("path", models.BinaryField()),
                ("display_path", models.TextField()),
                ("is_folder", models.BooleanField(default=False)),
                (
                    "backup_copies",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("others", models.PositiveIntegerField(default=0)),
                (
                    "packs",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), blank=True, default=list, size=None
                    ),
                ),
                (
                    "media",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="damaged_paths", to="policies.media"
                    ),
                ),
                (
                    "tried_in",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="jobs.job",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["backup_copies"], name="damaged_path_by_backup_copy"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DamagedPack",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("pack", models.CharField(max_length=64)),
                ("sentence", models.TextField()),
                ("blobs", models.PositiveIntegerField()),
                ("blobs_bad", models.PositiveIntegerField()),
                ("found_at", models.DateTimeField()),
                (
                    "media",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="damaged_packs", to="policies.media"
                    ),
                ),
                (
                    "job",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="jobs.job",
                    ),
                ),
            ],
            options={
                "ordering": ["found_at", "pack"],
                "constraints": [
                    models.UniqueConstraint(fields=("media", "pack"), name="damaged_pack_once"),
                    models.CheckConstraint(
                        condition=models.Q(("blobs_bad__lte", models.F("blobs"))), name="damaged_pack_has_its_bad_blobs"
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="backupcopy",
            name="job",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="results",
                to="jobs.job",
            ),
        ),
        migrations.CreateModel(
            name="JobAttempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("node_label", models.CharField(blank=True, max_length=64)),
                ("pid", models.PositiveIntegerField(blank=True, null=True)),
                ("boot_id", models.CharField(blank=True, max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("interrupted", "Interrupted"),
                            ("retried", "To be retried"),
                            ("suspended", "Suspended"),
                            ("completed", "Completed"),
                            ("completed_with_errors", "Completed with errors"),
                            ("failed", "Failed"),
                            ("killed", "Killed"),
                        ],
                        default="running",
                        max_length=24,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="attempts", to="jobs.job"
                    ),
                ),
            ],
            options={
                "ordering": ["number"],
                "constraints": [
                    models.UniqueConstraint(fields=("job", "number"), name="job_attempt_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "running")), fields=("job",), name="job_attempt_one_running"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at__isnull", True), ("state", "running")),
                            models.Q(models.Q(("state", "running"), _negated=True), ("finished_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="job_attempt_finished_when_over",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="JobEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                (
                    "level",
                    models.CharField(
                        choices=[("info", "Information"), ("warning", "Warning"), ("error", "Error")],
                        default="info",
                        max_length=8,
                    ),
                ),
                ("code", models.CharField(max_length=64)),
                ("sentence", models.TextField()),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="events", to="jobs.job"
                    ),
                ),
            ],
            options={
                "ordering": ["at", "pk"],
                "indexes": [models.Index(fields=["job", "at"], name="job_event_by_job")],
            },
        ),
        migrations.CreateModel(
            name="JobException",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("attempt", models.PositiveIntegerField()),
                ("path", models.BinaryField()),
                ("display_path", models.TextField()),
                ("error", models.TextField()),
                ("code", models.CharField(max_length=64)),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="exceptions", to="jobs.job"
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "indexes": [models.Index(fields=["job", "attempt"], name="job_exception_by_job")],
            },
        ),
        migrations.CreateModel(
            name="JobPhase",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("attempt", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=16)),
                ("order", models.PositiveSmallIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                            ("interrupted", "Interrupted"),
                        ],
                        default="running",
                        max_length=12,
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="phases", to="jobs.job"
                    ),
                ),
            ],
            options={
                "ordering": ["attempt", "order"],
                "constraints": [
                    models.UniqueConstraint(fields=("job", "attempt", "order"), name="job_phase_order_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="MediumReading",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("turn", models.PositiveIntegerField(default=0)),
                ("packs", models.PositiveIntegerField(default=0)),
                ("packs_bytes", models.PositiveBigIntegerField(default=0)),
                ("problems", models.PositiveIntegerField(default=0)),
                ("lists_all_damage", models.BooleanField(default=True)),
                ("verified_at", models.DateTimeField(blank=True, null=True)),
                (
                    "job",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="jobs.job",
                    ),
                ),
                (
                    "media",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="reading", to="policies.media"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PackReading",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("turn", models.PositiveIntegerField()),
                ("was_read", models.BooleanField()),
                ("is_settled", models.BooleanField(default=False)),
                ("packs", models.PositiveIntegerField()),
                ("stored_bytes", models.PositiveBigIntegerField()),
                ("keys", models.BinaryField()),
                (
                    "media",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="pack_readings", to="policies.media"
                    ),
                ),
            ],
            options={
                "ordering": ["at", "pk"],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("packs__gte", 1)), name="pack_reading_is_of_some")
                ],
            },
        ),
        migrations.CreateModel(
            name="ScheduleRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("schedule_label", models.CharField(max_length=64)),
                ("slot", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("launching", "Launching"),
                            ("launched", "Launched"),
                            ("nothing_new", "Nothing new"),
                            ("missed", "Missed"),
                            ("put_off", "Put off by a blackout window"),
                            ("refused", "Refused"),
                        ],
                        default="launching",
                        max_length=12,
                    ),
                ),
                ("sentence", models.TextField(blank=True)),
                ("missed", models.PositiveIntegerField(default=0)),
                ("launched_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "schedule",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="runs",
                        to="policies.schedule",
                    ),
                ),
            ],
            options={
                "ordering": ["-slot", "-pk"],
                "indexes": [models.Index(fields=["schedule", "-slot"], name="schedule_run_by_schedule")],
                "constraints": [
                    models.UniqueConstraint(fields=("schedule", "slot"), name="schedule_run_once_per_slot"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["launching", "launched", "nothing_new", "missed", "put_off", "refused"])
                        ),
                        name="schedule_run_state_known",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="job",
            name="schedule_run",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="jobs",
                to="jobs.schedulerun",
            ),
        ),
        migrations.CreateModel(
            name="Snapshot",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64, unique=True)),
                ("engine", models.CharField(max_length=32)),
                ("ref", models.JSONField(default=dict)),
                ("content", models.JSONField(default=list)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("present", "Present"),
                            ("deleting", "Being deleted"),
                            ("deleted", "Deleted"),
                            ("missing", "Missing"),
                        ],
                        default="present",
                        max_length=10,
                    ),
                ),
                ("state_reason", models.TextField(blank=True)),
                ("missing_at", models.DateTimeField(blank=True, null=True)),
                (
                    "is_pinned",
                    models.BooleanField(
                        default=False, help_text="Kept whatever the retention says.", verbose_name="pinned"
                    ),
                ),
                ("pin_reason", models.CharField(blank=True, max_length=200)),
                (
                    "pinned_until",
                    models.DateTimeField(blank=True, help_text="Empty = until somebody unpins it.", null=True),
                ),
                (
                    "initiator",
                    models.CharField(
                        choices=[
                            ("person", "Person"),
                            ("script", "Script"),
                            ("schedule", "Schedule"),
                            ("inline", "Inline"),
                        ],
                        default="person",
                        max_length=10,
                    ),
                ),
                ("level_number", models.PositiveSmallIntegerField(blank=True, null=True)),
                (
                    "catalog_state",
                    models.CharField(
                        choices=[
                            ("skipped", "Skipped"),
                            ("pending", "Pending"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("aged", "Aged"),
                        ],
                        default="skipped",
                        max_length=8,
                    ),
                ),
                ("catalog_reason", models.TextField(blank=True)),
                ("retain_until", models.DateTimeField(blank=True, null=True)),
                ("retain_reason", models.TextField(blank=True)),
                ("aged_at", models.DateTimeField(blank=True, null=True)),
                ("aged_reason", models.TextField(blank=True)),
                ("deletion_failures", models.PositiveSmallIntegerField(default=0)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "asked_level",
                    models.CharField(
                        choices=[("full", "Full"), ("differential", "Differential"), ("incremental", "Incremental")],
                        default="incremental",
                        max_length=12,
                    ),
                ),
                (
                    "ran_level",
                    models.CharField(
                        choices=[("full", "Full"), ("differential", "Differential"), ("incremental", "Incremental")],
                        default="full",
                        max_length=12,
                    ),
                ),
                ("exclusive_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("taken_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "job",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="snapshots_taken",
                        to="jobs.job",
                    ),
                ),
                (
                    "subclient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="snapshots", to="policies.subclient"
                    ),
                ),
            ],
            options={
                "ordering": ["-taken_at", "-pk"],
                "indexes": [models.Index(fields=["subclient", "-taken_at"], name="snapshot_by_subclient")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("name__startswith", "sc-")), name="snapshot_name_is_ours"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["present", "deleting", "deleted", "missing"])),
                        name="snapshot_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("pinned_until__isnull", True), ("is_pinned", True), _connector="OR"),
                        name="snapshot_pinned_until_is_pinned",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("missing_at__isnull", False), ("state", "missing")),
                            models.Q(models.Q(("state", "missing"), _negated=True), ("missing_at__isnull", True)),
                            _connector="OR",
                        ),
                        name="snapshot_missing_has_a_time",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="job",
            name="snapshot",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="jobs",
                to="jobs.snapshot",
            ),
        ),
        migrations.AddField(
            model_name="backupcopy",
            name="snapshot",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="backup_copies", to="jobs.snapshot"
            ),
        ),
        migrations.CreateModel(
            name="SnapshotMount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("node_label", models.CharField(blank=True, max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("mounting", "Mounting"),
                            ("mounted", "Mounted"),
                            ("unmounting", "Unmounting"),
                            ("unmounted", "Unmounted"),
                        ],
                        default="mounting",
                        max_length=10,
                    ),
                ),
                (
                    "way",
                    models.CharField(
                        choices=[("bind", "Mounted read-only"), ("link", "Linked")], default="bind", max_length=4
                    ),
                ),
                ("path", models.TextField(blank=True)),
                ("mounted_by_label", models.CharField(blank=True, max_length=150)),
                ("expires_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("mounted_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("end_reason", models.TextField(blank=True)),
                (
                    "mounted_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="mounts",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "node",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="mounts",
                        to="policies.accessnode",
                    ),
                ),
                (
                    "snapshot",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="mounts", to="jobs.snapshot"
                    ),
                ),
            ],
            options={
                "verbose_name": "snapshot mount",
                "ordering": ["-pk"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["mounting", "mounted", "unmounting"])),
                        fields=["expires_at"],
                        name="mount_to_expire",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["mounting", "mounted", "unmounting", "unmounted"])),
                        name="mount_state_known",
                    ),
                    models.CheckConstraint(condition=models.Q(("way__in", ["bind", "link"])), name="mount_way_known"),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["mounting", "mounted", "unmounting"])),
                        fields=("snapshot",),
                        name="mount_one_active_per_snapshot",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["mounted", "unmounting"])),
                        fields=("node", "path"),
                        name="mount_one_per_node_and_path",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["mounted", "unmounting"]), _negated=True),
                            models.Q(models.Q(("path", ""), _negated=True), ("mounted_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="mount_mounted_has_a_path",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", False), ("state", "unmounted")),
                            models.Q(models.Q(("state", "unmounted"), _negated=True), ("ended_at__isnull", True)),
                            _connector="OR",
                        ),
                        name="mount_ended_exactly_when_unmounted",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("expires_at__gt", models.F("created_at"))), name="mount_expires_later"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SnapshotReplica",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("not_selected", "Not selected"),
                            ("candidate", "Candidate"),
                            ("to_be_copied", "To be copied"),
                            ("copying", "Copying"),
                            ("copied", "Copied"),
                            ("partial", "Partial"),
                            ("skipped", "Skipped"),
                            ("failed", "Failed"),
                            ("prevented", "Prevented"),
                            ("aged", "Aged"),
                        ],
                        default="to_be_copied",
                        max_length=12,
                    ),
                ),
                ("state_reason", models.TextField(blank=True)),
                (
                    "mark",
                    models.CharField(
                        blank=True,
                        choices=[("", "By rule"), ("pick", "Picked"), ("prevent", "Prevented")],
                        default="",
                        max_length=8,
                    ),
                ),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("ref", models.JSONField(blank=True, default=dict)),
                ("sent_bytes", models.PositiveBigIntegerField(default=0)),
                ("copied_at", models.DateTimeField(blank=True, null=True)),
                ("retain_until", models.DateTimeField(blank=True, null=True)),
                ("retain_reason", models.TextField(blank=True)),
                ("aged_at", models.DateTimeField(blank=True, null=True)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "base",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="based_on_this",
                        to="jobs.snapshotreplica",
                    ),
                ),
                (
                    "copy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="replicas", to="policies.copy"
                    ),
                ),
                (
                    "file_server",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="replicas", to="policies.fileserver"
                    ),
                ),
                (
                    "job",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="replicas_made",
                        to="jobs.job",
                    ),
                ),
                (
                    "snapshot",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="replicas", to="jobs.snapshot"
                    ),
                ),
            ],
            options={
                "ordering": ["-snapshot__taken_at", "copy__precedence"],
                "indexes": [models.Index(fields=["copy", "state"], name="replica_by_state")],
                "constraints": [
                    models.UniqueConstraint(fields=("snapshot", "copy"), name="replica_once_per_snapshot_and_copy"),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                [
                                    "not_selected",
                                    "candidate",
                                    "to_be_copied",
                                    "copying",
                                    "copied",
                                    "partial",
                                    "skipped",
                                    "failed",
                                    "prevented",
                                    "aged",
                                ],
                            )
                        ),
                        name="replica_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "copied"), _negated=True), ("copied_at__isnull", False), _connector="OR"
                        ),
                        name="replica_copied_has_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("aged_at__isnull", False), ("state", "aged")),
                            models.Q(
                                models.Q(("state", "aged"), _negated=True),
                                ("aged_at__isnull", True),
                                ("deleted_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="replica_aged_has_a_time",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="job",
            name="replica",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="jobs",
                to="jobs.snapshotreplica",
            ),
        ),
        migrations.AddConstraint(
            model_name="backupcopy",
            constraint=models.UniqueConstraint(
                fields=("snapshot", "copy"), name="backup_copy_once_per_snapshot_and_copy"
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "operation__in",
                        [
                            "snapshot",
                            "backup_copy",
                            "secondary_copy",
                            "restore",
                            "delete_snapshot",
                            "aging",
                            "prune",
                            "verify",
                            "repair",
                            "attach",
                            "drill",
                            "catalog",
                            "revert",
                            "mount",
                            "unmount",
                            "reconcile",
                            "test",
                            "demo",
                        ],
                    )
                ),
                name="job_operation_known",
            ),
        ),
    ]
