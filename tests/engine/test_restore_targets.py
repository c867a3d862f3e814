"""Targets that cannot hold everything: other file systems, full ones, other users' rights. Clear words, no surprise."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.engine.errors import NoSpace, TargetRefused
from jobs.engine.ids import FileId
from jobs.engine.operations import restore
from jobs.engine.operations.restoring import files
from jobs.engine.plan import Overwrite
from tests.engine.repositories import new_repository
from tests.engine.restores import Record, latest, leftovers, run_restore
from tests.forks import fork
from tests.interop.restic import Restic
from tests.loopmounts import LoopMount
from tests.odd_tree import Described, describe_tree

pytest_plugins = ["tests.loopmounts"]
pytestmark = [pytest.mark.interop, pytest.mark.system]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and other users need root")


@pytest.fixture
def restic(tmp_path: Path) -> Restic:
    new_repository(tmp_path / "repository")
    return Restic(repository=tmp_path / "repository")


@pytest.fixture
def source(tmp_path: Path, restic: Restic) -> Path:
    path = tmp_path / "source"
    (path / "folder").mkdir(parents=True)
    (path / "plain").write_bytes(b"plain")
    (path / "owned").write_bytes(b"owned")
    os.chown(path / "owned", 1234, 4321)
    (path / "owned").chmod(0o4755)
    (path / "attributes").write_bytes(b"attributes")
    os.setxattr(path / "attributes", "user.comment", b"x")
    subprocess.run(["setfacl", "-m", "u:1234:r", str(path / "attributes")], check=True)
    (path / "linked").write_bytes(b"linked")
    os.link(path / "linked", path / "folder" / "other name")
    os.symlink("plain", path / "link")
    restic.run("backup", ".", cwd=path)
    return path


def refuse(*_arguments: object, **_options: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.usefixtures("source")
def test_a_file_system_like_fat_gets_the_contents_and_says_what_it_cannot_hold(
    restic: Restic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels for tests know no FAT: its refusals are played, in the workers as well, which are forked from here."""
    target = tmp_path / "target"
    for call in ("link", "symlink", "chown", "fchown", "setxattr"):
        monkeypatch.setattr(os, call, refuse)
    monkeypatch.setattr(restore, "ignores_case", lambda _target, _begin: True)
    record = Record()
    result = run_restore(restic.repository, target, record=record)
    assert (target / "plain").read_bytes() == b"plain"
    assert (target / "folder" / "other name").read_bytes() == (target / "linked").read_bytes() == b"linked"
    assert set(record.failures) == {b"/link"}
    assert {notice.code for notice in record.notices} == {"metadata-not-set", "target-ignores-case"}
    told = " ".join(notice.sentence for notice in record.notices)
    for word in ("the owner", "hard links", "the ACL", "user.comment", "/attributes"):
        assert word in told
    assert (target / "owned").stat().st_mode & 0o7777 == 0o755
    assert result.warnings >= 4
    assert leftovers(target) == []


@needs_root
def test_a_file_system_without_attributes_says_so(source: Path, restic: Restic, tmp_path: Path) -> None:
    target = tmp_path / "ramfs"
    target.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "none", str(target)], check=True)
    try:
        record = Record()
        result = run_restore(restic.repository, target, record=record)
        told = sorted(notice.sentence for notice in record.notices)
        assert len(told) == 2
        assert "the ACL (Operation not supported), on /attributes" in told[0]
        assert "the attribute user.comment (Operation not supported), on /attributes" in told[1]
        assert result.warnings == 2
        assert result.counters.exceptions == 0
        assert (target / "linked").stat().st_nlink == 2
        assert (target / "owned").stat().st_mode & 0o7777 == 0o4755
    finally:
        subprocess.run(["umount", str(target)], check=True)


def comparable(root: Path) -> dict[bytes, tuple[Described, list[object]]]:
    """All but the root. ACLs by their meaning: XFS fills unused fields in another way, and shows its own form, too."""
    return {
        path: (replace(entry, attributes=()), [_acl(each) for each in entry.attributes if "SGI_ACL" not in each[0]])
        for path, entry in inside(root).items()
    }


def inside(root: Path) -> dict[bytes, Described]:
    return {path: entry for path, entry in describe_tree(root).items() if path}


def _acl(attribute: tuple[str, bytes]) -> tuple[str, object]:
    name, value = attribute
    if not name.startswith("system.posix_acl"):
        return name, value
    entries = [struct.unpack_from("<HHI", value, at) for at in range(4, len(value), 8)]
    return name, [(tag, rights, who if tag in {2, 8} else None) for tag, rights, who in entries]


@needs_root
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_real_file_systems_hold_everything(source: Path, restic: Restic, loop_mount: LoopMount, kind: str) -> None:
    target = loop_mount(kind) / "target"
    record = Record()
    run_restore(restic.repository, target, record=record)
    assert record.notices == []
    assert comparable(target) == comparable(source)


@needs_root
@pytest.mark.parametrize("large", [False, True])
def test_a_full_target_ends_the_restore_at_once(
    tmp_path: Path, restic: Restic, loop_mount: LoopMount, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr(files, "LARGE_BYTES", 1 << 20)
    source = tmp_path / "source"
    source.mkdir()
    for number in range(8):
        (source / f"{number}").write_bytes(os.urandom(1 << 20))
    restic.run("backup", ".", cwd=source)
    small = loop_mount("tmpfs", size_bytes=4 << 20)
    with pytest.raises(NoSpace) as caught:
        run_restore(restic.repository, small)
    assert str(small) in caught.value.sentence
    assert leftovers(small) == []
    for restored in small.iterdir():
        assert restored.read_bytes() == (source / restored.name).read_bytes()


@needs_root
@pytest.mark.usefixtures("source")
def test_a_read_only_target_is_refused(restic: Restic, loop_mount: LoopMount) -> None:
    mount = loop_mount("tmpfs", size_bytes=1 << 20)
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    with pytest.raises(TargetRefused, match="read-only"):
        run_restore(restic.repository, mount)


@needs_root
def test_hard_links_on_each_file_system_below_the_target(tmp_path: Path, restic: Restic, loop_mount: LoopMount) -> None:
    source = tmp_path / "source"
    for folder in ("here", "mounted"):
        (source / folder).mkdir(parents=True)
        (source / folder / "first").write_bytes(folder.encode())
        os.link(source / folder / "first", source / folder / "second")
    os.link(source / "here" / "first", source / "mounted" / "across")
    restic.run("backup", ".", cwd=source)
    other = loop_mount("tmpfs", size_bytes=1 << 20)
    target = tmp_path / "target"
    (target / "mounted").mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(other), str(target / "mounted")], check=True)
    try:
        run_restore(restic.repository, target, overwrite=Overwrite.ALWAYS)
        for folder in ("here", "mounted"):
            assert (target / folder / "first").stat().st_ino == (target / folder / "second").stat().st_ino
            assert (target / folder / "first").stat().st_nlink == 2
        assert (target / "mounted" / "across").read_bytes() == b"here"
        assert (target / "mounted").stat().st_mtime_ns == (source / "mounted").stat().st_mtime_ns
        assert leftovers(target) == []
    finally:
        subprocess.run(["umount", str(target / "mounted")], check=True)


def as_nobody(repository: Path, target: Path, snapshot: FileId) -> list[str]:
    """Restore in a child that gave up root; its failures and notices."""
    reading, writing = os.pipe()
    child = fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            record = Record()
            run_restore(repository, target, snapshot_file_id=snapshot, record=record)
            told = [*map(str, record.failures.values()), *(notice.sentence for notice in record.notices)]
            os.write(writing, "\n".join(told).encode())
        except BaseException as error:  # noqa: BLE001 - the child must never return into the test
            os.write(writing, f"raised {error!r}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as told_file:
        told = told_file.read().splitlines()
    os.waitpid(child, 0)
    return told


@needs_root
@pytest.mark.usefixtures("source")
def test_an_ordinary_user_restores_what_he_may(restic: Restic) -> None:
    """The owner stays his own, so setuid is not set: it would run as somebody else than it was meant to."""
    snapshot = latest(restic.repository)
    place = Path(tempfile.mkdtemp())
    try:
        shutil.copytree(restic.repository, place / "repository")
        (place / "target").mkdir()
        for path in (place, *place.rglob("*")):
            os.chown(path, 65534, 65534)
        told = as_nobody(place / "repository", place / "target", snapshot)
        assert len(told) == 1
        assert "the owner (Operation not permitted)" in told[0]
        owned = (place / "target" / "owned").stat()
        assert (owned.st_uid, owned.st_mode & 0o7777) == (65534, 0o755)
        assert os.getxattr(place / "target" / "attributes", "user.comment") == b"x"
        assert (place / "target" / "linked").stat().st_nlink == 2
    finally:
        shutil.rmtree(place)


@needs_root
def test_an_ordinary_user_restores_in_place_where_he_may_write(restic: Restic) -> None:
    place = Path(tempfile.mkdtemp())
    try:
        home = place / "home"
        (home / "data").mkdir(parents=True)
        (home / "data" / "file").write_bytes(b"file")
        (home / "data" / "first").write_bytes(b"linked")
        os.link(home / "data" / "first", home / "data" / "second")
        restic.run("backup", str(home / "data"))
        snapshot = latest(restic.repository)
        shutil.rmtree(home / "data")
        shutil.copytree(restic.repository, place / "repository")
        place.chmod(0o755)
        for path in (home, place / "repository", *(place / "repository").rglob("*")):
            os.chown(path, 65534, 65534)
        told = as_nobody(place / "repository", Path("/"), snapshot)
        assert (home / "data" / "file").read_bytes() == b"file"
        assert (home / "data" / "second").stat().st_nlink == 2
        assert all("could not be set" in line.lower() for line in told), told
        assert leftovers(home) == []
    finally:
        shutil.rmtree(place)


@needs_root
def test_a_medium_that_takes_no_lock_is_read_without(
    source: Path, restic: Restic, tmp_path: Path, loop_mount: LoopMount
) -> None:
    mount = loop_mount("tmpfs", size_bytes=64 << 20)
    shutil.copytree(restic.repository, mount / "repository")
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    record = Record()
    run_restore(mount / "repository", tmp_path / "target", record=record)
    assert [notice.code for notice in record.notices] == ["restore-without-lock"]
    assert inside(tmp_path / "target") == inside(source)
