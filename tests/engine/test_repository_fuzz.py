"""Files that open with the key and hold nonsense: whoever reads them gives an error in words, at once, and never more.

What the seal refuses is in ``test_repository_damage``. This is what a defect, or an enemy with the password, writes.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import EngineError, RepositoryDamaged
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.ids import BlobId, FileId
from jobs.engine.operations import backup_copy, check, prune, restore
from jobs.engine.operations.browse import Browser
from jobs.engine.operations.check import CheckPlan
from jobs.engine.operations.prune import PrunePlan
from jobs.engine.operations.rotation import Pace
from jobs.engine.plan import CopyPlan, CopySettings, RestorePlan, SourceRoot, StoredPath
from jobs.engine.repository.claims import Claims
from jobs.engine.repository.index_file import IndexWriter
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind, FileKind, file_name
from jobs.engine.repository.pack_writer import WrittenPack
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.session import AppendSession
from jobs.engine.repository.snapshot_file import SnapshotFile, list_snapshot_files, save_snapshot_file

from .repositories import PASSWORD, disk_at, fill, new_repository

SECONDS = 30
ODD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 7, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, 10**30, 1.5, -0.0, 1e308),
    *("", "x", "\0", "..", "a/b", "\ud800", "ä" * 300, "0" * 64, "f" * 63, "F" * 64, "dir", "file", "\\xff", "\\"),
    *("9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "2024-02-30T25:00:00+99:99", "2262-04-12T00:00:00.999999999Z"),
    *([], {}, [[]], [{}], [None], {"id": 1}, ["0" * 64]),
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "r"
    fill(new_repository(path))
    return path


class Hung(Exception):
    """It takes too long."""


@contextmanager
def at_once() -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def distorted(value: Any, source: random.Random) -> Any:
    """The JSON value with one thing in it, anywhere, replaced, removed, doubled or added."""
    places = list(_places(value))
    if not places:
        return source.choice(ODD)
    holder, key = source.choice(places)
    act = source.randrange(6)
    if act == 0 and isinstance(holder, dict):
        del holder[key]
    elif act == 1 and isinstance(holder, list):
        holder.append(holder[key])
    elif act == 2 and isinstance(holder[key], int) and not isinstance(holder[key], bool):
        holder[key] += source.choice((-1, 1, 1 << 16, -(1 << 16), 1 << 31))
    elif act == 3 and isinstance(holder[key], str) and holder[key]:
        at = source.randrange(len(holder[key]))
        holder[key] = holder[key][:at] + chr(source.randrange(1, 300)) + holder[key][at + 1 :]
    else:
        holder[key] = source.choice(ODD)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield value, key
        yield from _places(below)


def encoded(value: Any, source: random.Random) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return text if source.randrange(8) else text[: source.randrange(1, len(text) + 1)]


def distort_index(repository: Repository, source: random.Random) -> None:
    (old,) = [file_id for file_id, _ in repository.list_files(FileKind.INDEX)]
    value = distorted(json.loads(repository.read_file(FileKind.INDEX, old)), source)
    repository.write_file(FileKind.INDEX, encoded(value, source))
    if source.randrange(2):
        repository.delete_file(FileKind.INDEX, old)


def distort_snapshot(repository: Repository, source: random.Random) -> None:
    (old,) = [file_id for file_id, _ in repository.list_files(FileKind.SNAPSHOT)]
    value = distorted(json.loads(repository.read_file(FileKind.SNAPSHOT, old)), source)
    repository.write_file(FileKind.SNAPSHOT, encoded(value, source))


def distort_lock(repository: Repository, source: random.Random) -> None:
    lock = {"time": "2024-01-01T00:00:00Z", "exclusive": False, "hostname": "x", "username": "u", "pid": 1, "uid": 0}
    repository.write_file(FileKind.LOCK, encoded(distorted(lock, source), source))


def distort_tree(repository: Repository, source: random.Random) -> None:
    """Of the directory that holds the files, so that the trees above it are valid."""
    (snapshot,) = list_snapshot_files(repository)
    reader = BlobReader(repository, load_index(repository))
    top = json.loads(reader.read(BlobKind.TREE, snapshot.tree))
    subtree = BlobId(bytes.fromhex(top["nodes"][0]["subtree"]))
    broken = encoded(distorted(json.loads(reader.read(BlobKind.TREE, subtree)), source), source)
    packs: list[WrittenPack] = []
    session = AppendSession(repository, reader.index, Claims(), on_written=packs.append)
    top["nodes"][0]["subtree"] = session.save_tree(broken).hex()
    tree = session.save_tree(json.dumps(top, separators=(",", ":")).encode() + b"\n")
    session.close()
    writer = IndexWriter(repository)
    for pack in packs:
        writer.add(pack)
    writer.flush()
    save_snapshot_file(
        repository, SnapshotFile(time_ns=2 * 10**18, tree=tree, paths=(b"/d",), hostname="h", username="u")
    )


def distort_key(repository: Repository, source: random.Random) -> None:
    """One more key file, which is tried first or last."""
    text = repository.media.get(file_name(FileKind.KEY, repository.key_id))
    stored = encoded(distorted(json.loads(text), source), source)
    name = sha256(stored).hexdigest()
    repository.media.put(f"keys/{name}", [stored])
    if source.randrange(2):
        repository.delete_file(FileKind.KEY, repository.key_id)


def distort_config(repository: Repository, source: random.Random) -> None:
    value = distorted(json.loads(repository.config.to_json()), source)
    repository.media.delete("config")
    repository.media.put("config", [repository.sealer().seal(encoded(value, source))])


DISTORT: tuple[Callable[[Repository, random.Random], None], ...] = (
    distort_index,
    distort_snapshot,
    distort_lock,
    distort_tree,
    distort_key,
    distort_config,
)


def everything(path: Path, base: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What people do with a repository, each from the opening on."""
    sink, control, clock = NullSink(), FreeRun(), SystemClock()
    (base / "source").mkdir()
    (base / "source" / "file").write_bytes(b"something")
    root = SourceRoot(directory=base / "source", stored_as=StoredPath(b"/d"))
    copy = CopyPlan(
        roots=(root,), hostname="h", username="u", taken_at_ns=clock.now_ns(), find_parent=True, settings=CopySettings()
    )
    names = [entry.name for entry in (path / "snapshots").iterdir()]

    def browse(name: str) -> list[object]:
        return list(Browser.open(Repository.open(disk_at(path), PASSWORD), FileId(name)).walk(b"/"))

    def restored(name: str) -> object:
        plan = RestorePlan(snapshot_file_id=FileId(name), target=base / f"there {name[:8]}", readers=1)
        return restore.run(plan, disk_at(path), PASSWORD, sink, control, clock)

    for name in names:
        yield f"browse {name[:8]}", lambda name=name: browse(name)  # type: ignore[misc]
        yield f"restore {name[:8]}", lambda name=name: restored(name)  # type: ignore[misc]
    yield (
        "check",
        lambda: check.run(CheckPlan(pace=Pace(percent=100)), disk_at(path), PASSWORD, sink, control, clock),
    )
    yield "copy", lambda: backup_copy.run(copy, disk_at(path), PASSWORD, sink, control, clock)
    yield "prune", lambda: prune.run(PrunePlan(max_unused_percent=0), disk_at(path), PASSWORD, sink, control, clock)


def torment(pristine: Path, base: Path, distort: Callable[[Repository, random.Random], None], seed: int) -> list[str]:
    """Do everything with a repository that was distorted. Whatever does not work is an EngineError; those come back."""
    path = base / "r"
    shutil.copytree(pristine, path)
    distort(Repository.open(disk_at(path), PASSWORD), random.Random(seed))
    unnamed: list[str] = []
    for what, act in everything(path, base):
        try:
            with at_once():
                act()
        except EngineError as error:
            if (isinstance(error, RepositoryDamaged) and error.name not in f"{error}") or not error.sentence:
                unnamed.append(f"{what}: {error!r}")
    return unnamed


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("distort", DISTORT, ids=lambda distort: distort.__name__)
def test_distorted_files_give_errors_that_name_them(
    pristine: Path, tmp_path: Path, distort: Callable[[Repository, random.Random], None], seed: int
) -> None:
    assert torment(pristine, tmp_path, distort, seed) == []
