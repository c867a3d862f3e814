"""RULES S4, L6: the catalog of file servers that are read as dumps comes from the lists beside their images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.catalog.loading import forget_subclient
from jobs.dump_chains import dump_chain
from jobs.engine.errors import NotInCopy
from jobs.engine.ndmp import history_values as h
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.values import ErrorCode
from jobs.models import BackupCopy, CatalogState, CopyState, Job, JobState, Snapshot, SnapshotState
from jobs.services import NothingNew, forget_lost, launch_backup_copy, launch_catalog, launch_snapshot
from jobs.views.stored_paths import query_of_path
from policies import services as configuration
from policies.models import Copy
from snapcopy_site.lib.roles import Role
from tests.catalog.histories import all_rows, found_at
from tests.engine.dump_lists import of_names, of_paths
from tests.engine.ndmp.filer import HOME, PASSWORD, Script, filer
from tests.factories import make_media, make_user
from tests.job_factories import make_backup_copy, make_node
from tests.jobs.dumped import VOLUME, DumpedVolume
from tests.jobs.farm import backup_copy_of, configure, picture
from tests.jobs.here import run, work_off
from tests.jobs.test_dump_copies import over

pytestmark = pytest.mark.django_db(transaction=True)

FULL = of_names({2: {b"docs": 3, b"big": 5}, 3: {b"plan": 4, b"odd \xff": 6}}, 4, 5, 6)
RENAMED = of_names({2: {b"papers": 3, b"big": 5}, 3: {b"plan": 4, b"odd \xff": 6, b"new": 7}}, 7)
DELETED = of_names({2: {b"papers": 3}, 3: {b"plan": 4}})


@pytest.fixture
def volume(tmp_path: Path, redis_url: str) -> DumpedVolume:
    make_node()
    return DumpedVolume(tmp_path)


def catalogued(volume: DumpedVolume, **wishes: Any) -> Job:
    job = run(launch_catalog(volume.subclient, **wishes))
    assert job.state == JobState.COMPLETED, picture()
    return job


def held(point: Snapshot) -> dict[bytes, str]:
    """What the catalog says was there, by path: kind."""
    return {path: kind for path, (kind, _, _) in found_at(point.subclient_id, point.taken_at).items()}


def test_l6_every_point_is_catalogued_from_the_lists_of_its_chain(volume: DumpedVolume) -> None:
    rows = [volume.dump(0, FULL), volume.dump(1, RENAMED), volume.dump(2, DELETED)]
    job = catalogued(volume)
    assert job.result["snapshots"] == 3
    top = {b"/vol": "d", b"/vol/vol1": "d"}
    docs = {b"docs": "d", b"docs/plan": "f", b"docs/odd \xff": "f", b"big": "f"}
    papers = {b"papers": "d", b"papers/plan": "f", b"papers/odd \xff": "f", b"papers/new": "f", b"big": "f"}
    wanted = [docs, papers, {b"papers": "d", b"papers/plan": "f"}]
    for row, below in zip(rows, wanted, strict=True):
        assert held(row.snapshot) == top | {b"/vol/vol1/" + path: kind for path, kind in below.items()}
    reasons = set(Snapshot.objects.values_list("catalog_reason", flat=True))
    assert reasons == {"The lists of files beside its dump and those it was built on were put over each other."}


def test_s4_what_is_not_copied_yet_waits_and_is_neither_failed_nor_forgotten(volume: DumpedVolume) -> None:
    first, second = volume.point(0), volume.point(1)
    with pytest.raises(NothingNew):
        launch_catalog(volume.subclient)
    assert forget_lost() == 0
    volume.copy(first, {VOLUME: FULL})
    assert catalogued(volume).result["snapshots"] == 1
    second.refresh_from_db()
    assert second.catalog_state == CatalogState.PENDING
    assert held(first)[b"/vol/vol1/docs/plan"] == "f"


def test_s4_a_point_whose_copies_are_all_gone_leaves_the_catalog_although_nobody_deleted_it(
    volume: DumpedVolume,
) -> None:
    row = volume.dump(0, FULL)
    catalogued(volume)
    assert forget_lost() == 0
    BackupCopy.objects.filter(pk=row.pk).update(
        state=CopyState.AGED, aged_at=timezone.now(), forgotten_at=timezone.now()
    )
    assert row.snapshot.state == SnapshotState.PRESENT
    assert forget_lost() == 1
    assert held(row.snapshot) == {}


def test_v5_a_lost_catalog_comes_back_from_the_repositories_alone_row_by_row(volume: DumpedVolume) -> None:
    volume.dump(0, FULL)
    volume.dump(1, RENAMED)
    volume.dump(1, DELETED)
    catalogued(volume)
    before = all_rows(volume.subclient.pk)
    forget_subclient(volume.subclient.pk)
    assert catalogued(volume, rebuild=True, media_only=True).result["snapshots"] == 3
    assert all_rows(volume.subclient.pk) == before


def test_a_list_that_cannot_be_used_is_told_and_stops_no_other_point(volume: DumpedVolume) -> None:
    rows = [
        volume.dump(0, FULL),
        volume.dump(1, {VOLUME: None}),
        volume.dump(1, of_names({2: {b"loop": 2}})),
        volume.dump(1, RENAMED),
    ]
    job = run(launch_catalog(volume.subclient))
    assert job.state == JobState.COMPLETED_WITH_ERRORS
    for row in rows:
        row.snapshot.refresh_from_db()
    done, failed = CatalogState.DONE, CatalogState.FAILED
    assert [row.snapshot.catalog_state for row in rows] == [done, failed, failed, done]
    assert "gave no list of the files of “/vol/vol1”" in rows[1].snapshot.catalog_reason
    assert "the folder “/loop” is met twice" in rows[2].snapshot.catalog_reason


def test_what_is_named_and_in_no_dump_is_told_once(volume: DumpedVolume) -> None:
    volume.dump(0, of_names({2: {b"kept": 3, b"excluded": 4, b"excluded too": 5}}, 3))
    job = catalogued(volume)
    (sentence,) = job.events.filter(code="catalog-unread").values_list("sentence", flat=True)
    assert sentence.endswith(
        "/vol/vol1/excluded and 1 more is missing: the file server names it, and none of the dumps holds it."
    )


def test_whole_paths_are_catalogued_and_the_reason_says_that_deletions_do_not_show(volume: DumpedVolume) -> None:
    first = volume.dump(0, of_paths("/a/kept", "/a/deleted later"))
    second = volume.dump(1, of_paths("/a/new"))
    catalogued(volume)
    assert set(held(second.snapshot)) - set(held(first.snapshot)) == {b"/vol/vol1/a/new"}
    assert b"/vol/vol1/a/deleted later" in held(second.snapshot)
    for row, is_doubtful in ((first, False), (second, True)):
        row.snapshot.refresh_from_db()
        assert (
            "files that were deleted since the full dump are still here" in row.snapshot.catalog_reason
        ) is is_doubtful


def test_several_content_paths_each_have_their_own_chain(tmp_path: Path, redis_url: str) -> None:
    make_node()
    volume = DumpedVolume(tmp_path, content=("/vol/one", "/vol/one/inner", "/two"))
    lists = {"/vol/one": FULL, "/vol/one/inner": None, "/two": of_paths("/x")}
    point = volume.dump(0, lists).snapshot
    catalogued(volume)
    assert {b"/vol/one/docs/plan", b"/two/x"} <= set(held(point))


def test_l6_a_chain_leaves_out_what_nothing_is_built_on_and_refuses_what_lacks_a_link(volume: DumpedVolume) -> None:
    full, one, two, other = (volume.dump(number, FULL) for number in (0, 1, 2, 1))
    assert dump_chain(two) == [full, one, two]
    assert dump_chain(other) == [full, other]
    BackupCopy.objects.filter(pk=one.pk).update(state=CopyState.PARTIAL, exceptions=1)
    assert dump_chain(two) == [full, two], "no dump is built on a partial one"
    BackupCopy.objects.filter(pk=one.pk).update(state=CopyState.AGED, exceptions=0, aged_at=timezone.now())
    assert dump_chain(two) == [full, one, two], "aged, and still there"
    BackupCopy.objects.filter(pk=one.pk).update(forgotten_at=timezone.now())
    with pytest.raises(NotInCopy, match=f"{two.snapshot.name} was dumped on top of {one.snapshot.name}"):
        dump_chain(two)
    BackupCopy.objects.filter(pk=full.pk).delete()
    with pytest.raises(NotInCopy, match="is not known any more"):
        dump_chain(other)


def test_l6_a_copy_that_is_fed_has_the_chain_of_the_one_that_dumped(volume: DumpedVolume, tmp_path: Path) -> None:
    vault = make_media(tmp_path / "vault", name="vault")
    source = backup_copy_of(volume.subclient)
    fed = configuration.create_copy(
        volume.subclient.policy, name="vault", kind="secondary_backup", source=source, media=vault, user=None
    )
    rows = [volume.dump(number, FULL) for number in (0, 1, 2)]
    there = [make_backup_copy(row.snapshot, fed, level_number=row.level_number) for row in (rows[0], rows[2])]
    with pytest.raises(NotInCopy, match="which is not on vault"):
        dump_chain(there[1])
    middle = make_backup_copy(rows[1].snapshot, fed, level_number=1)
    assert dump_chain(there[1]) == [there[0], middle, there[1]]
    assert Copy.objects.count() == 3


def test_every_page_of_the_past_knows_such_points(volume: DumpedVolume, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = volume.dump(0, FULL).snapshot, volume.dump(1, RENAMED).snapshot
    client = Client()
    client.force_login(make_user(Role.OPERATOR))

    def page(url: str, status: int = 200) -> str:
        answer = client.get(url, follow=True)
        assert answer.status_code == status
        return answer.content.decode()

    assert "Its volumes can be restored whole." in page(reverse("browse", args=(first.pk,)))
    catalogued(volume)
    folder = query_of_path(b"/vol/vol1/docs")
    assert "plan" in page(reverse("browse", args=(first.pk,)) + folder)
    assert page(reverse("browse", args=(second.pk,)) + folder, 404)
    assert "papers" in page(reverse("browse", args=(second.pk,))), "it begins in the volume"
    name = (volume.subclient.file_server.name, volume.subclient.name)
    assert "/vol/vol1/papers" in page(reverse("restore-search") + "?q=papers")
    versions = page(reverse("restore-versions", args=name) + query_of_path(b"/vol/vol1/papers/plan"))
    assert first.name not in versions
    assert "plan" in versions
    page(reverse("restore-diff", args=name))
    call_command("ls", volume.subclient.path, "/vol/vol1/papers")
    assert "new" in capsys.readouterr().out
    call_command("diff", volume.subclient.path, first.name, second.name)
    told = capsys.readouterr().out
    assert "/vol/vol1/papers/new" in told
    assert "/vol/vol1/docs/plan" in told


def told(folders: dict[int, dict[bytes, int]], *files: int) -> list[tuple[m.Post[Any], object]]:
    """The posts of a dump: folders and files by their nodes."""
    posts: list[tuple[m.Post[Any], object]] = []
    for node, names in folders.items():
        entries = (h.DirectoryEntry((h.UnixName(name),), child, node) for name, child in {b".": node, **names}.items())
        posts.append((m.FH_ADD_DIR, h.DirectoryHistory(tuple(entries))))
    for kind, nodes in ((h.EntryKind.DIRECTORY, folders), (h.EntryKind.FILE, files)):
        status = h.FileStatus(0, 0, kind, 1_700_000_000, 6, 7, 0, 0, 0o644, 6, 1)
        posts.append((m.FH_ADD_NODE, h.NodeHistory(tuple(h.NodeEntry((status,), node, 0) for node in nodes))))
    return posts


@pytest.mark.parametrize("is_inline", [False, True], ids=["copied later", "copied at once"])
def test_s4_inline_the_copy_of_a_point_catalogues_it_from_what_the_file_server_told(
    tmp_path: Path, redis_url: str, is_inline: bool
) -> None:
    make_node()
    with filer(Script(refuses={m.GET_FS_INFO: ErrorCode.NOT_SUPPORTED}, environment=())) as server:
        subclient = over(
            configure(tmp_path, catalog="inline", is_inline=is_inline),
            HOME,
            server.port,
            password=PASSWORD,
            content=VOLUME,
        )
        for posts in (told({2: {b"docs": 3}, 3: {b"plan": 4}}, 4), told({2: {b"papers": 3}})):
            server.script.posts = posts
            job = run(launch_snapshot(subclient))
            assert is_inline or job.state == JobState.COMPLETED, picture()
            assert is_inline or run(launch_backup_copy(subclient)).state == JobState.COMPLETED, picture()
            work_off()
    first, second = Snapshot.objects.order_by("taken_at")
    assert {first.catalog_state, second.catalog_state} == {CatalogState.DONE}, picture()
    assert set(held(first)) == {b"/vol", b"/vol/vol1", b"/vol/vol1/docs", b"/vol/vol1/docs/plan"}
    assert set(held(second)) == {b"/vol", b"/vol/vol1", b"/vol/vol1/papers", b"/vol/vol1/papers/plan"}
    assert set(BackupCopy.objects.values_list("level_number", flat=True)) == {0, 1}
