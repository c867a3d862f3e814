"""Dumps of a lost installation come back with their levels and with what they were built on (RULES L1, L6)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse

from jobs.engine.ids import BlobId, FileId
from jobs.engine.operations.undumping.stored import FoundDumps
from jobs.engine.repository.snapshot_file import SnapshotFile
from jobs.models import BackupCopy, Job, JobState, Level, Snapshot
from jobs.services import CannotLaunch, launch_attach, launch_prune, launch_snapshot, launch_undump
from jobs.services.attaching_dumps import imported_level
from policies.models import Media, Subclient
from tests.engine.dumps import picture as tree
from tests.job_factories import make_node
from tests.jobs.dumped import START, VOLUME, DumpedVolume
from tests.jobs.farm import backup_copy_of, configure, picture
from tests.jobs.here import run
from tests.jobs.test_attach import medium_at
from tests.jobs.test_dump_restores import ndmp_server, over
from tests.jobs.test_rebuild import admin, lose_everything
from tests.ndmp_server import ACCOUNT, PORT, NdmpHost

UNLISTED = {VOLUME: None}


@pytest.mark.system
def test_L6_a_chain_of_dumps_is_rebuilt_with_its_levels_and_restored_across_it(
    transactional_db: None, redis_url: str, tmp_path: Path, ndmp_filer: NdmpHost
) -> None:
    make_node()
    root = ndmp_filer.root
    subclient = configure(tmp_path, is_inline=True, catalog="inline")
    over(subclient, ndmp_server("filer1", ndmp_filer.address, PORT, ACCOUNT), str(root))
    (root / "docs").mkdir()
    for step in range(2):
        (root / f"docs/file {step}").write_text(f"{step}" * 1000)
        (root / "docs/plan").write_text(f"plan {step}")
        assert run(launch_snapshot(subclient, level="incremental")).state == JobState.COMPLETED, picture()
    before = tree(root / "docs")
    names = set(Snapshot.objects.values_list("name", flat=True))
    run(launch_prune(media=Media.objects.get()))
    lose_everything()

    media = medium_at(tmp_path / "media", name="found")
    install = run(launch_attach(media=media)).result["configurations"][0]["install"]
    admin().post(reverse("media-rebuild", args=[media.pk, install]), {"secret_0": ACCOUNT})
    job = run(Job.objects.latest("pk"))
    assert (job.state, job.result["imported"], job.result["uncatalogued"]) == (JobState.COMPLETED, 2, 0), picture()
    back = Subclient.objects.get()
    full, incremental = BackupCopy.objects.order_by("snapshot__taken_at")
    assert [(one.ran_level, one.level_number) for one in (full, incremental)] == [("full", 0), ("incremental", 1)]
    assert (incremental.parent, incremental.snapshot.engine) == (full, "ndmp")
    assert ({full.snapshot.name, incremental.snapshot.name}, back.content_paths) == (names, [str(root)])

    (root / "docs/plan").write_text("damaged")
    chosen = run(launch_undump(incremental.snapshot, paths=[f"{root}/docs".encode()], target=str(tmp_path / "new")))
    assert chosen.state == JobState.COMPLETED, picture()
    assert tree(Path(f"{tmp_path}/new{root}/docs")) == before
    again = run(launch_snapshot(back, level="incremental"))
    assert again.state == JobState.COMPLETED, picture()
    newest = BackupCopy.objects.latest("snapshot__taken_at")
    assert newest.level_number == 0, "what the filer counts on was not kept: nothing is built on it (RULES L4)"


@pytest.fixture
def volume(db: None, tmp_path: Path) -> DumpedVolume:
    return DumpedVolume(tmp_path)


def told_as(volume: DumpedVolume, number: int, parent: str | None, **former_ids: str) -> tuple[str, int | None, bool]:
    file = SnapshotFile(
        time_ns=int((START + timedelta(days=9)).timestamp() * 1e9),
        tree=BlobId(bytes(32)),
        paths=(b"/ndmp" + VOLUME.encode(),),
        parent=FileId(parent) if parent else None,
    )
    dumps = FoundDumps(file_systems=(VOLUME,), level=number)
    copy = backup_copy_of(volume.subclient)
    found = imported_level(file, dumps, volume.subclient, copy, former_ids=former_ids)
    return found.level, found.number, bool(found.problem)


def test_L1_the_level_of_an_imported_dump_is_believed_only_with_what_it_was_built_on(volume: DumpedVolume) -> None:
    full, first = volume.dump(0, UNLISTED), volume.dump(1, UNLISTED)
    ids = (full.snapshot_file_id or "", first.snapshot_file_id or "")
    assert told_as(volume, 0, None) == (Level.FULL, 0, False)
    assert told_as(volume, 2, ids[1]) == (Level.INCREMENTAL, 2, False)
    assert told_as(volume, 1, ids[0]) == (Level.DIFFERENTIAL, 1, False)
    assert told_as(volume, 2, "e" * 64, **{"e" * 64: ids[1]}) == (Level.INCREMENTAL, 2, False)
    for parent in (None, "f" * 64):
        assert told_as(volume, 2, parent) == (Level.INCREMENTAL, None, True)
    assert told_as(volume, 1, ids[1]) == (Level.INCREMENTAL, None, True), "not on one of its own level"
    Snapshot.objects.filter(pk=first.snapshot_id).update(engine="imported")
    assert told_as(volume, 2, ids[1]) == (Level.INCREMENTAL, None, True), "not on what is no dump"


def test_L6_a_dump_whose_base_is_another_than_its_number_says_is_not_restored(volume: DumpedVolume) -> None:
    full, lost, later = volume.dump(0, UNLISTED), volume.dump(1, UNLISTED), volume.dump(2, UNLISTED)
    BackupCopy.objects.filter(pk=later.pk).update(parent=full)
    assert lost.level_number == 1
    with pytest.raises(CannotLaunch, match="was dumped on top of is not known"):
        launch_undump(later.snapshot, target="/vol/new")
    BackupCopy.objects.filter(pk=later.pk).update(parent=None, level_number=None)
    with pytest.raises(CannotLaunch, match="It is not known what"):
        launch_undump(later.snapshot, target="/vol/new")
