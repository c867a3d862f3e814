"""Nothing a copy holds, and nothing that lies at the target, makes a restore write outside of the target."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.errors import InvalidOptions, NotInCopy, TargetRefused
from jobs.engine.operations.restoring.directories import Directories
from jobs.engine.operations.restoring.selection import select, split_path
from jobs.engine.plan import Overwrite, StoredPath
from jobs.engine.repository.claims import Claims
from jobs.engine.repository.index_file import IndexWriter
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.pack_writer import WrittenPack
from jobs.engine.repository.session import AppendSession
from jobs.engine.repository.snapshot_file import SnapshotFile, save_snapshot_file
from jobs.engine.repository.tree import join_tree
from tests.engine.repositories import directory_node, file_node, new_repository
from tests.engine.restores import Record, leftovers, run_restore
from tests.interop.restic import Restic


@pytest.fixture
def restic(tmp_path: Path) -> Restic:
    new_repository(tmp_path / "repository")
    return Restic(repository=tmp_path / "repository")


@pytest.fixture
def source(tmp_path: Path, restic: Restic) -> Path:
    path = tmp_path / "source"
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "b" / "file").write_bytes(b"from the copy")
    (path / "a" / "file").write_bytes(b"from the copy")
    restic.run("backup", ".", cwd=path)
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    (path / "b").mkdir(parents=True)
    (path / "file").write_bytes(b"precious")
    os.utime(path / "file", ns=(0, 0))
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def untouched(outside: Path) -> bool:
    names = sorted(str(path.relative_to(outside)) for path in outside.rglob("*"))
    return names == ["b", "file"] and (outside / "file").read_bytes() == b"precious"


@pytest.mark.interop
@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("overwrite", [Overwrite.NEVER, Overwrite.IF_NEWER])
def test_a_link_in_the_place_of_a_directory_is_not_followed(
    restic: Restic, target: Path, outside: Path, overwrite: Overwrite
) -> None:
    (target / "a").symlink_to(outside)
    os.utime(target / "a", ns=(4 * 10**18, 4 * 10**18), follow_symlinks=False)
    record = Record()
    result = run_restore(restic.repository, target, overwrite=overwrite, record=record)
    assert untouched(outside)
    assert set(record.failures) == {b"/a"}
    assert "symbolic link" in record.failures[b"/a"].error or "not a directory" in record.failures[b"/a"].error
    assert result.counters.exceptions == 1


@pytest.mark.interop
@pytest.mark.usefixtures("source")
def test_always_puts_a_directory_in_the_place_of_a_link(restic: Restic, target: Path, outside: Path) -> None:
    (target / "a").symlink_to(outside)
    run_restore(restic.repository, target, overwrite=Overwrite.ALWAYS)
    assert untouched(outside)
    assert not (target / "a").is_symlink()
    assert (target / "a" / "b" / "file").read_bytes() == b"from the copy"


@pytest.mark.interop
@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_a_link_in_the_place_of_a_file_is_not_written_through(
    restic: Restic, target: Path, outside: Path, overwrite: Overwrite
) -> None:
    (target / "a").mkdir()
    (target / "a" / "file").symlink_to(outside / "file")
    os.utime(target / "a" / "file", ns=(0, 0), follow_symlinks=False)
    run_restore(restic.repository, target, overwrite=overwrite)
    assert untouched(outside)
    assert (target / "a" / "file").is_symlink() is (overwrite is Overwrite.NEVER)


@pytest.mark.interop
@pytest.mark.usefixtures("source")
def test_a_fifo_in_the_place_of_a_file_does_not_block(restic: Restic, target: Path) -> None:
    (target / "a").mkdir()
    os.mkfifo(target / "a" / "file")
    run_restore(restic.repository, target, overwrite=Overwrite.ALWAYS)
    assert (target / "a" / "file").read_bytes() == b"from the copy"


@pytest.mark.interop
def test_a_link_in_the_copy_is_not_followed_by_what_comes_after(restic: Restic, tmp_path: Path, outside: Path) -> None:
    """Two snapshot files, restored one over the other: a link of the first must not catch a directory of the second."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").symlink_to(outside)
    restic.run("backup", ".", cwd=source)
    run_restore(restic.repository, tmp_path / "target")
    (source / "a").unlink()
    (source / "a").mkdir()
    (source / "a" / "file").write_bytes(b"evil")
    restic.run("backup", ".", cwd=source)
    run_restore(restic.repository, tmp_path / "target", overwrite=Overwrite.ALWAYS)
    assert untouched(outside)


@pytest.mark.interop
@pytest.mark.usefixtures("source")
def test_the_target_itself_may_be_reached_through_a_link(restic: Restic, target: Path, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(target)
    run_restore(restic.repository, tmp_path / "way")
    assert (target / "a" / "file").read_bytes() == b"from the copy"


def save_evil(repository_path: Path, names: list[str]) -> None:
    """A snapshot file whose directory ``d`` holds files under ``names``, written as no honest writer would."""
    repository = new_repository(repository_path)
    packs: list[WrittenPack] = []
    session = AppendSession(repository, load_index(repository), Claims(), on_written=packs.append)
    blob = session.save(BlobKind.DATA, b"evil")
    below = session.save_tree(join_tree([file_node(name, [blob], 4) for name in names]))
    good = session.save_tree(join_tree([file_node("good", [blob], 4)]))
    tree = session.save_tree(join_tree([directory_node("d", below), directory_node("good", good)]))
    session.close()
    index_writer = IndexWriter(repository)
    for pack in packs:
        index_writer.add(pack)
    index_writer.flush()
    save_snapshot_file(repository, SnapshotFile(time_ns=10**18, tree=tree, paths=(b"/d",)))


@pytest.mark.parametrize("name", ["..", ".", "", "../escaped", "/escaped", "a/b", "x\\\\x00y", "\\\\x2e\\\\x2e"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    save_evil(tmp_path / "repository", [name])
    record = Record()
    result = run_restore(tmp_path / "repository", tmp_path / "target", record=record)
    assert set(record.failures) == {b"/d"}
    assert record.failures[b"/d"].code == "tree-damaged"
    assert (tmp_path / "target" / "good" / "good").read_bytes() == b"evil"
    assert not list(tmp_path.rglob("escaped"))
    assert result.counters.exceptions == 1


def test_a_name_twice_in_a_directory_is_refused(tmp_path: Path) -> None:
    save_evil(tmp_path / "repository", ["same", "same"])
    record = Record()
    run_restore(tmp_path / "repository", tmp_path / "target", record=record)
    assert set(record.failures) == {b"/d"}


@pytest.mark.interop
@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("path", [b"/nothing", b"/a/nothing", b"/a/file/below"])
def test_a_path_that_is_not_there_is_told_before_anything_is_written(
    restic: Restic, tmp_path: Path, path: bytes
) -> None:
    with pytest.raises(NotInCopy):
        run_restore(restic.repository, tmp_path / "target", paths=(b"/a", path))
    assert not (tmp_path / "target").exists()
    assert not list((restic.repository / "locks").iterdir())


@pytest.mark.interop
@pytest.mark.usefixtures("source")
def test_a_target_that_is_a_file_is_refused(restic: Restic, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for dry_run in (False, True):
        with pytest.raises(TargetRefused):
            run_restore(restic.repository, tmp_path / "file", dry_run=dry_run)
    with pytest.raises(TargetRefused):
        run_restore(restic.repository, tmp_path / "file" / "below")


@pytest.mark.interop
@pytest.mark.usefixtures("source")
def test_a_relative_target_is_refused(restic: Restic) -> None:
    with pytest.raises(InvalidOptions) as caught:
        run_restore(restic.repository, Path("somewhere"))
    assert caught.value.field == "target"


def test_a_path_outside_of_the_prefix_is_refused() -> None:
    with pytest.raises(InvalidOptions) as caught:
        select([StoredPath(b"/srv/other")], below=(b"srv", b"data"))
    assert caught.value.field == "strip_prefix"


names = st.binary(min_size=1, max_size=6).filter(lambda name: b"/" not in name and b"\0" not in name)
honest = names.filter(lambda name: name not in {b".", b".."})


@given(st.lists(st.lists(honest, max_size=4).map(tuple), max_size=5), st.lists(honest, max_size=6).map(tuple))
def test_a_selection_holds_a_path_exactly_if_it_is_chosen_or_below_or_above(
    chosen: list[tuple[bytes, ...]], asked: tuple[bytes, ...]
) -> None:
    root = select([StoredPath(b"/" + b"/".join(parts)) for parts in chosen])
    at = root
    for name in asked:
        below = at.below(name)
        if below is None:
            break
        at = below
    else:
        below = at
    chosen = chosen or [()]
    is_inside = any(asked[: len(parts)] == parts for parts in chosen)
    is_above = any(parts[: len(asked)] == asked for parts in chosen)
    assert (below is not None) == (is_inside or is_above)
    assert (below is not None and below.is_whole) == is_inside


@given(st.lists(names | st.just(b"") | st.sampled_from([b".", b".."]), max_size=6))
def test_a_stored_path_never_holds_a_step_out(parts: list[bytes]) -> None:
    path = b"/".join(parts)
    if any(part in {b".", b".."} for part in path.split(b"/")):
        with pytest.raises(InvalidOptions):
            split_path(path)
    else:
        assert b"/".join(split_path(path)) == b"/".join(part for part in parts if part)


@given(st.lists(st.sampled_from([b"folder", b"deep", b"link", b"link up", b"file", b"gone"]), max_size=5))
def test_no_directory_is_opened_through_a_link(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    base = tmp_path_factory.mktemp("safe")
    root = base / "root"
    (root / "folder" / "deep" / "folder").mkdir(parents=True)
    (base / "elsewhere" / "deep").mkdir(parents=True)
    for folder in (root, root / "folder", root / "folder" / "deep"):
        (folder / "link").symlink_to(base / "elsewhere")
        (folder / "link up").symlink_to("..")
        (folder / "file").touch()
    directories = Directories(os.fsencode(root))
    try:
        fd = directories.fd(tuple(parts))
    except OSError:
        assert os.path.realpath(os.path.join(os.fsencode(root), *parts)) != os.path.join(os.fsencode(root), *parts) or (
            not os.path.isdir(os.path.join(os.fsencode(root), *parts))
        )
    else:
        assert os.readlink(f"/proc/self/fd/{fd}") == os.fsdecode(os.path.join(os.fsencode(root), *parts))
    finally:
        directories.close()


def test_no_descriptor_is_lost_in_deep_trees(tmp_path: Path) -> None:
    parts: tuple[bytes, ...] = ()
    directories = Directories(os.fsencode(tmp_path))
    assert open_below(tmp_path) == 1
    for level in range(400):
        parts = (*parts, b"%d" % level)
        assert directories.make(parts)
    assert not directories.make(parts)
    directories.fd(parts)
    assert open_below(tmp_path) < 1 + 200
    directories.close()
    assert open_below(tmp_path) == 0
    assert leftovers(tmp_path) == []


def open_below(place: Path) -> int:
    """How many descriptors of this process lead there; others are closed meanwhile, as garbage of other tests."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            count += Path(os.readlink(f"/proc/self/fd/{number}")).is_relative_to(place)
    return count
