"""A version of a path names its subclient, so that one index finds a part of a name within a subclient."""

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.text
from django.contrib.postgres.operations import BtreeGinExtension
from django.db import migrations, models

FILL = """
UPDATE jobs_catalogversion version SET subclient_id = folder.subclient_id
FROM jobs_catalogfolder folder WHERE folder.id = version.folder_id"""


def _subclient(*, null: bool) -> models.ForeignKey:
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        null=null,
        on_delete=django.db.models.deletion.CASCADE,
        related_name="catalog_versions",
        to="policies.subclient",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0007_verification"),
        ("policies", "0007_verification_schedules"),
    ]

    operations = [
        BtreeGinExtension(),
        migrations.RemoveIndex(model_name="catalogversion", name="catalog_version_by_part"),
        migrations.RemoveIndex(model_name="catalogversion", name="catalog_version_by_end"),
        migrations.RemoveIndex(model_name="catalogversion", name="catalog_version_by_start"),
        migrations.AddField(model_name="catalogversion", name="subclient", field=_subclient(null=True)),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AlterField(model_name="catalogversion", name="subclient", field=_subclient(null=False)),
        migrations.AddIndex(
            model_name="catalogversion",
            index=django.contrib.postgres.indexes.GinIndex(
                models.F("subclient"),
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("name"), name="gin_trgm_ops"
                ),
                name="catalog_version_by_part",
            ),
        ),
        migrations.AddIndex(
            model_name="catalogversion",
            index=models.Index(
                condition=models.Q(("until_at__isnull", False)),
                fields=["subclient", "until_at"],
                name="catalog_version_by_end",
            ),
        ),
        migrations.AddIndex(
            model_name="catalogversion",
            index=models.Index(fields=["subclient", "first_at"], name="catalog_version_by_start"),
        ),
    ]
