"""What a user is limited to."""

from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("policies", "0004_catalog"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="UserScope",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="scope",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "file_servers",
                    models.ManyToManyField(blank=True, related_name="scopes", to="policies.fileserver"),
                ),
                (
                    "subclients",
                    models.ManyToManyField(blank=True, related_name="scopes", to="policies.subclient"),
                ),
            ],
            options={"ordering": ["user__username"]},
        ),
    ]
