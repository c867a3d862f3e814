"""What happens to what is at the target already (RULES V2), and how an interrupted restore goes on."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.errors import Killed
from jobs.engine.operations.restoring.decision import FORMATS, Decision, decide
from jobs.engine.plan import Overwrite
from jobs.engine.repository.tree import Node, NodeKind
from tests.engine.repositories import new_repository
from tests.engine.restores import Record, StopAfter, latest, leftovers, run_restore
from tests.interop.restic import Restic
from tests.odd_tree import Described, describe_tree

pytestmark = pytest.mark.interop
MOMENT = 1_600_000_000_123_456_789


@pytest.fixture
def restic(tmp_path: Path) -> Restic:
    new_repository(tmp_path / "repository")
    return Restic(repository=tmp_path / "repository")


@pytest.fixture
def source(tmp_path: Path, restic: Restic) -> Path:
    """Backed up: a file, a link and a directory, all of MOMENT."""
    path = tmp_path / "source"
    (path / "folder").mkdir(parents=True)
    (path / "file").write_bytes(b"from the copy")
    (path / "folder" / "inside").write_bytes(b"inside")
    os.symlink("from the copy", path / "link")
    for each in (path / "folder" / "inside", path / "file", path / "link", path / "folder", path):
        os.utime(each, ns=(MOMENT, MOMENT), follow_symlinks=False)
    restic.run("backup", ".", cwd=path)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def inside(root: Path) -> dict[bytes, Described]:
    """All but the root itself, which a restore leaves alone."""
    return {path: entry for path, entry in describe_tree(root).items() if path}


def put(path: Path, content: bytes, *, newer: bool) -> None:
    path.write_bytes(content)
    moment = MOMENT + (10**9 if newer else -(10**9))
    os.utime(path, ns=(moment, moment))


@pytest.mark.parametrize(
    ("overwrite", "newer", "is_replaced"),
    [
        (Overwrite.NEVER, False, False),
        (Overwrite.NEVER, True, False),
        (Overwrite.IF_NEWER, False, True),
        (Overwrite.IF_NEWER, True, False),
        (Overwrite.ALWAYS, False, True),
        (Overwrite.ALWAYS, True, True),
    ],
)
@pytest.mark.usefixtures("source")
def test_each_mode_does_what_it_says(
    restic: Restic, target: Path, overwrite: Overwrite, newer: bool, is_replaced: bool
) -> None:
    put(target / "file", b"at the target", newer=newer)
    result = run_restore(restic.repository, target, overwrite=overwrite)
    content = (target / "file").read_bytes()
    assert content == (b"from the copy" if is_replaced else b"at the target")
    assert result.files_skipped == (0 if is_replaced else 1)
    assert result.counters.files_changed == (1 if is_replaced else 0)
    assert result.counters.files_new == 2
    assert result.counters.files_done == 3
    assert (target / "folder" / "inside").exists()


def test_a_file_of_the_same_size_is_compared_before_it_is_written(source: Path, restic: Restic, target: Path) -> None:
    put(target / "file", b"from the copy", newer=True)
    inode = (target / "file").stat().st_ino
    result = run_restore(restic.repository, target, overwrite=Overwrite.ALWAYS)
    assert result.counters.files_unmodified == 1
    assert (target / "file").stat().st_ino == inode
    assert inside(target) == inside(source)


def test_a_silent_change_of_content_is_found_by_always(source: Path, restic: Restic, target: Path) -> None:
    run_restore(restic.repository, target)
    (target / "file").write_bytes(b"FROM THE COPY")
    os.utime(target / "file", ns=(MOMENT, MOMENT))
    unchanged = run_restore(restic.repository, target, overwrite=Overwrite.IF_NEWER)
    assert unchanged.counters.files_unmodified == 3
    run_restore(restic.repository, target, overwrite=Overwrite.ALWAYS)
    assert (target / "file").read_bytes() == b"from the copy"


def test_other_names_of_a_replaced_file_keep_their_content(source: Path, restic: Restic, target: Path) -> None:
    put(target / "other name", b"precious", newer=False)
    os.link(target / "other name", target / "file")
    run_restore(restic.repository, target, overwrite=Overwrite.ALWAYS)
    assert (target / "other name").read_bytes() == b"precious"
    assert (target / "file").read_bytes() == b"from the copy"


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_a_directory_with_content_is_never_replaced_by_a_file(
    source: Path, restic: Restic, target: Path, overwrite: Overwrite
) -> None:
    (target / "file").mkdir()
    (target / "file" / "precious").touch()
    (target / "link").mkdir()
    (target / "link" / "precious").touch()
    record = Record()
    result = run_restore(restic.repository, target, overwrite=overwrite, record=record)
    assert (target / "file" / "precious").exists()
    assert (target / "link" / "precious").exists()
    assert set(record.failures) == {b"/file", b"/link"}
    assert result.counters.exceptions == 2
    assert leftovers(target) == []


def test_an_empty_directory_is_replaced_by_always(source: Path, restic: Restic, target: Path) -> None:
    (target / "file").mkdir()
    (target / "link").mkdir()
    run_restore(restic.repository, target, overwrite=Overwrite.ALWAYS)
    assert inside(target) == inside(source)


def test_a_file_in_the_place_of_a_directory(source: Path, restic: Restic, target: Path) -> None:
    put(target / "folder", b"a file", newer=True)
    record = Record()
    run_restore(restic.repository, target, record=record)
    assert (target / "folder").read_bytes() == b"a file"
    assert set(record.failures) == {b"/folder"}
    run_restore(restic.repository, target, overwrite=Overwrite.ALWAYS)
    assert describe_tree(target)[b"folder/inside"] == describe_tree(source)[b"folder/inside"]


def test_a_second_restore_recognises_everything(source: Path, restic: Restic, target: Path) -> None:
    run_restore(restic.repository, target)
    result = run_restore(restic.repository, target)
    assert result.counters.files_unmodified == result.counters.files_done == 3
    assert result.counters.bytes_read == 0
    assert result.files_skipped == 0


def test_existing_directories_keep_their_metadata_when_nothing_is_overwritten(
    source: Path, restic: Restic, target: Path
) -> None:
    (source / "folder").chmod(0o751)
    restic.run("backup", ".", cwd=source)
    (target / "folder").mkdir(mode=0o700)
    run_restore(restic.repository, target, overwrite=Overwrite.NEVER)
    assert stat.S_IMODE((target / "folder").stat().st_mode) == 0o700
    run_restore(restic.repository, target, overwrite=Overwrite.IF_NEWER)
    assert stat.S_IMODE((target / "folder").stat().st_mode) == 0o751


def test_directories_on_the_way_to_a_chosen_path_keep_their_metadata(
    source: Path, restic: Restic, target: Path
) -> None:
    (target / "folder").mkdir(mode=0o711)
    run_restore(restic.repository, target, paths=(b"/folder/inside",), overwrite=Overwrite.ALWAYS)
    assert stat.S_IMODE((target / "folder").stat().st_mode) == 0o711
    assert (target / "folder" / "inside").read_bytes() == b"inside"


def test_attributes_an_existing_directory_should_not_have_are_taken_away(
    source: Path, restic: Restic, target: Path
) -> None:
    (target / "folder").mkdir()
    os.setxattr(target / "folder", "user.extra", b"x")
    run_restore(restic.repository, target)
    assert os.listxattr(target / "folder") == []


def test_an_inherited_acl_is_not_given_to_what_is_restored(source: Path, restic: Restic, target: Path) -> None:
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx", str(target)], check=True)
    target.chmod(0o2777)
    run_restore(restic.repository, target)
    assert inside(target) == inside(source)


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_the_dry_run_tells_what_the_restore_then_does(
    source: Path, restic: Restic, target: Path, overwrite: Overwrite
) -> None:
    put(target / "file", b"at the target", newer=False)
    before = describe_tree(target)
    told = run_restore(restic.repository, target, overwrite=overwrite, dry_run=True)
    assert describe_tree(target) == before
    done = run_restore(restic.repository, target, overwrite=overwrite)
    for figure in ("files_done", "files_new", "files_changed", "files_unmodified", "bytes_done", "directories_done"):
        assert getattr(told.counters, figure) == getattr(done.counters, figure), figure
    assert told.files_skipped == done.files_skipped


def test_the_dry_run_makes_no_target_and_takes_no_lock(source: Path, restic: Restic, tmp_path: Path) -> None:
    told = run_restore(restic.repository, tmp_path / "nowhere", dry_run=True)
    assert told.counters.files_new == 3
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture
def wide(tmp_path: Path, restic: Restic) -> Path:
    """Enough to be interrupted in the middle: files, hard links, a large file, directories of odd modes."""
    path = tmp_path / "wide"
    for number in range(30):
        folder = path / f"folder {number}"
        folder.mkdir(parents=True)
        for inside in range(20):
            (folder / f"file {inside}").write_bytes(os.urandom(500 + 3000 * (inside % 2)))
        if number:
            os.link(path / "folder 0" / "file 0", folder / "linked")
        os.symlink("somewhere", folder / "link")
        folder.chmod(0o500 if number % 3 else 0o1777)
    (path / "large").write_bytes(os.urandom(3 << 20) + bytes(2 << 20) + os.urandom(1 << 20))
    restic.run("backup", ".", cwd=path)
    return path


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_a_stopped_restore_leaves_nothing_odd_and_goes_on(
    wide: Path, restic: Restic, target: Path, overwrite: Overwrite
) -> None:
    for looks in (2, 4, 6, 9, 1000):
        try:
            run_restore(restic.repository, target, overwrite=overwrite, control=StopAfter(looks))
        except Killed:
            assert looks < 1000
            assert leftovers(target) == []
            assert not list((restic.repository / "locks").iterdir())
    assert inside(target) == inside(wide)


KILLED_RESTORE = """
import os, sys, threading, time
from pathlib import Path
from tests.engine.restores import run_restore
threading.Timer(float(sys.argv[3]), lambda: os.kill(os.getpid(), 9)).start()
run_restore(Path(sys.argv[1]), Path(sys.argv[2]), snapshot_file_id=sys.argv[4], overwrite=sys.argv[5])
"""


@pytest.mark.parametrize("overwrite", ["never", "if newer", "always"])
def test_a_killed_restore_goes_on_and_loses_nothing(wide: Path, restic: Restic, target: Path, overwrite: str) -> None:
    snapshot = latest(restic.repository)
    deaths = 0
    for delay in (0.3, 0.35, 0.4):
        arguments = [str(restic.repository), str(target), str(delay), snapshot, overwrite]
        done = subprocess.run(
            [sys.executable, "-c", KILLED_RESTORE, *arguments],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=False,
        )
        deaths += done.returncode == -signal.SIGKILL
    assert deaths
    result = run_restore(restic.repository, target, overwrite=Overwrite(overwrite))
    assert result.files_skipped == 0
    assert leftovers(target) == []
    assert inside(target) == inside(wide)


def a_node(kind: NodeKind, size: int, mtime_ns: int) -> Node:
    values: dict[str, object] = dict.fromkeys(Node._fields, 0)
    values |= {"name": b"x", "kind": kind, "size": size, "mtime_ns": mtime_ns, "content": (), "subtree": None}
    return Node(**values)  # type: ignore[arg-type]


@given(
    kind=st.sampled_from([kind for kind in FORMATS if kind is not NodeKind.DIRECTORY]),
    there=st.none() | st.sampled_from(sorted(set(FORMATS.values()))),
    sizes=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    times=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    overwrite=st.sampled_from(Overwrite),
    with_metadata=st.booleans(),
)
def test_no_mode_breaks_its_promise(
    *,
    kind: NodeKind,
    there: int | None,
    sizes: tuple[int, int],
    times: tuple[int, int],
    overwrite: Overwrite,
    with_metadata: bool,
) -> None:
    existing = None
    if there is not None:
        fields = [there, 1, 1, 1, 0, 0, sizes[1], times[1], times[1], times[1]]
        existing = os.stat_result(fields, {"st_mtime_ns": times[1] * 10**9})
    decision = decide(a_node(kind, sizes[0], times[0] * 10**9), existing, overwrite, with_metadata=with_metadata)
    if existing is None:
        assert decision is Decision.WRITE
    elif stat.S_ISDIR(existing.st_mode):
        assert decision is Decision.BLOCKED
    elif overwrite is Overwrite.ALWAYS:
        assert decision in {Decision.REPLACE, Decision.VERIFY}
    elif overwrite is Overwrite.NEVER:
        assert decision in {Decision.KEEP, Decision.COMPLETE}
    elif decision is Decision.REPLACE:
        assert times[0] > times[1]
