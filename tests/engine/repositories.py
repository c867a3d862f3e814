"""Small repositories on a directory, for tests: quick keys, no fsync, and a tree of a few files with known content."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from jobs.engine.ids import BlobId, FileId
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.plan import Secret
from jobs.engine.repository.claims import Claims
from jobs.engine.repository.index_file import IndexWriter
from jobs.engine.repository.index_load import load_index
from jobs.engine.repository.keys import ScryptCost
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.pack_writer import WrittenPack
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.session import AppendSession
from jobs.engine.repository.snapshot_file import SnapshotFile, save_snapshot_file
from jobs.engine.repository.tree import join_tree

PASSWORD = Secret("correct horse")
QUICK = ScryptCost(n=1 << 10)
_TIME = "2024-05-06T07:08:09.12Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What :func:`fill` stored: plain text by blob, the tree of all files, and its snapshot file."""

    data: dict[BlobId, bytes]
    tree: BlobId
    snapshot: FileId


def disk_at(path: Path) -> DiskMedia:
    return DiskMedia(DiskOptions(path=path, fsync=False, create_directory=True))


def new_repository(path: Path) -> Repository:
    return Repository.create(disk_at(path), PASSWORD, cost=QUICK)


def file_node(name: str, blobs: list[BlobId], size: int) -> str:
    content = ",".join(f'"{blob.hex()}"' for blob in blobs)
    return (
        f'{{"name":"{name}","type":"file","mode":420,"mtime":"{_TIME}","atime":"{_TIME}","ctime":"{_TIME}",'
        f'"uid":0,"gid":0,"inode":7,"size":{size},"links":1,"content":[{content}]}}'
    )


def directory_node(name: str, subtree: BlobId) -> str:
    return (
        f'{{"name":"{name}","type":"dir","mode":2147484141,"mtime":"{_TIME}","atime":"{_TIME}","ctime":"{_TIME}",'
        f'"uid":0,"gid":0,"inode":5,"content":null,"subtree":"{subtree.hex()}"}}'
    )


def append(
    repository: Repository, files: dict[str, bytes], *, pack_bytes: int = 16 << 10, time_ns: int = 10**18
) -> Filled:
    """One more snapshot file: a directory ``d`` with ``files``, each one blob."""
    index = load_index(repository)
    index_writer = IndexWriter(repository)
    packs: list[WrittenPack] = []
    session = AppendSession(repository, index, Claims(), on_written=packs.append, pack_bytes=pack_bytes)
    data = {name: session.save(BlobKind.DATA, plain) for name, plain in sorted(files.items())}
    nodes = [file_node(name, [blob], len(files[name])) for name, blob in data.items()]
    below = session.save_tree(join_tree(nodes))
    tree = session.save_tree(join_tree([directory_node("d", below)]))
    session.close()
    for pack in packs:
        index_writer.add(pack)
    index_writer.flush()
    snapshot = SnapshotFile(time_ns=time_ns, tree=tree, paths=(b"/d",), hostname="h", username="u")
    return Filled(
        data={blob: files[name] for name, blob in data.items()},
        tree=tree,
        snapshot=save_snapshot_file(repository, snapshot),
    )


def some_files(count: int = 40, *, seed: int = 1, prefix: str = "f") -> dict[str, bytes]:
    """Names and contents, half random, half compressible; the same for the same seed."""
    source = random.Random(seed)
    return {
        f"{prefix}{number:04d}": source.randbytes(source.randrange(200, 4000)) + b"text " * source.randrange(400)
        for number in range(count)
    }


def fill(repository: Repository) -> Filled:
    return append(repository, some_files())
