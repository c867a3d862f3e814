"""RULES L4 to L6 end to end: the tokens of a storage that dumps, advanced by real jobs, and the chain they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

import pytest

from jobs.engine import errors
from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.ids import FileId
from jobs.engine.operations import restore
from jobs.engine.plan import RestorePlan
from jobs.engine.snapshots.base import SnapshotRoot
from jobs.models import BackupCopy, CopyState, Job, JobState, Level
from jobs.rules.chains import Dump, merge
from jobs.rules.levels import restore_chain
from jobs.rules.tokens import decode
from jobs.runner import demo_tree
from jobs.runner.orders import MustStop
from jobs.services import kill_job, launch_backup_copy, launch_snapshot, resubmit_job
from jobs.services.copy_states import DUMP_DATES
from policies.models import Subclient
from policies.resolve import media_password, resolve_media
from tests.job_factories import make_node
from tests.jobs import dumping_engine
from tests.jobs.dumping_engine import IMAGE, Incidents
from tests.jobs.farm import backup_copy_of, configure, picture
from tests.jobs.here import run
from tests.jobs.test_repository_copies import add_fed_copy


@pytest.fixture
def filer() -> Iterator[Incidents]:
    with dumping_engine.registered() as incidents:
        yield incidents


@pytest.fixture
def subclient(transactional_db: None, redis_url: str, tmp_path: Path, filer: Incidents) -> Subclient:
    make_node()
    made = configure(tmp_path)
    dumping_engine.use_it(made)
    return made


def dump(subclient: Subclient, level: str, *, state: str = JobState.COMPLETED) -> Job:
    """A file more, a snapshot and its backup copy."""
    source = Path(subclient.content_paths[0])
    number = len(list(source.iterdir()))
    (source / f"file-{number}").write_text(f"content of {number}")
    (source / "changing").write_text(f"version {number}")
    run(launch_snapshot(subclient, level=level))
    job = run(launch_backup_copy(subclient))
    assert job.state == state, picture()
    return job


def rows() -> list[BackupCopy]:
    return list(BackupCopy.objects.filter(copy__kind="primary_backup").order_by("snapshot__taken_at"))


def token(row: BackupCopy) -> str:
    (value,) = row.tokens[DUMP_DATES].values()
    return str(value)


def base_of(filer: Incidents) -> str:
    """What the filer was told last."""
    (value,) = filer.orders[-1].base_dates.values()
    return str(value)


def test_L3_L5_each_dump_is_built_on_the_token_of_the_last_full_or_the_last_copied_job(
    subclient: Subclient, filer: Incidents
) -> None:
    subclient.file_server.max_incrementals = 2
    subclient.file_server.save()
    asked = ("full", "incremental", "differential", "incremental", "incremental")
    jobs = [dump(subclient, level) for level in asked]
    assert jobs[-1].level_reason == "Converted: limit of 2 incrementals reached."
    kept = [token(row) for row in rows()]
    assert [decode(one).level for one in kept] == [0, 1, 1, 2, 1] == [row.level_number for row in rows()]
    told = [next(iter(order.base_dates.values())) for order in filer.orders]
    assert told == ["0", kept[0], kept[0], kept[2], kept[0]]
    assert [order.level for order in filer.orders] == [0, 1, 1, 2, 1]


def kill(_root: SnapshotRoot) -> NoReturn:
    kill_job(Job.objects.get(state=JobState.RUNNING))
    raise errors.Killed("The job was killed.")


def fail(_root: SnapshotRoot) -> NoReturn:
    raise errors.SourceMissing("The volume is gone.")


@pytest.mark.parametrize(("incident", "state"), [(kill, JobState.KILLED), (fail, JobState.FAILED)])
def test_L4_L5_a_dump_that_did_not_end_well_advances_nothing(
    subclient: Subclient, filer: Incidents, incident: Callable[[SnapshotRoot], NoReturn], state: str
) -> None:
    for _ in range(2):
        dump(subclient, Level.INCREMENTAL)
    before = [(row.level_number, row.tokens) for row in rows()]
    filer.while_reading = incident
    dump(subclient, Level.INCREMENTAL, state=state)
    assert [(row.level_number, row.tokens) for row in rows()] == [*before, (None, {})]
    filer.while_reading = nullcontext
    again = run(launch_backup_copy(subclient))
    assert again.state == JobState.COMPLETED, picture()
    assert base_of(filer) == token(rows()[1])
    assert decode(token(rows()[2])).level == again.level_number == 2


def test_L4_L5_an_attempt_that_was_lost_is_built_on_the_same_token_again(
    subclient: Subclient, filer: Incidents
) -> None:
    dump(subclient, Level.FULL)

    def lose(_root: SnapshotRoot) -> NoReturn:
        filer.while_reading = nullcontext
        raise MustStop("The access node was stopped.", lost=False)

    filer.while_reading = lose
    assert dump(subclient, Level.INCREMENTAL).attempt == 2
    assert [order.base_dates for order in filer.orders[1:]] == [rows()[0].tokens[DUMP_DATES]] * 2


def test_L4_L5_a_partial_dump_advances_nothing_and_is_dumped_again_whole(
    subclient: Subclient, filer: Incidents
) -> None:
    for _ in range(2):
        dump(subclient, Level.INCREMENTAL)

    @contextmanager
    def keep_one(root: SnapshotRoot) -> Iterator[None]:
        (root.directory / "other").write_text("in the way")
        with demo_tree.kept_by_another(root.directory / "other") as is_unreadable:
            if not is_unreadable:
                pytest.skip("this file system has no leases and root reads every file")
            yield

    filer.while_reading = keep_one
    partial = dump(subclient, Level.INCREMENTAL, state=JobState.COMPLETED_WITH_ERRORS)
    filer.while_reading = nullcontext
    row = rows()[-1]
    assert (row.state, DUMP_DATES in row.tokens) == (CopyState.PARTIAL, False)
    after = dump(subclient, Level.INCREMENTAL)
    assert base_of(filer) == token(rows()[1]), "the next one holds what the partial one should have held"
    assert after.level_number == partial.level_number == 2
    again = run(resubmit_job(partial))
    assert again.state == JobState.COMPLETED, picture()
    assert base_of(filer) == token(rows()[1])
    assert decode(token(rows()[2])).level == 2


def test_L5_a_token_that_cannot_be_true_is_told_and_the_next_dump_is_full(
    subclient: Subclient, filer: Incidents
) -> None:
    dump(subclient, Level.FULL)
    filer.answer = lambda _token: "tomorrow"
    odd = dump(subclient, Level.INCREMENTAL)
    assert "“tomorrow” is not the decimal number" in odd.events.get(code="dump-token").sentence
    filer.answer = str
    job = dump(subclient, Level.INCREMENTAL)
    assert (job.ran_level, base_of(filer)) == ("full", "0")
    assert job.level_reason == "The storage's token of the last backup copy was not kept."


def test_L5_the_tokens_of_another_file_server_say_nothing(subclient: Subclient, filer: Incidents) -> None:
    dump(subclient, Level.FULL)
    row = rows()[0]
    row.tokens["dumped_from"] = subclient.file_server_id + 1
    row.save()
    assert dump(subclient, Level.INCREMENTAL).ran_level == "full"


def test_R10_dumps_of_changes_are_no_sign_that_the_source_shrank(subclient: Subclient, filer: Incidents) -> None:
    (Path(subclient.content_paths[0]) / "large").write_text("x" * 100_000)
    for _ in range(3):
        assert dump(subclient, Level.INCREMENTAL).state == JobState.COMPLETED
    (Path(subclient.content_paths[0]) / "large").unlink()
    assert dump(subclient, Level.FULL, state=JobState.COMPLETED_WITH_ERRORS).exceptions.get().code == "source-guard"


def test_L6_a_chain_brought_to_another_medium_still_gives_every_file_back(
    subclient: Subclient, filer: Incidents, tmp_path: Path
) -> None:
    fed = add_fed_copy(tmp_path, subclient)
    source = Path(subclient.content_paths[0])
    (source / "folder").mkdir()
    (source / "folder" / "old").write_text("old")
    dump(subclient, Level.FULL)
    dump(subclient, Level.INCREMENTAL)
    (source / "folder" / "old").unlink()
    dump(subclient, Level.DIFFERENTIAL)
    dump(subclient, Level.INCREMENTAL)
    job = run(launch_backup_copy(subclient, fed))
    assert job.state == JobState.COMPLETED, picture()
    for copy in (backup_copy_of(subclient), fed):
        there = list(BackupCopy.objects.filter(copy=copy).order_by("snapshot__taken_at"))
        numbers = [row.level_number or 0 for row in there]
        assert numbers == [0, 1, 1, 2], picture()
        chain = restore_chain(numbers, 3)
        assert chain == [0, 2, 3]
        found = merged_files([there[place] for place in chain], tmp_path / copy.name)
        assert found == {
            f"/{file.relative_to(source)}".encode(): file.read_bytes() for file in source.rglob("*") if file.is_file()
        }


def merged_files(chain: list[BackupCopy], folder: Path) -> dict[bytes, bytes]:
    """What a restore of the chain's last gives, read from the media."""
    dumps: list[Dump] = []
    contents: dict[tuple[int, int], bytes] = {}
    for row in chain:
        target = folder / str(row.pk)
        driver = resolve_media(row.media)
        plan = RestorePlan(snapshot_file_id=FileId(row.snapshot_file_id or ""), target=target)
        restore.run(plan, driver, media_password(row.media), NullSink(), FreeRun(), SystemClock())
        driver.close()
        (image,) = target.rglob(IMAGE)
        dump, held = dumping_engine.read_image(row.pk, image.read_bytes())
        dumps.append(dump)
        contents |= {(row.pk, node): content for node, content in held.items()}
    merged = merge(dumps)
    found = {}
    for path, source in merged.sources().items():
        node = merged.node_of(path)
        if node is not None and (source, node) in contents:
            found[path] = contents[source, node]
    return found
