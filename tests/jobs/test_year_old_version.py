"""One file as it was a year ago: found by its time, downloaded and restored, byte for byte (RULES V3, S4)."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import CatalogVersion, Job, JobState, Operation, Snapshot
from jobs.services import launch_backup_copy, launch_snapshot
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.jobs.farm import Farm, configure, picture, wait

YEAR = timedelta(days=366)


def test_V3_a_version_of_a_year_ago_comes_back_byte_for_byte(farm: Farm, tmp_path: Path) -> None:
    subclient = configure(tmp_path, catalog="inline")
    chance = random.Random(5)
    file = tmp_path / "source" / "plan"
    (before, after) = chance.randbytes(300_000), chance.randbytes(300_000)
    file.write_bytes(before)
    wait(launch_snapshot(subclient))
    wait(launch_backup_copy(subclient))
    Snapshot.objects.update(taken_at=F("taken_at") - YEAR)
    CatalogVersion.objects.update(first_at=F("first_at") - YEAR)
    file.write_bytes(after)
    wait(launch_snapshot(subclient))
    wait(launch_backup_copy(subclient))
    assert CatalogVersion.objects.filter(name="plan").count() == 2, picture()

    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    at = timezone.localtime(timezone.now() - YEAR + timedelta(days=30))
    moment = {"at": at.strftime("%Y-%m-%dT%H:%M"), "path": str(tmp_path / "source")}
    found = client.get(reverse("browse-at", args=("server-tree", "tree")), moment, follow=True)
    old = Snapshot.objects.earliest("taken_at")
    assert found.redirect_chain[-1][0].startswith(reverse("browse", args=(old.pk,)))
    assert "plan" in found.content.decode()
    answer = client.get(reverse("download-file", args=(old.pk,)), {"path": str(file)})
    assert b"".join(answer) == before

    target = tmp_path / "back"
    typed = {"where": "elsewhere", "target": str(target), "overwrite": "never", "with_metadata": "on"}
    chosen = typed | {"paths": [str(file).encode().hex()]}
    client.post(reverse("restore-start", args=(old.pk,)), chosen)
    job = wait(Job.objects.filter(operation=Operation.RESTORE).latest("pk"))
    assert job.state == JobState.COMPLETED, picture()
    (restored,) = [path for path in target.rglob("plan") if path.is_file()]
    assert restored.read_bytes() == before
    assert file.read_bytes() == after
