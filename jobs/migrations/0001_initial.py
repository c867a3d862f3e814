import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("policies", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
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
                        ],
                        default="to_be_copied",
                        max_length=12,
                    ),
                ),
                ("state_reason", models.TextField(blank=True)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                (
                    "ran_level",
                    models.CharField(
                        blank=True, choices=[("full", "Full"), ("incremental", "Incremental")], max_length=12
                    ),
                ),
                ("snapshot_file_id", models.CharField(blank=True, max_length=64, null=True)),
                ("tree_id", models.CharField(blank=True, max_length=64, null=True)),
                ("files", models.PositiveBigIntegerField(default=0)),
                ("logical_bytes", models.PositiveBigIntegerField(default=0)),
                ("new_bytes", models.PositiveBigIntegerField(default=0)),
                ("stored_bytes", models.PositiveBigIntegerField(default=0)),
                ("exceptions", models.PositiveBigIntegerField(default=0)),
                ("copied_at", models.DateTimeField(blank=True, null=True)),
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
                            ("restore", "Restore"),
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
                        blank=True, choices=[("full", "Full"), ("incremental", "Incremental")], max_length=12
                    ),
                ),
                (
                    "ran_level",
                    models.CharField(
                        blank=True, choices=[("full", "Full"), ("incremental", "Incremental")], max_length=12
                    ),
                ),
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
                (
                    "is_pinned",
                    models.BooleanField(
                        default=False, help_text="Kept whatever the retention says.", verbose_name="pinned"
                    ),
                ),
                (
                    "asked_level",
                    models.CharField(
                        choices=[("full", "Full"), ("incremental", "Incremental")], default="incremental", max_length=12
                    ),
                ),
                (
                    "ran_level",
                    models.CharField(
                        choices=[("full", "Full"), ("incremental", "Incremental")], default="full", max_length=12
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
        migrations.AddIndex(
            model_name="snapshot",
            index=models.Index(fields=["subclient", "-taken_at"], name="snapshot_by_subclient"),
        ),
        migrations.AddConstraint(
            model_name="snapshot",
            constraint=models.CheckConstraint(
                condition=models.Q(("name__startswith", "sc-")), name="snapshot_name_is_ours"
            ),
        ),
        migrations.AddConstraint(
            model_name="snapshot",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["present", "deleting", "deleted", "missing"])),
                name="snapshot_state_known",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["state", "-id"], name="job_by_state"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["subclient", "-id"], name="job_by_subclient"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["operation", "-id"], name="job_by_operation"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["-finished_at"], name="job_by_end"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state__in", ["pending", "queued", "running", "suspended", "waiting"])),
                fields=["id"],
                name="job_active",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(("operation__in", ["snapshot", "backup_copy", "restore", "test", "demo"])),
                name="job_operation_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(("want__in", ["run", "kill", "suspend"])), name="job_want_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(condition=models.Q(("attempt__gte", 1)), name="job_attempt_from_1"),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("operation", "backup_copy"),
                    ("state__in", ["pending", "queued", "running", "suspended", "waiting"]),
                ),
                fields=("subclient", "copy"),
                name="job_one_active_backup_copy",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "running"), _negated=True),
                    models.Q(
                        ("heartbeat_at__isnull", False), ("lease_pid__isnull", False), ("started_at__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="job_running_has_a_lease",
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "queued"), _negated=True),
                    models.Q(("node__isnull", False), ("queued_at__isnull", False)),
                    _connector="OR",
                ),
                name="job_queued_on_a_node",
            ),
        ),
        migrations.AddIndex(
            model_name="backupcopy",
            index=models.Index(fields=["copy", "state"], name="backup_copy_by_state"),
        ),
        migrations.AddConstraint(
            model_name="backupcopy",
            constraint=models.UniqueConstraint(
                fields=("snapshot", "copy"), name="backup_copy_once_per_snapshot_and_copy"
            ),
        ),
        migrations.AddConstraint(
            model_name="backupcopy",
            constraint=models.CheckConstraint(
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
                        ],
                    )
                ),
                name="backup_copy_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="backupcopy",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["copied", "partial"]), _negated=True),
                    models.Q(
                        ("copied_at__isnull", False), ("snapshot_file_id__isnull", False), ("tree_id__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="backup_copy_on_media_has_a_file",
            ),
        ),
        migrations.AddConstraint(
            model_name="backupcopy",
            constraint=models.CheckConstraint(
                condition=models.Q(models.Q(("state", "copied"), _negated=True), ("exceptions", 0), _connector="OR"),
                name="backup_copy_copied_has_no_exceptions",
            ),
        ),
    ]
