"""Backup copies of an NDMP file server through real jobs: levels, what advances them, and what a lost dump poisons."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

from jobs.engine.ids import FileId
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.values import ErrorCode, Pair
from jobs.engine.operations.browse import Browser
from jobs.engine.operations.dumping.stream_store import StreamWriter
from jobs.engine.plan import Secret
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.stored_file import StoredFile
from jobs.models import BackupCopy, CopyState, DumpDate, Job, JobState
from jobs.runner import dump_copy
from jobs.runner.orders import MustStop
from jobs.services import dump_dates, kill_job, launch_backup_copy, launch_snapshot, resume_job, suspend_job
from jobs.services.copy_states import DUMP_DATES
from jobs.services.marks import recopy
from policies import services as configuration
from policies.models import Subclient
from policies.resolve import media_password, resolve_media
from tests.engine.ndmp.filer import HOME, PASSWORD, Filer, Script, filer
from tests.interop.restic import Restic
from tests.job_factories import make_node
from tests.jobs.farm import configure, picture
from tests.jobs.here import run
from tests.ndmp_server import ACCOUNT, PORT, NdmpHost

VOLUME = "/vol/vol1"


def over(
    subclient: Subclient, host: str, port: int, *, password: str, content: str, profile: str = "generic"
) -> Subclient:
    """The subclient, but on an NDMP file server."""
    subclient.file_server = configuration.create_file_server(
        name="filer",
        engine="ndmp",
        options={"host": host, "port": port, "profile": "generic"},
        secrets={"password": Secret(password)},
        user=None,
    )
    subclient.content_paths = [content]
    subclient.save()
    return subclient


@pytest.fixture
def server() -> Iterator[Filer]:
    with filer(Script(refuses={m.GET_FS_INFO: ErrorCode.NOT_SUPPORTED}, environment=())) as one:
        yield one


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path, server: Filer) -> Subclient:
    make_node()
    return over(configure(tmp_path), HOME, server.port, password=PASSWORD, content=VOLUME)


def dump(subclient: Subclient, level: str = "incremental", *, state: str = JobState.COMPLETED) -> Job:
    """A point, and its backup copy."""
    point = run(launch_snapshot(subclient, level=level))
    assert point.state == JobState.COMPLETED, picture()
    job = run(launch_backup_copy(subclient))
    assert job.state == state, picture()
    return job


def rows() -> list[BackupCopy]:
    return list(BackupCopy.objects.order_by("snapshot__taken_at"))


def numbers() -> list[int | None]:
    return [row.level_number for row in rows()]


def asked(server: Filer, name: str = "LEVEL") -> list[str]:
    """A variable of every dump that the file server was asked for."""
    orders = [request for request in server.requests if isinstance(request, m.StartBackup)]
    return [next((pair.value for pair in order.environment if pair.name == name), "") for order in orders]


def fail_once(subclient: Subclient, server: Filer, level: str) -> Job:
    """The file server dies in the middle of a dump."""
    server.script.dies_after = 100
    job = dump(subclient, level, state=JobState.FAILED)
    server.script.dies_after = None
    return job


def test_L3_at_the_limit_a_dump_is_made_as_a_differential_and_the_job_says_why(
    subclient: Subclient, server: Filer
) -> None:
    subclient.file_server.max_incrementals = 2
    subclient.file_server.save()
    jobs = [dump(subclient) for _ in range(5)]
    assert numbers() == [0, 1, 2, 1, 2]
    assert asked(server) == ["0", "1", "2", "1", "2"]
    assert jobs[3].level_reason == "Converted: limit of 2 incrementals reached."
    assert [row.parent_id for row in rows()] == [None, *(rows()[base].pk for base in (0, 1, 0, 3))]
    assert all(row.state == CopyState.COPIED and row.snapshot_file_id for row in rows())
    assert jobs[1].events.get(code="dumped").sentence == "/vol/vol1 was dumped at level 1: 6,000 bytes."
    assert "only all of it can be restored" in jobs[1].events.get(code="dump-without-history").sentence
    Restic(repository=Path(rows()[0].media.options["path"])).judge()


def test_L4_a_dump_that_was_lost_poisons_what_would_be_built_on_it_and_nothing_else(
    subclient: Subclient, server: Filer
) -> None:
    dump(subclient)
    dump(subclient)
    before = [(row.level_number, row.tokens, row.state) for row in rows()]
    fail_once(subclient, server, "incremental")
    assert [(row.level_number, row.tokens, row.state) for row in rows()] == [*before, (None, {}, CopyState.FAILED)]
    retried = run(launch_backup_copy(subclient))
    assert (retried.state, retried.level_number, retried.level_reason) == (JobState.COMPLETED, 2, "")
    fail_once(subclient, server, "differential")
    poisoned = run(launch_backup_copy(subclient))
    assert (poisoned.level_number, poisoned.ran_level) == (1, "differential")
    fail_once(subclient, server, "full")
    assert asked(server) == ["0", "1", "2", "2", "1", "1", "0"]
    whole = run(launch_backup_copy(subclient))
    assert (whole.state, whole.ran_level) == (JobState.COMPLETED, "full")
    assert dump(subclient).level_number == 1
    assert set(DumpDate.objects.values_list("level", "is_committed")) == {(0, True), (1, True), (2, True)}


def test_L4_a_lost_differential_makes_the_next_incremental_a_differential_with_the_reason(
    subclient: Subclient, server: Filer
) -> None:
    for _ in range(3):
        dump(subclient)
    lost = fail_once(subclient, server, "differential")
    BackupCopy.objects.filter(job=lost).update(state=CopyState.SKIPPED)
    job = dump(subclient)
    assert (job.ran_level, job.level_number) == ("differential", 1)
    assert job.level_reason == (
        "A dump of /vol/vol1 of level 1 was not finished, but may count at the file server. "
        "This one holds all since the full."
    )
    lost = fail_once(subclient, server, "full")
    BackupCopy.objects.filter(job=lost).update(state=CopyState.SKIPPED)
    job = dump(subclient)
    assert (job.ran_level, "level 0 was not finished" in job.level_reason) == ("full", True)


def test_L4_a_killed_dump_advances_nothing_and_leaves_no_lock(
    subclient: Subclient, server: Filer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump(subclient)
    begin = dump_dates.begin_dump

    def begin_and_kill(*given: object, **named: object) -> None:
        begin(*given, **named)  # type: ignore[arg-type]
        kill_job(Job.objects.get(state=JobState.RUNNING))

    monkeypatch.setattr("jobs.runner.dump_copy.begin_dump", begin_and_kill)
    server.script.hangs_after = 10
    dump(subclient, state=JobState.KILLED)
    assert "DATA_ABORT" in server.asked
    assert numbers() == [0, None]
    assert rows()[1].state == CopyState.TO_BE_COPIED
    assert not list(Path(rows()[0].media.options["path"], "locks").iterdir())
    assert set(DumpDate.objects.values_list("level", "is_committed")) == {(0, True), (1, False)}


def test_L4_a_lost_attempt_begins_the_dump_again_at_the_same_level_and_says_so(
    subclient: Subclient, server: Filer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump(subclient)
    begin = dump_dates.begin_dump

    def begin_and_stop(*given: object, **named: object) -> None:
        begin(*given, **named)  # type: ignore[arg-type]
        monkeypatch.setattr("jobs.runner.dump_copy.begin_dump", begin)
        raise MustStop("The access node was stopped.", lost=False)

    monkeypatch.setattr("jobs.runner.dump_copy.begin_dump", begin_and_stop)
    job = dump(subclient)
    assert (job.attempt, job.level_number) == (2, 1)
    assert job.events.filter(code="dump-begins-again").exists()


def test_J3_a_suspended_dump_begins_again_when_it_is_resumed(
    subclient: Subclient, server: Filer, monkeypatch: pytest.MonkeyPatch
) -> None:
    took = StreamWriter.took

    def take_and_suspend(writer: StreamWriter, count: int) -> None:
        took(writer, count)
        suspend_job(Job.objects.get(state=JobState.RUNNING))

    monkeypatch.setattr(StreamWriter, "took", take_and_suspend)
    server.script.hangs_after = 10
    job = dump(subclient, state=JobState.SUSPENDED)
    monkeypatch.setattr(StreamWriter, "took", took)
    server.script.hangs_after = None
    again = run(resume_job(job))
    assert (again.state, again.level_number) == (JobState.COMPLETED, 0), picture()
    assert again.events.filter(code="dump-begins-again").exists()
    assert server.asked.count("DATA_ABORT") == 1


def test_B7_a_point_that_was_never_copied_is_skipped_once_newer_ones_were(subclient: Subclient) -> None:
    dump(subclient)
    dump(subclient)
    first = rows()[0]
    BackupCopy.objects.filter(pk=first.pk).update(
        state=CopyState.TO_BE_COPIED, snapshot_file_id=None, tree_id=None, copied_at=None
    )
    job = run(launch_backup_copy(subclient))
    assert job.state == JobState.FAILED, picture()
    assert rows()[0].state == CopyState.SKIPPED
    assert dump(subclient).state == JobState.COMPLETED, "newer ones go on"


def test_L5_tokens_of_the_file_server_are_what_the_next_dump_is_built_on(subclient: Subclient, server: Filer) -> None:
    subclient.file_server.options = {**subclient.file_server.options, "profile": "ontap"}
    subclient.file_server.save()
    kept: list[str] = []
    for level, number in (("full", 0), ("incremental", 1), ("differential", 1), ("incremental", 2)):
        kept.append(str(number << 32 | 1_700_000_000 + len(kept)))
        server.script.environment = (Pair("DUMP_DATE", kept[-1]),)
        dump(subclient, level)
    assert [row.tokens[DUMP_DATES] for row in rows()] == [{VOLUME: token} for token in kept]
    assert asked(server, "BASE_DATE") == ["0", kept[0], kept[0], kept[2]]
    fail_once(subclient, server, "differential")
    again = run(launch_backup_copy(subclient))
    assert again.level_number == 1, "a token names its base, so a lost dump poisons nothing"
    assert asked(server, "BASE_DATE")[-1] == kept[0]


def test_a_copy_that_runs_later_than_its_point_says_of_when_it_is(subclient: Subclient) -> None:
    at_once = dump(subclient)
    assert not at_once.events.filter(code="dump-is-later").exists()
    run(launch_snapshot(subclient))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dump_copy, "_LATER", timedelta(0))
        job = run(launch_backup_copy(subclient))
    assert "this copy holds the files of" in job.events.get(code="dump-is-later").sentence


def test_B7_a_point_that_newer_ones_overtook_cannot_be_dumped_any_more(subclient: Subclient) -> None:
    dump(subclient)
    dump(subclient)
    before = rows()[0].snapshot_file_id
    job = run(recopy(rows()[0]))
    assert (job.state, "only the files of now" in job.state_reason) == (JobState.FAILED, True), picture()
    assert rows()[0].snapshot_file_id == before
    assert rows()[0].snapshot.is_present
    assert rows()[0].state == CopyState.COPIED


def test_a_level_of_a_path_is_kept_once(subclient: Subclient) -> None:
    dump(subclient)
    row = DumpDate.objects.get()
    row.pk = None
    with pytest.raises(IntegrityError, match="dump_date_once_per_level"), transaction.atomic():
        row.save(force_insert=True)


def test_L4_another_file_server_at_the_same_place_starts_with_a_full(subclient: Subclient, server: Filer) -> None:
    dump(subclient)
    DumpDate.objects.update(address="elsewhere:10000")
    job = dump(subclient)
    assert (job.ran_level, "not known which dumps" in job.level_reason) == ("full", True)


@pytest.mark.system
@pytest.mark.interop
def test_L6_a_real_servers_levels_are_on_the_medium_as_images_that_tar_restores(
    transactional_db: None, redis_url: str, tmp_path: Path, ndmp_filer: NdmpHost
) -> None:
    make_node()
    root = ndmp_filer.root
    subclient = over(configure(tmp_path), ndmp_filer.address, PORT, password=ACCOUNT, content=str(root))
    subclient.file_server.max_incrementals = 1
    subclient.file_server.save()
    source = random.Random(2)
    for number in range(3):
        (root / f"file {number}").write_bytes(source.randbytes(200_000))
        (root / "changing").write_bytes(source.randbytes(1000))
        dump(subclient)
    assert numbers() == [0, 1, 1]
    assert [row.files for row in rows()] == [2, 2, 3]
    target = tmp_path / "restored"
    target.mkdir()
    for row in (rows()[0], rows()[2]):
        driver = resolve_media(row.media)
        browser = Browser.open(Repository.open(driver, media_password(row.media)), FileId(row.snapshot_file_id or ""))
        node = browser.node(f"/ndmp{root}/{row.level_number}.image".encode())
        assert node is not None
        file = StoredFile(browser.reader, node)
        tar = ["tar", "-x", "--listed-incremental=/dev/null", "-C", str(target)]
        subprocess.run(tar, input=file.read(0, file.size_bytes), check=True, timeout=60)
        driver.close()
    assert subprocess.run(["diff", "-r", str(root), str(target)], check=False).returncode == 0
