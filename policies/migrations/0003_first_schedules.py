"""An installation from before schedules gets those that a new one begins with, so that its retention takes effect."""

from django.db import migrations

from policies.foundation import add_first_schedules


def add(apps, schema_editor):
    using = schema_editor.connection.alias
    installation = apps.get_model("policies", "Installation").objects.using(using).filter(pk=1).first()
    schedules = apps.get_model("policies", "Schedule").objects.using(using)
    if installation is not None and not schedules.exists():
        add_first_schedules(schedules, zone=installation.time_zone)


class Migration(migrations.Migration):
    dependencies = [("policies", "0002_rules")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
