"""Pages of aging, pruning and verification with everything they can show: accessible, and they fit."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs import services
from jobs.models import BackupCopy, CopyState, Job, JobState, Operation
from policies.models import Copy, Media
from snapcopy_site.lib.roles import Role
from tests.browser.accessibility import inspect
from tests.browser.conftest import Visit
from tests.browser.world import World, make_world
from tests.job_factories import make_backup_copy, make_job, make_snapshot

NAMED = "data/ab/" + "ab" * 32
ITEM = {
    "kind": "backup copy",
    "name": "sc-abcdefgh-1-1",
    "subclient": "files-berlin/home",
    "copy": "nightly/backup",
    "reason": "Its cycle is older than 30 days, and 1 newer cycle is kept.",
}
PRUNED = {
    "aged_copies": 3,
    "logical_bytes": 9 * 10**9,
    "freed_bytes": 2 * 10**9,
    "bytes_before": 10 * 10**9,
    "bytes_after": 8 * 10**9,
    "unused_bytes_left": 10**7,
    "packs_removed": 120,
    "packs_repacked": 4,
}
VERIFIED = {
    "ok": False,
    "percent": 5.0,
    "packs_bytes": 10**10,
    "copies_touched": 3,
    "snapshot_files": 12,
    "trees": 4000,
    "packs": 600,
    "packs_read": 30,
    "bytes_read": 5 * 10**8,
    "problems_count": 1,
    "problems": [{"name": NAMED, "sentence": f"{NAMED} is damaged: its checksum is another.", "hint": ""}],
    "touched_count": 1,
    "touched": [{"path": "/srv/home/a/very/long/path/to/a/file", "is_folder": True, "copies": 3}],
}


def upkeep(world: World) -> list[Job]:
    """An aged copy, one that would age now, a frozen subclient, and a job of each kind."""
    medium = Media.objects.get()
    Media.objects.update(repository_id="a" * 64)
    Copy.objects.filter(kind="primary_backup").update(retention="basic", retention_days=1, retention_cycles=1)
    now = timezone.now()
    for number, days in enumerate((40, 20), start=20):
        row = make_backup_copy(make_snapshot(world.home, n=number, taken_at=now - timedelta(days=days)), world.copy)
    old = make_backup_copy(make_snapshot(world.home, n=30, taken_at=now - timedelta(days=60)), world.copy)
    BackupCopy.objects.filter(pk=old.pk).update(state=CopyState.AGED, aged_at=now)
    assert row.is_on_media
    projects = Copy.objects.get(pk=world.copy.pk).policy.subclients.get(name="projects")
    services.freeze_aging(projects, reason="The source is empty; at the last copy it held 1,200 files. Is it mounted?")
    wrong: dict[str, Any] = {"error_code": "verification-failed", "error_sentence": "A problem was found on disk-a."}
    of_medium: dict[str, Any] = {"media": medium, "media_label": medium.name}
    counts = {"backup_copies": {"aged": 1, "cycles": 4}, "snapshots": {"days": 2, "not copied": 1}, "replicas": {}}
    aged = {"aged": 1, "aged_items": [ITEM], "logical_bytes": 10**9, **counts}
    return [
        make_job(operation=Operation.AGING, state=JobState.COMPLETED, result=aged),
        make_job(operation=Operation.PRUNE, state=JobState.COMPLETED, result=PRUNED, **of_medium),
        make_job(operation=Operation.VERIFY, state=JobState.FAILED, result=VERIFIED, **of_medium, **wrong),
    ]


@pytest.mark.slow
def test_pages_of_upkeep_are_accessible_and_fit(visit: Visit) -> None:
    world = make_world()
    jobs = upkeep(world)
    projects = world.copy.policy.subclients.get(name="projects")
    addresses = [
        reverse("aging"),
        reverse("policies:media_detail", args=[Media.objects.get().pk]),
        reverse("subclient", args=[projects.file_server.name, projects.name]),
        *(reverse("job", args=[job.pk]) for job in jobs),
        "/",
    ]
    if folder := os.environ.get("PICTURES"):
        for width, dark in ((1440, False), (360, True)):
            visitor = visit(Role.ADMIN, width=width, dark=dark)
            for number, address in enumerate(addresses):
                visitor.open(address).screenshot(path=f"{folder}/{number}-{width}.png", full_page=True)
    inspect(visit, *addresses)
