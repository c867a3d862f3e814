"""What a new installation begins with, in one step: 0001_initial to 0009_media_limits, which older ones came through."""

import django.core.validators
import django.db.models.constraints
import django.db.models.deletion
import django.db.models.lookups
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("policies", "0001_initial"),
        ("policies", "0002_rules"),
        ("policies", "0003_first_schedules"),
        ("policies", "0004_catalog"),
        ("policies", "0005_user_scope"),
        ("policies", "0006_catalog_by_default"),
        ("policies", "0007_verification_schedules"),
        ("policies", "0008_node_address"),
        ("policies", "0009_media_limits"),
    ]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BlackoutWindow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "name",
                    models.CharField(
                        max_length=64,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\\Z",
                                "Use letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                    ),
                ),
                ("operations", models.JSONField(blank=True, default=list)),
                ("days", models.JSONField(default=list)),
                ("starts_at", models.TimeField()),
                ("ends_at", models.TimeField()),
                ("time_zone", models.CharField(default="UTC", max_length=64)),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="AccessNode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "name",
                    models.CharField(
                        help_text="Short name of the host, as its worker was started with.",
                        max_length=64,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\\Z",
                                "Use letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                    ),
                ),
                (
                    "slots",
                    models.PositiveSmallIntegerField(
                        default=2, help_text="How many jobs it runs at the same time, 1 to 64."
                    ),
                ),
                (
                    "is_draining",
                    models.BooleanField(
                        default=False, help_text="Finishes what it runs and takes nothing new.", verbose_name="draining"
                    ),
                ),
                (
                    "is_enabled",
                    models.BooleanField(
                        default=True, help_text="Switched off, it is never chosen.", verbose_name="enabled"
                    ),
                ),
                (
                    "address",
                    models.CharField(
                        blank=True,
                        help_text="Name or IP address at which other access nodes reach it. Empty: the host name that it reports.",
                        max_length=255,
                    ),
                ),
                ("hostname", models.CharField(blank=True, max_length=255)),
                ("version", models.CharField(blank=True, max_length=32)),
                ("pid", models.PositiveIntegerField(blank=True, null=True)),
                ("boot_id", models.CharField(blank=True, max_length=64)),
                ("cores", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("load_1m", models.FloatField(blank=True, null=True)),
                ("memory_total_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("memory_free_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("busy_slots", models.PositiveSmallIntegerField(default=0)),
                ("last_seen_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("slots__gte", 1), ("slots__lte", 64)), name="access_node_slots_1_to_64"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="FileServer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "name",
                    models.CharField(
                        max_length=64,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\\Z",
                                "Use letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                    ),
                ),
                ("description", models.TextField(blank=True)),
                ("engine", models.CharField(max_length=32, verbose_name="snapshot engine")),
                ("options", models.JSONField(blank=True, default=dict)),
                ("max_sessions", models.PositiveSmallIntegerField(default=4)),
                ("max_incrementals", models.PositiveIntegerField(blank=True, null=True)),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("last_test", models.JSONField(blank=True, null=True)),
                ("last_tested_at", models.DateTimeField(blank=True, null=True)),
                (
                    "access_nodes",
                    models.ManyToManyField(blank=True, related_name="file_servers", to="policies.accessnode"),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("max_sessions__gte", 1)), name="file_server_sessions_at_least_1"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("max_incrementals__isnull", True),
                            models.Q(("max_incrementals__gte", 1), ("max_incrementals__isnull", False)),
                            _connector="OR",
                        ),
                        name="file_server_incrementals_at_least_1",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Installation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("install_id", models.CharField(editable=False, max_length=8)),
                (
                    "time_zone",
                    models.CharField(
                        default="UTC",
                        help_text="Days, weeks and months of selection and retention are those of this zone.",
                        max_length=64,
                    ),
                ),
                (
                    "week_start",
                    models.PositiveSmallIntegerField(
                        choices=[
                            (0, "Monday"),
                            (1, "Tuesday"),
                            (2, "Wednesday"),
                            (3, "Thursday"),
                            (4, "Friday"),
                            (5, "Saturday"),
                            (6, "Sunday"),
                        ],
                        default=4,
                        verbose_name="weeks start on",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("pk", 1)), name="installation_is_one_row"),
                    models.CheckConstraint(
                        condition=models.Q(("week_start__lte", 6)), name="installation_week_starts_on_a_day"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("install_id__regex", "^[0-9a-z]{8}$")), name="installation_id_form"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Media",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "name",
                    models.CharField(
                        max_length=64,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\\Z",
                                "Use letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                    ),
                ),
                ("description", models.TextField(blank=True)),
                ("kind", models.CharField(max_length=32)),
                ("options", models.JSONField(blank=True, default=dict)),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "bandwidth_limit",
                    models.PositiveBigIntegerField(blank=True, help_text="Bytes per second.", null=True),
                ),
                ("bandwidth_calendar", models.TextField(blank=True, help_text="Lines like Mon-Fri 08-18: 20 MiB/s.")),
                ("parallel_transfers", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("retries", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("timeout_seconds", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("repository_id", models.CharField(blank=True, editable=False, max_length=64, null=True)),
                ("last_test", models.JSONField(blank=True, null=True)),
                ("last_tested_at", models.DateTimeField(blank=True, null=True)),
                ("total_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("free_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("stored_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("measured_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "medium",
                "verbose_name_plural": "media",
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(fields=("repository_id",), name="media_one_row_per_repository"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("repository_id__isnull", True),
                            models.Q(("repository_id", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="media_repository_id_not_empty",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("bandwidth_limit__isnull", True), ("bandwidth_limit__gte", 65536), _connector="OR"
                        ),
                        name="media_bandwidth_from_64_kib",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("parallel_transfers__isnull", True),
                            models.Q(("parallel_transfers__gte", 1), ("parallel_transfers__lte", 64)),
                            _connector="OR",
                        ),
                        name="media_transfers_1_to_64",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("retries__isnull", True), ("retries__lte", 50), _connector="OR"),
                        name="media_retries_at_most_50",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("timeout_seconds__isnull", True),
                            models.Q(("timeout_seconds__gte", 5), ("timeout_seconds__lte", 3600)),
                            _connector="OR",
                        ),
                        name="media_timeout_5_s_to_an_hour",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Copy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "name",
                    models.CharField(
                        max_length=64,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\\Z",
                                "Use letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("primary_snap", "Primary snap copy"),
                            ("secondary_snap", "Secondary snap copy"),
                            ("primary_backup", "Primary backup copy"),
                            ("secondary_backup", "Secondary backup copy"),
                        ],
                        max_length=20,
                    ),
                ),
                ("precedence", models.PositiveSmallIntegerField()),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "retention",
                    models.CharField(
                        choices=[
                            ("infinite", "For ever"),
                            ("basic", "Days and cycles"),
                            ("days", "Days"),
                            ("count", "Number of snapshots"),
                            ("spool", "Spool copy (no retention)"),
                        ],
                        default="infinite",
                        max_length=10,
                    ),
                ),
                ("retention_days", models.PositiveIntegerField(blank=True, null=True, verbose_name="days")),
                ("retention_cycles", models.PositiveIntegerField(blank=True, null=True, verbose_name="cycles")),
                (
                    "retention_count",
                    models.PositiveIntegerField(blank=True, null=True, verbose_name="number of snapshots"),
                ),
                ("ages", models.BooleanField(default=True, verbose_name="aging on")),
                (
                    "media_agents",
                    models.ManyToManyField(blank=True, related_name="agent_of_copies", to="policies.accessnode"),
                ),
                (
                    "source",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fed_copies",
                        to="policies.copy",
                    ),
                ),
                (
                    "target_server",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replicated_copies",
                        to="policies.fileserver",
                    ),
                ),
                (
                    "media",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="copies",
                        to="policies.media",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "copies",
                "ordering": ["policy", "precedence"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind__in", ["primary_backup", "secondary_backup"]), ("media__isnull", False)),
                            models.Q(("kind__in", ["primary_snap", "secondary_snap"]), ("media__isnull", True)),
                            _connector="OR",
                        ),
                        name="copy_media_exactly_for_backup_kinds",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("precedence__gte", 1)), name="copy_precedence_at_least_1"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("retention", "infinite"),
                                ("retention_days__isnull", True),
                                ("retention_cycles__isnull", True),
                                ("retention_count__isnull", True),
                            ),
                            models.Q(
                                ("kind__in", ["primary_backup", "secondary_backup"]),
                                ("retention", "basic"),
                                ("retention_cycles__isnull", False),
                                ("retention_days__isnull", False),
                                models.Q(("retention_days__gte", 1), ("retention_cycles__gte", 1), _connector="OR"),
                                ("retention_count__isnull", True),
                            ),
                            models.Q(
                                ("retention", "days"),
                                ("retention_days__gte", 1),
                                ("retention_days__isnull", False),
                                ("kind__in", ["primary_snap", "secondary_snap"]),
                                ("retention_cycles__isnull", True),
                                ("retention_count__isnull", True),
                            ),
                            models.Q(
                                ("retention", "count"),
                                ("retention_count__gte", 1),
                                ("retention_count__isnull", False),
                                ("kind__in", ["primary_snap", "secondary_snap"]),
                                ("retention_cycles__isnull", True),
                                ("retention_days__isnull", True),
                            ),
                            models.Q(
                                ("kind", "primary_snap"),
                                ("retention", "spool"),
                                ("retention_days__isnull", True),
                                ("retention_cycles__isnull", True),
                                ("retention_count__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="copy_retention_fits_kind",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "secondary_snap"), ("target_server__isnull", False)),
                            models.Q(
                                models.Q(("kind", "secondary_snap"), _negated=True), ("target_server__isnull", True)
                            ),
                            _connector="OR",
                        ),
                        name="copy_target_exactly_for_secondary_snap",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("source__isnull", True),
                            ("kind__in", ["secondary_snap", "secondary_backup"]),
                            _connector="OR",
                        ),
                        name="copy_source_only_for_secondary",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RestartPolicy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("operation", models.CharField(max_length=16, unique=True)),
                ("times", models.PositiveSmallIntegerField()),
                ("first_seconds", models.PositiveIntegerField(default=30)),
                ("most_seconds", models.PositiveIntegerField(default=3600)),
                ("total_hours", models.PositiveIntegerField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "restart policies",
                "ordering": ["operation"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("first_seconds__gte", 1), ("most_seconds__gte", 1)),
                        name="restart_waits_from_1_s",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Secret",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("field", models.CharField(max_length=64)),
                ("token", models.TextField(editable=False)),
                ("key_id", models.CharField(editable=False, max_length=16)),
                (
                    "file_server",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="secrets",
                        to="policies.fileserver",
                    ),
                ),
                (
                    "media",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="secrets",
                        to="policies.media",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("file_server__isnull", True), ("media__isnull", False)),
                            models.Q(("file_server__isnull", False), ("media__isnull", True)),
                            _connector="OR",
                        ),
                        name="secret_has_exactly_one_owner",
                    ),
                    models.UniqueConstraint(fields=("media", "field"), name="secret_unique_media_field"),
                    models.UniqueConstraint(fields=("file_server", "field"), name="secret_unique_file_server_field"),
                ],
            },
        ),
        migrations.CreateModel(
            name="StoragePolicy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "name",
                    models.CharField(
                        max_length=64,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\\Z",
                                "Use letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                    ),
                ),
                ("description", models.TextField(blank=True)),
                ("is_inline", models.BooleanField(default=False, verbose_name="inline backup copy")),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("allow_primary", models.BooleanField(default=False)),
                (
                    "selection",
                    models.CharField(
                        choices=[
                            ("all", "All snapshots"),
                            ("fulls", "All fulls"),
                            ("first_full", "First full of each period"),
                            ("last_full", "Last full of each period"),
                        ],
                        default="all",
                        max_length=12,
                    ),
                ),
                (
                    "selection_period",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("hour", "Hour"),
                            ("day", "Day"),
                            ("week", "Week"),
                            ("month", "Month"),
                            ("quarter", "Quarter"),
                            ("half_year", "Half-year"),
                            ("year", "Year"),
                        ],
                        max_length=10,
                    ),
                ),
                ("selection_starts_on", models.DateField(blank=True, null=True, verbose_name="start date")),
                ("defer_days", models.PositiveSmallIntegerField(default=0)),
                (
                    "catalog",
                    models.CharField(
                        choices=[
                            ("inline", "Inline: a phase of the snapshot job"),
                            ("deferred", "Deferred: by a schedule"),
                            ("skip", "Skip"),
                        ],
                        default="inline",
                        max_length=10,
                    ),
                ),
                ("alert_after_hours", models.PositiveSmallIntegerField(default=48)),
                ("overdue_after_days", models.PositiveSmallIntegerField(default=14)),
                (
                    "overdue_action",
                    models.CharField(
                        choices=[
                            ("alert", "Alert only"),
                            ("skip_older", "Skip the older and copy the newest"),
                            ("keep_waiting", "Keep waiting"),
                        ],
                        default="alert",
                        max_length=12,
                    ),
                ),
                ("offline_attempts", models.PositiveSmallIntegerField(default=10)),
                ("offline_days", models.PositiveSmallIntegerField(default=5)),
                (
                    "backup_source",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="source_of_policies",
                        to="policies.copy",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "storage policies",
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("selection__in", ["first_full", "last_full"]),
                                models.Q(("selection_period", ""), _negated=True),
                            ),
                            models.Q(
                                models.Q(("selection__in", ["first_full", "last_full"]), _negated=True),
                                ("selection_period", ""),
                            ),
                            _connector="OR",
                        ),
                        name="policy_period_exactly_for_first_and_last",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("alert_after_hours__gte", 1), ("offline_attempts__gte", 1), ("overdue_after_days__gte", 1)
                        ),
                        name="policy_waits_at_least_1",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="copy",
            name="policy",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="copies", to="policies.storagepolicy"
            ),
        ),
        migrations.CreateModel(
            name="Subclient",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "name",
                    models.CharField(
                        max_length=64,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\\Z",
                                "Use letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                    ),
                ),
                ("description", models.TextField(blank=True)),
                ("content_paths", models.JSONField()),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("pre_command", models.CharField(blank=True, max_length=500)),
                ("post_command", models.CharField(blank=True, max_length=500)),
                ("aging_frozen_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("aging_frozen_reason", models.TextField(blank=True, editable=False)),
                (
                    "access_nodes",
                    models.ManyToManyField(blank=True, related_name="subclients", to="policies.accessnode"),
                ),
                (
                    "file_server",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="subclients", to="policies.fileserver"
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subclients",
                        to="policies.storagepolicy",
                    ),
                ),
            ],
            options={
                "ordering": ["file_server__name", "name"],
                "constraints": [
                    models.UniqueConstraint(fields=("file_server", "name"), name="subclient_unique_name_on_server"),
                    models.CheckConstraint(
                        condition=models.Q(
                            django.db.models.lookups.Exact(
                                models.Func(models.F("content_paths"), function="jsonb_typeof"), models.Value("array")
                            )
                        ),
                        name="subclient_content_is_a_list",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            django.db.models.lookups.GreaterThan(
                                models.Func(
                                    models.Func(
                                        models.F("content_paths"),
                                        models.Value("$[*]"),
                                        function="jsonb_path_query_array",
                                    ),
                                    function="jsonb_array_length",
                                    output_field=models.IntegerField(),
                                ),
                                models.Value(0),
                            )
                        ),
                        name="subclient_content_not_empty",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Func(
                                models.F("content_paths"),
                                models.Value('strict $[*] ? (@.type() != "string" || !(@ like_regex "^/"))'),
                                models.Value({}, output_field=models.JSONField()),
                                models.Value(value=True),
                                function="jsonb_path_exists",
                                output_field=models.BooleanField(),
                            ),
                            _negated=True,
                        ),
                        name="subclient_content_is_absolute_paths",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="storagepolicy",
            name="excluded_subclients",
            field=models.ManyToManyField(blank=True, related_name="excluded_by_policies", to="policies.subclient"),
        ),
        migrations.CreateModel(
            name="Schedule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "name",
                    models.CharField(
                        max_length=64,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\\Z",
                                "Use letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.",
                            )
                        ],
                    ),
                ),
                ("description", models.TextField(blank=True)),
                (
                    "operation",
                    models.CharField(
                        choices=[
                            ("snapshot", "Snapshot"),
                            ("backup_copy", "Backup copy"),
                            ("secondary_copy", "Secondary copy"),
                            ("aging", "Aging"),
                            ("prune", "Pruning"),
                            ("verify", "Verification"),
                            ("drill", "Restore drill"),
                            ("catalog", "Deferred catalog"),
                            ("reconcile", "Reconciliation"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "level",
                    models.CharField(
                        choices=[("full", "Full"), ("incremental", "Incremental"), ("differential", "Differential")],
                        default="incremental",
                        max_length=12,
                    ),
                ),
                (
                    "verify_how",
                    models.CharField(
                        choices=[
                            ("days", "Everything within a number of days"),
                            ("percent", "A part each time"),
                            ("structure", "Only the structure"),
                        ],
                        default="percent",
                        max_length=10,
                    ),
                ),
                ("verify_percent", models.PositiveSmallIntegerField(default=5)),
                ("verify_days", models.PositiveSmallIntegerField(default=30)),
                ("drill_files", models.PositiveSmallIntegerField(default=25)),
                ("drill_mib", models.PositiveIntegerField(default=1024, verbose_name="drill MiB")),
                ("cron", models.CharField(max_length=120)),
                ("time_zone", models.CharField(default="UTC", max_length=64)),
                ("jitter_seconds", models.PositiveIntegerField(default=0, verbose_name="spread over")),
                (
                    "missed",
                    models.CharField(
                        choices=[("catch_up", "Catch up once"), ("skip", "Wait for the next")],
                        default="catch_up",
                        max_length=10,
                        verbose_name="missed runs",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("active_since", models.DateTimeField(blank=True, editable=False, null=True)),
                ("last_slot_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("next_slot_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "copy",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="schedules",
                        to="policies.copy",
                    ),
                ),
                (
                    "file_server",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="schedules",
                        to="policies.fileserver",
                    ),
                ),
                (
                    "media",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="schedules",
                        to="policies.media",
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="schedules",
                        to="policies.storagepolicy",
                    ),
                ),
                (
                    "subclient",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="schedules",
                        to="policies.subclient",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                (
                                    "operation__in",
                                    ["snapshot", "backup_copy", "secondary_copy", "catalog", "drill", "reconcile"],
                                ),
                                models.Q(
                                    models.Q(
                                        ("file_server__isnull", True),
                                        ("policy__isnull", False),
                                        ("subclient__isnull", True),
                                    ),
                                    models.Q(
                                        ("file_server__isnull", False),
                                        ("policy__isnull", True),
                                        ("subclient__isnull", True),
                                    ),
                                    models.Q(
                                        ("file_server__isnull", True),
                                        ("policy__isnull", True),
                                        ("subclient__isnull", False),
                                    ),
                                    _connector="OR",
                                ),
                                ("media__isnull", True),
                            ),
                            models.Q(
                                models.Q(
                                    (
                                        "operation__in",
                                        ["snapshot", "backup_copy", "secondary_copy", "catalog", "drill", "reconcile"],
                                    ),
                                    _negated=True,
                                ),
                                ("file_server__isnull", True),
                                ("policy__isnull", True),
                                ("subclient__isnull", True),
                                ("copy__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="schedule_scope_fits_operation",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("verify_percent__gte", 1), ("verify_percent__lte", 100)),
                        name="schedule_verifies_1_to_100_percent",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("verify_how__in", ["days", "percent", "structure"])),
                        name="schedule_verify_how_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("verify_days__gte", 1)), name="schedule_verifies_within_days_from_1"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("drill_files__gte", 1), ("drill_mib__gte", 1)),
                        name="schedule_drills_at_least_one_file",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("jitter_seconds__lte", 86400)), name="schedule_spread_at_most_a_day"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UserScope",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("file_servers", models.ManyToManyField(blank=True, related_name="scopes", to="policies.fileserver")),
                ("subclients", models.ManyToManyField(blank=True, related_name="scopes", to="policies.subclient")),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="scope", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["user__username"],
            },
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(auto_now_add=True, db_index=True)),
                ("user_label", models.CharField(blank=True, max_length=150)),
                (
                    "how",
                    models.CharField(
                        choices=[("web", "Web"), ("cli", "Cli"), ("api", "Api"), ("system", "System")],
                        default="web",
                        max_length=10,
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("created", "Created"),
                            ("changed", "Changed"),
                            ("deleted", "Deleted"),
                            ("operated", "Operated"),
                        ],
                        max_length=10,
                    ),
                ),
                ("object_kind", models.CharField(max_length=40)),
                ("object_id", models.CharField(max_length=40)),
                ("object_label", models.CharField(max_length=200)),
                ("sentence", models.CharField(blank=True, max_length=300)),
                ("changes", models.JSONField(blank=True, default=dict)),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="audit_entries",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "ordering": ["-at", "-pk"],
                "indexes": [models.Index(fields=["object_kind", "object_id"], name="audit_object")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("action__in", ["created", "changed", "deleted", "operated"])),
                        name="audit_action_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ExtendedRetention",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "period",
                    models.CharField(
                        choices=[
                            ("hour", "Hour"),
                            ("day", "Day"),
                            ("week", "Week"),
                            ("month", "Month"),
                            ("quarter", "Quarter"),
                            ("half_year", "Half-year"),
                            ("year", "Year"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "pick",
                    models.CharField(choices=[("first", "First"), ("last", "Last")], default="first", max_length=5),
                ),
                ("days", models.PositiveIntegerField(blank=True, help_text="Empty = for ever.", null=True)),
                (
                    "copy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="extended", to="policies.copy"
                    ),
                ),
            ],
            options={
                "ordering": ["copy", "position"],
                "constraints": [
                    models.UniqueConstraint(fields=("copy", "position"), name="extended_retention_position_once"),
                    models.UniqueConstraint(fields=("copy", "period"), name="extended_retention_period_once"),
                    models.CheckConstraint(
                        condition=models.Q(("position__gte", 1), ("position__lte", 3)),
                        name="extended_retention_at_most_three",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("days__isnull", True), models.Q(("days__gte", 1), ("days__isnull", False)), _connector="OR"
                        ),
                        name="extended_retention_days_from_1",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="copy",
            constraint=models.UniqueConstraint(fields=("policy", "name"), name="copy_unique_name_in_policy"),
        ),
        migrations.AddConstraint(
            model_name="copy",
            constraint=models.UniqueConstraint(
                deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                fields=("policy", "precedence"),
                name="copy_unique_precedence_in_policy",
            ),
        ),
        migrations.AddConstraint(
            model_name="copy",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "primary_snap")),
                fields=("policy",),
                name="copy_one_primary_snap_per_policy",
            ),
        ),
        migrations.AddConstraint(
            model_name="copy",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "primary_backup")),
                fields=("policy",),
                name="copy_one_primary_backup_per_policy",
            ),
        ),
    ]
