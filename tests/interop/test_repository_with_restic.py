"""Stock restic reads what we write, and we read what it writes."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from jobs.engine.errors import RepositoryLocked, WrongPassword
from jobs.engine.ids import BlobId
from jobs.engine.plan import Secret
from jobs.engine.repository.gojson import name_body
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.keys import ScryptCost
from jobs.engine.repository.layout import BlobKind, FileKind
from jobs.engine.repository.lock import locked
from jobs.engine.repository.lock_file import Verdict, clear_locks, list_locks
from jobs.engine.repository.pack import read_pack_header
from jobs.engine.repository.reader import BlobReader
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.snapshot_file import (
    SnapshotFile,
    Summary,
    find_snapshot_file,
    list_snapshot_files,
    save_snapshot_file,
)
from jobs.engine.repository.tree import Node, NodeKind, join_tree, split_tree
from tests.forks import fork

from ..engine.repositories import PASSWORD, QUICK, append, disk_at, fill, new_repository, some_files
from .restic import Restic

pytestmark = pytest.mark.interop

NAMES = [
    b"plain.txt",
    b"with space",
    b'quo"te',
    b"back\\slash",
    b"<html>&amp;",
    b"new\nline",
    b"tab\tbell\a",
    b"\xff\xfe not utf-8",
    "ünïcödé 😀".encode(),
    "line\u2028separator".encode(),
    "no\u00a0break\u200bspace".encode(),
    b"\x01\x7f",
    b"ends with dot.",
    b"-dash",
    b"$HOME `x` *",
]


@pytest.fixture
def restic(tmp_path: Path) -> Restic:
    return Restic(repository=tmp_path / "r")


def test_restic_reads_our_config_keys_and_blobs(tmp_path: Path, restic: Restic) -> None:
    repository = Repository.create(disk_at(tmp_path / "r"), PASSWORD, cost=ScryptCost())
    config = restic.json("cat", "config")
    assert config == {"version": 2, "id": repository.id, "chunker_polynomial": f"{repository.config.polynomial:x}"}
    restic.judge()
    filled = fill(repository)
    restic.judge()
    assert restic.run("list", "keys").split() == [repository.key_id]
    assert restic.run("list", "snapshots").split() == [filled.snapshot]
    listed = {line.split()[1] for line in restic.run("list", "blobs").splitlines()}
    assert {blob.hex() for blob in filled.data} | {filled.tree.hex()} <= listed
    assert f"/d/{sorted(some_files())[3]}" in restic.run("ls", "latest")


def test_restic_restores_what_we_stored(tmp_path: Path, restic: Restic) -> None:
    append(new_repository(tmp_path / "r"), some_files())
    restic.run("restore", "latest", "--target", str(tmp_path / "out"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out/d").iterdir()} == some_files()


def test_a_wrong_password_is_wrong_for_both(tmp_path: Path) -> None:
    new_repository(tmp_path / "r")
    result = Restic(repository=tmp_path / "r", password="wrong").attempt("snapshots")
    assert result.returncode != 0
    assert "wrong password" in result.stderr
    with pytest.raises(WrongPassword):
        Repository.open(disk_at(tmp_path / "r"), Secret("wrong"))


def test_two_keys_of_ours_both_open_for_restic(tmp_path: Path, restic: Restic) -> None:
    repository = new_repository(tmp_path / "r")
    repository.add_key(Secret("zweites Passwort ü"), cost=QUICK)
    restic.run("snapshots")
    Restic(repository=tmp_path / "r", password="zweites Passwort ü").run("snapshots")
    assert len(restic.json("key", "list")) == 2


def test_two_keys_of_restic_both_open_for_us(tmp_path: Path, restic: Restic) -> None:
    restic.run("init")
    (tmp_path / "password").write_text("added by restic")
    restic.run("key", "add", "--new-password-file", str(tmp_path / "password"))
    first = Repository.open(disk_at(tmp_path / "r"), PASSWORD)
    second = Repository.open(disk_at(tmp_path / "r"), Secret("added by restic"))
    assert first.key == second.key
    assert first.key_id != second.key_id
    first.remove_key(second.key_id)
    restic.run("snapshots")


def walk(reader: BlobReader, tree: BlobId, path: bytes = b"") -> dict[bytes, Node]:
    found = {}
    for node in reader.read_tree(tree):
        found[path + b"/" + node.name] = node
        if node.subtree is not None:
            found |= walk(reader, node.subtree, path + b"/" + node.name)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    content = random.Random(2)
    for name in NAMES:
        path = os.path.join(os.fsencode(directory), name)
        with open(path, "wb") as file:
            file.write(content.randbytes(content.randrange(5000)))
        os.utime(path, ns=(content.randrange(10**18), content.randrange(2 * 10**18)))
    (directory / "big").write_bytes(content.randbytes(5 << 20))
    (directory / "zeros").write_bytes(bytes(3 << 20))
    (directory / "deep/er").mkdir(parents=True)
    (directory / "link").symlink_to("plain.txt")
    os.link(directory / "big", directory / "deep/hard")
    os.mkfifo(directory / "fifo", 0o640)
    (directory / "sticky").mkdir()
    (directory / "sticky").chmod(0o3770)
    return directory


def test_we_read_what_restic_stored(tmp_path: Path, restic: Restic, source: Path) -> None:
    restic.run("init")
    restic.run("backup", "--tag", "one,two", "--host", "box", "--time", "2020-02-03 04:05:06", str(source))
    repository = Repository.open(disk_at(tmp_path / "r"), PASSWORD)
    (snapshot,) = list_snapshot_files(repository)
    assert snapshot == find_snapshot_file(repository, "latest", tags=("one",), paths=(os.fsencode(source),))
    assert (snapshot.hostname, snapshot.tags) == ("box", ("one", "two"))
    index = load_index(repository)
    reader = BlobReader(repository, index)
    nodes = walk(reader, snapshot.tree)
    for directory, folders, files in os.walk(os.fsencode(source)):
        for name in folders + files:
            path = os.path.join(directory, name)
            node, status = nodes.pop(path), os.lstat(path)
            assert node.mtime_ns == status.st_mtime_ns
            assert node.permissions == status.st_mode & 0o7777
            assert (node.uid, node.gid, node.inode) == (status.st_uid, status.st_gid, status.st_ino)
            if node.kind is NodeKind.FILE:
                with open(path, "rb") as file:
                    assert b"".join(reader.read(BlobKind.DATA, blob) for blob in node.content) == file.read()
            if node.kind is NodeKind.SYMLINK:
                assert node.link_target == b"plain.txt"
    assert all(os.fsencode(source).startswith(path) for path in nodes)
    for file_id, size in repository.list_files(FileKind.PACK):
        for blob in read_pack_header(repository, bytes.fromhex(file_id), size):
            found = index.find(blob.kind, blob.id)
            assert found == (bytes.fromhex(file_id), blob)


def test_our_names_are_byte_for_byte_those_of_restic(tmp_path: Path, restic: Restic, source: Path) -> None:
    restic.run("init")
    restic.run("backup", ".", cwd=source)
    repository = Repository.open(disk_at(tmp_path / "r"), PASSWORD)
    reader = BlobReader(repository, load_index(repository))
    raw = reader.read(BlobKind.TREE, find_snapshot_file(repository, "latest").tree)
    pairs = split_tree(raw)
    assert join_tree([node for _, node in pairs]) == raw
    names = sorted(os.listdir(os.fsencode(source)))
    assert [body for body, _ in pairs] == [name_body(os.fsdecode(name)) for name in names]


def test_restic_reads_our_snapshot_files_whole(tmp_path: Path, restic: Restic) -> None:
    repository = new_repository(tmp_path / "r")
    filled = fill(repository)
    figures = Summary(backup_start_ns=10**18, backup_end_ns=10**18 + 5, files_new=3)
    snapshot = SnapshotFile(
        time_ns=1_600_000_000_120_000_000,
        tree=filled.tree,
        paths=("/ä<b>&".encode(),),
        hostname="box",
        username="root",
        tags=("job-1", "a&b"),
        parent=filled.snapshot,
        program_version="snapcopy 0.1.0",
        summary=figures,
    )
    file_id = save_snapshot_file(repository, snapshot)
    found = restic.json("cat", "snapshot", file_id)
    assert found["time"] == "2020-09-13T12:26:40.12Z"
    assert (found["paths"], found["tags"], found["parent"]) == (["/ä<b>&"], ["job-1", "a&b"], filled.snapshot)
    assert [entry["id"] for entry in restic.json("snapshots", "--tag", "a&b")] == [file_id]


def test_restic_respects_our_locks(tmp_path: Path, restic: Restic) -> None:
    repository = new_repository(tmp_path / "r")
    fill(repository)
    with locked(repository, exclusive=False) as lock:
        assert restic.attempt("check").returncode != 0
        restic.run("snapshots")
        assert restic.run("list", "locks", "--no-lock").split() == [lock.id]
        shown = json.loads(restic.run("cat", "lock", str(lock.id), "--no-lock"))
        assert (shown["pid"], shown["exclusive"]) == (os.getpid(), False)
        restic.run("unlock")
        assert [found.id for found in list_locks(repository)] == [lock.id]
    with locked(repository, exclusive=True):
        result = restic.attempt("snapshots")
        assert result.returncode != 0
        assert f"already locked exclusively by PID {os.getpid()}" in result.stderr
    restic.judge()


def test_we_respect_the_lock_of_a_living_restic(tmp_path: Path, restic: Restic) -> None:
    restic.run("init")
    environment = os.environ | {"RESTIC_REPOSITORY": str(restic.repository), "RESTIC_PASSWORD": restic.password}
    command = ["restic", "--no-cache", "backup", "--stdin"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as living:
        assert living.stdin is not None
        repository = Repository.open(disk_at(tmp_path / "r"), PASSWORD)
        while not (found := list_locks(repository)):
            assert living.poll() is None
        assert [(lock.pid, lock.verdict, lock.exclusive) for lock in found] == [(living.pid, Verdict.ALIVE, False)]
        with locked(repository, exclusive=False):
            assert len(list_locks(repository)) == 2
        with pytest.raises(RepositoryLocked, match=f"process {living.pid}"), locked(repository, exclusive=True):
            pass
        assert clear_locks(repository) == []
        living.stdin.write(b"data")
        living.stdin.close()
    assert living.returncode == 0
    restic.judge()


def test_the_lock_of_a_killed_restic_is_cleared_on_the_way(tmp_path: Path, restic: Restic) -> None:
    restic.run("init")
    environment = os.environ | {"RESTIC_REPOSITORY": str(restic.repository), "RESTIC_PASSWORD": restic.password}
    command = ["restic", "--no-cache", "backup", "--stdin"]
    repository = Repository.open(disk_at(tmp_path / "r"), PASSWORD)
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as living:
        while not list_locks(repository):
            assert living.poll() is None
        living.kill()
    with locked(repository, exclusive=True) as lock:
        assert [cleared.pid for cleared in lock.cleared] == [living.pid]
    restic.judge()


def test_the_lock_of_a_killed_process_of_ours_is_stale_for_restic(tmp_path: Path, restic: Restic) -> None:
    repository = new_repository(tmp_path / "r")
    child = fork()
    if not child:
        with locked(repository, exclusive=True):
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert [lock.verdict for lock in list_locks(repository)] == [Verdict.DEAD]
    assert restic.attempt("snapshots").returncode != 0
    restic.run("unlock")
    assert list_locks(repository) == []
    restic.judge()
