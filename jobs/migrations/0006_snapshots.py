import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0005_catalog_jobs"),
        ("policies", "0004_catalog"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
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
            ],
            options={
                "verbose_name": "snapshot mount",
                "ordering": ["-pk"],
            },
        ),
        migrations.AddField(
            model_name="snapshot",
            name="missing_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="snapshot",
            name="pin_reason",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name="snapshot",
            name="state_reason",
            field=models.TextField(blank=True),
        ),
        migrations.RunSQL(
            "UPDATE jobs_snapshot SET missing_at = now() WHERE state = 'missing'",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="snapshot",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("missing_at__isnull", False), ("state", "missing")),
                    models.Q(models.Q(("state", "missing"), _negated=True), ("missing_at__isnull", True)),
                    _connector="OR",
                ),
                name="snapshot_missing_has_a_time",
            ),
        ),
        migrations.AddField(
            model_name="snapshotmount",
            name="mounted_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="mounts",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="snapshotmount",
            name="node",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="mounts",
                to="policies.accessnode",
            ),
        ),
        migrations.AddField(
            model_name="snapshotmount",
            name="snapshot",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="mounts", to="jobs.snapshot"
            ),
        ),
        migrations.AddIndex(
            model_name="snapshotmount",
            index=models.Index(
                condition=models.Q(("state__in", ["mounting", "mounted", "unmounting"])),
                fields=["expires_at"],
                name="mount_to_expire",
            ),
        ),
        migrations.AddConstraint(
            model_name="snapshotmount",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["mounting", "mounted", "unmounting", "unmounted"])),
                name="mount_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="snapshotmount",
            constraint=models.CheckConstraint(
                condition=models.Q(("way__in", ["bind", "link"])), name="mount_way_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="snapshotmount",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["mounting", "mounted", "unmounting"])),
                fields=("snapshot",),
                name="mount_one_active_per_snapshot",
            ),
        ),
        migrations.AddConstraint(
            model_name="snapshotmount",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["mounted", "unmounting"])),
                fields=("node", "path"),
                name="mount_one_per_node_and_path",
            ),
        ),
        migrations.AddConstraint(
            model_name="snapshotmount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["mounted", "unmounting"]), _negated=True),
                    models.Q(models.Q(("path", ""), _negated=True), ("mounted_at__isnull", False)),
                    _connector="OR",
                ),
                name="mount_mounted_has_a_path",
            ),
        ),
        migrations.AddConstraint(
            model_name="snapshotmount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", False), ("state", "unmounted")),
                    models.Q(models.Q(("state", "unmounted"), _negated=True), ("ended_at__isnull", True)),
                    _connector="OR",
                ),
                name="mount_ended_exactly_when_unmounted",
            ),
        ),
        migrations.AddConstraint(
            model_name="snapshotmount",
            constraint=models.CheckConstraint(
                condition=models.Q(("expires_at__gt", models.F("created_at"))), name="mount_expires_later"
            ),
        ),
    ]
