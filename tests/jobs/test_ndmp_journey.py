"""A filer is protected by the forms of the product: Test, a subclient of what it found, levels and the conversion.

The filer is the real ndmjob behind a cable; its two access nodes are listed, and one is a MediaAgent (RULES N, L3).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from django.test import Client
from django.urls import reverse

from jobs.engine.plan import Secret
from jobs.models import BackupCopy, Job, JobState, Level, Operation
from jobs.services import launch_snapshot
from policies import services as configuration
from policies.models import FileServer, StoragePolicy, Subclient
from policies.secrets import REPOSITORY_PASSWORD
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.interop.restic import Restic
from tests.job_factories import make_node
from tests.jobs.farm import PASSWORD, picture
from tests.jobs.here import run, work_off
from tests.ndmp_server import ACCOUNT, PORT, NdmpHost

pytestmark = [pytest.mark.system, pytest.mark.interop, pytest.mark.slow]
LIMIT: Final = 2
"""Typed in the form. All nine are clicked in tests/browser/test_ndmp_journey.py."""
REASON: Final = f"Converted: limit of {LIMIT} incrementals reached."


@pytest.fixture
def admin(transactional_db: None, redis_url: str) -> Client:
    for name in ("north", "south"):
        make_node(name=name)
    client = Client()
    client.force_login(make_user(Role.ADMIN))
    return client


def test_L3_N_a_filer_is_protected_by_its_forms_and_the_incremental_after_the_limit_is_a_differential(
    admin: Client, ndmp_filer: NdmpHost, tmp_path: Path
) -> None:
    change(ndmp_filer, 0)
    policy = make_policy_for(tmp_path / "medium", agent="south")
    add_filer(admin, ndmp_filer)
    press_test(admin, ndmp_filer)
    subclient = add_subclient(admin, ndmp_filer, policy)
    admin.post(reverse("snapshot-now", args=["filer1", "vol1"]), {"level": Level.INCREMENTAL})
    work_off()
    for number in range(1, 1 + LIMIT):
        change(ndmp_filer, number)
        assert run(launch_snapshot(subclient)).state == JobState.COMPLETED, picture()
    assert "The next incremental is converted to a differential." in shown(admin, "subclient", "filer1", "vol1")
    change(ndmp_filer, 10)
    admin.post(reverse("snapshot-now", args=["filer1", "vol1"]), {"level": Level.INCREMENTAL})
    work_off()
    expect_the_reason_everywhere(admin)
    expect_true_levels(ndmp_filer, tmp_path / "medium")


def make_policy_for(folder: Path, *, agent: str) -> StoragePolicy:
    """Inline; its backup copy has one of the nodes as MediaAgent."""
    medium = configuration.create_media(
        name="disk-a",
        kind="disk",
        options={"path": str(folder), "create_directory": True, "fsync": False},
        secrets={REPOSITORY_PASSWORD: Secret(PASSWORD)},
        user=None,
    )
    policy = configuration.create_policy(user=None, name="filers", is_inline=True, catalog="skip")
    configuration.create_copy(policy, user=None, name="backup", media=medium, media_agents=[make_node(name=agent)])
    return policy


def add_filer(admin: Client, filer: NdmpHost) -> None:
    typed: dict[str, Any] = {
        "name": "filer1",
        "engine": "ndmp",
        "max_sessions": "2",
        "max_incrementals": str(LIMIT),
        "is_active": "on",
        "access_nodes": [make_node(name=name).pk for name in ("north", "south")],
        "option_host": filer.address,
        "option_port": str(PORT),
        "option_account": ACCOUNT,
        "option_password": ACCOUNT,
        "option_auth": "safest",
        "option_profile": "auto",
        "option_backup_type": "dump",
        "option_history": "y",
        "option_direction": "we-listen",
    }
    admin.post(reverse("policies:file_server_create"), typed)
    page = shown(admin, "policies:file_server_detail", FileServer.objects.get().pk)
    assert f"after {LIMIT} in a row the next becomes a differential" in page


def press_test(admin: Client, filer: NdmpHost) -> None:
    server = FileServer.objects.get()
    admin.post(reverse("test-file-server", args=[server.pk]))
    work_off()
    page = shown(admin, "policies:file_server_detail", server.pk)
    for words in ("Data connection", "NDMJOB", str(filer.root)):
        assert words in page, picture()


def add_subclient(admin: Client, filer: NdmpHost, policy: StoragePolicy) -> Subclient:
    """Of the file system that Test found."""
    typed = {"file_server": FileServer.objects.get().pk, "name": "vol1", "policy": policy.pk, "is_active": "on"}
    admin.post(reverse("policies:subclient_create"), typed | {"found_paths": [str(filer.root)], "content_paths": ""})
    return Subclient.objects.get()


def expect_the_reason_everywhere(admin: Client) -> None:
    copy = Job.objects.filter(operation=Operation.BACKUP_COPY).latest("pk")
    assert (copy.state, copy.ran_level, copy.level_number) == (JobState.COMPLETED, Level.DIFFERENTIAL, 1), picture()
    point = Job.objects.filter(operation=Operation.SNAPSHOT).latest("pk")
    for job in (copy, point):
        assert REASON in shown(admin, "job", job.pk)
    assert f"Incremental was asked. {REASON}" in shown(admin, "job-list")
    page = shown(admin, "subclient", "filer1", "vol1")
    assert "Differential, level 1" in page
    assert f"Incremental was asked. {REASON}" in page
    assert "1 more incremental, then one is converted to a differential." in page


def expect_true_levels(filer: NdmpHost, folder: Path) -> None:
    """What the filer wrote down of its dumps, what stock restic finds, and who carried them (N3)."""
    dates = (filer.state / "dumpdates").read_text().splitlines()
    levels = [*range(1 + LIMIT), 1]
    assert [json.loads(line)["level"] for line in dates] == levels
    rows = BackupCopy.objects.order_by("snapshot__taken_at")
    assert [row.level_number for row in rows] == levels
    newest = rows[LIMIT + 1]
    assert newest.snapshot_file_id is not None
    listed = Restic(repository=folder, password=PASSWORD).run("ls", newest.snapshot_file_id[:8])
    assert f"/ndmp{filer.root}/1.image" in listed
    copies = Job.objects.filter(operation=Operation.BACKUP_COPY)
    assert set(copies.values_list("node_label", flat=True)) == {"south"}, "of the listed nodes, the MediaAgent"
    assert "MediaAgent" in copies[0].node_reason


def shown(client: Client, name: str, *args: object) -> str:
    return client.get(reverse(name, args=args)).content.decode()


def change(filer: NdmpHost, number: int) -> None:
    (filer.root / "annual.txt").write_text(f"change {number}")
    (filer.root / f"new-{number}.txt").write_text(f"new in {number}")
