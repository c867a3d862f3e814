"""``snapcopy age``, ``prune`` and ``verify``: what they print, and the documented exit codes."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from jobs.models import BackupCopy, CopyState, Job, Operation, Snapshot
from jobs.services import launch_verify
from policies.models import Copy, Media, Subclient
from tests.factories import make_media
from tests.job_factories import make_node
from tests.jobs.farm import Farm, configure, picture
from tests.jobs.test_commands import as_json, command


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path) -> Subclient:
    made = configure(tmp_path)
    (tmp_path / "source" / "file").write_bytes(os.urandom(100_000))
    Copy.objects.filter(kind="primary_backup").update(retention="basic", retention_days=1, retention_cycles=1)
    return made


def test_age_prune_and_verify_to_the_end(farm: Farm, subclient: Subclient, tmp_path: Path) -> None:
    for days in (9, 0):
        (tmp_path / "source" / "file").write_bytes(os.urandom(100_000))
        assert command("snapshot", subclient.path, "--full", "--wait")[0] == 0, picture()
        latest = Snapshot.objects.latest("pk")
        Snapshot.objects.filter(pk=latest.pk).update(taken_at=timezone.now() - timedelta(days=days))
        assert command("copy", subclient.path, "--wait")[0] == 0, picture()

    code, lines = command("age", "--preview", "--json")
    (shown,) = as_json(lines)
    assert (code, shown["kind"]) == (0, "backup copy")
    assert not BackupCopy.objects.filter(state=CopyState.AGED).exists()

    code, lines = command("age", "--wait", "--json")
    (aged,) = as_json(lines)
    assert (code, aged["result"]["backup_copies"]) == (0, {"aged": 1, "cycles": 1}), picture()
    assert shown["label"].endswith(aged["result"]["aged_items"][0]["name"])

    code, lines = command("prune", "--wait", "--json")
    (pruned,) = as_json(lines)
    assert (code, pruned["media"], pruned["result"]["forgotten"]) == (0, "disk-tree", 1), picture()

    code, lines = command("verify", "disk-tree", "--percent", "100", "--wait", "--json")
    (verified,) = as_json(lines)
    assert (code, verified["result"]["ok"]) == (0, True), picture()
    assert set(Job.objects.values_list("initiator", flat=True)) == {"script"}

    packs = [path for path in (tmp_path / "media" / "data").rglob("*") if path.is_file()]
    pack = max(packs, key=lambda path: path.stat().st_size)  # of contents; the snapshot holds no tree of what is above
    pack.unlink()
    code, lines = command("verify", "disk-tree", "--wait")
    assert code == 1
    assert "failed" in lines[0]

    code, lines = command("repair", "disk-tree", "--wait", "--json")
    (repaired,) = as_json(lines)
    assert (code, repaired["result"]["ok"], repaired["result"]["blobs_lost"]) == (0, True, 0), picture()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("prune", "nowhere"), 2),
        (("verify", "nowhere"), 2),
        (("prune", "empty"), 4),
        (("verify", "empty", "--percent", "5"), 4),
        (("verify", "empty", "--within-days", "0"), 4),
        (("repair", "nowhere"), 2),
        (("repair", "empty"), 4),
        (("prune",), 0),
    ],
)
def test_exit_codes(subclient: Subclient, words: tuple[str, ...], code: int) -> None:
    make_media(name="empty")
    assert command(*words)[0] == code


def test_a_medium_that_is_verified_is_not_pruned(subclient: Subclient) -> None:
    make_node()
    Media.objects.update(repository_id="a" * 64)
    launch_verify(media=Media.objects.get())
    assert command("prune", "disk-tree")[0] == 4
    assert not Job.objects.filter(operation=Operation.PRUNE).exists()


def test_verify_reads_what_was_not_read_within_days(subclient: Subclient) -> None:
    make_node()
    Media.objects.update(repository_id="a" * 64)
    assert command("verify", "disk-tree", "--within-days", "14")[0] == 0
    assert Job.objects.get(operation=Operation.VERIFY).parameters == {"within_days": 14}
