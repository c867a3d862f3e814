"""A tree with every odd thing a file system can hold, and a description of a tree that two can be compared by."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ODD_NAMES = (
    b"plain",
    b"with space",
    "ümläut ✓".encode(),
    b"not utf-8 \xff\xfe",
    b"new\nline",
    b'quote " and \\ back',
    b"<html> & co",
    b"\x01control\x7f",
    b"-rf",
    b"~",
    b"x" * 255,
)
DEEP_LEVELS = 40
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
"""``cap_net_bind_service`` as the kernel stores it (security.capability, revision 2)."""


def build_odd_tree(root: Path) -> None:
    """Fill the existing directory ``root``. Needs root for devices, owners and capabilities."""
    names = root / "names"
    names.mkdir()
    for number, name in enumerate(ODD_NAMES):
        with open(os.path.join(os.fsencode(names), name), "wb") as file:
            file.write(b"%d\n" % number)
    _build_kinds(root / "kinds")
    _build_data(root / "data")
    _build_metadata(root / "metadata")
    _build_depth(root)
    for number, (_path, name, directory) in enumerate(_walk(root)):
        moment = 1_500_000_000_000_000_000 + number * 1_000_000_007
        os.utime(name, ns=(moment + 5, moment), dir_fd=directory, follow_symlinks=False)


def _build_kinds(kinds: Path) -> None:
    kinds.mkdir()
    (kinds / "empty directory").mkdir()
    os.symlink(b"target \xff that is nowhere", os.fsencode(kinds / "link"))
    os.symlink("../data", kinds / "link to a directory")
    os.link(kinds / "link", kinds / "hard link to the link", follow_symlinks=False)
    os.mkfifo(kinds / "fifo", 0o640)
    os.mknod(kinds / "socket", stat.S_IFSOCK | 0o600)
    os.mknod(kinds / "character device", stat.S_IFCHR | 0o660, os.makedev(1, 3))
    os.mknod(kinds / "block device", stat.S_IFBLK | 0o660, os.makedev(7, 99))
    os.lchown(kinds / "link", 1234, 4321)


def _build_data(data: Path) -> None:
    data.mkdir()
    (data / "empty").touch()
    (data / "one byte").write_bytes(b"1")
    (data / "two mebibytes").write_bytes(os.urandom(2 * 2**20 + 17))
    with open(data / "sparse", "wb") as file:
        file.seek(3 * 2**20)
        file.write(b"in the middle")
        file.truncate(9 * 2**20)
    with open(data / "only a hole", "wb") as file:
        file.truncate(2**20)
    (data / "linked").write_bytes(b"several names")
    (data / "deeper").mkdir()
    for number in range(5):
        os.link(data / "linked", data / "deeper" / f"name {number}")


def _build_metadata(metadata: Path) -> None:
    metadata.mkdir()
    for mode in (0o000, 0o400, 0o777, 0o4755, 0o2755, 0o6711):
        path = metadata / f"mode {mode:o}"
        path.write_bytes(b"mode")
        path.chmod(mode)
    (metadata / "sticky").mkdir()
    (metadata / "sticky").chmod(0o1777)
    (metadata / "closed").mkdir()
    (metadata / "closed" / "inside").write_bytes(b"still there")
    owned = metadata / "owned"
    owned.write_bytes(b"owned")
    os.chown(owned, 1234, 4321)
    owned.chmod(0o4750)
    os.setxattr(owned, "security.capability", CAPABILITY)
    os.setxattr(owned, "user.comment", b"binary \0\xff value")
    os.setxattr(metadata, "user.empty", b"")
    os.setxattr(metadata / "sticky", "trusted.secret", b"for root only")
    subprocess.run(["setfacl", "-m", "u:1234:rw,g:4321:r", str(owned)], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx", str(metadata / "sticky")], check=True)
    (metadata / "closed").chmod(0o000)


def _build_depth(root: Path) -> None:
    """Deeper than PATH_MAX, made by descriptors because no path reaches it."""
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for level in range(DEEP_LEVELS):
        name = f"{level:02d} " + "d" * 120
        os.mkdir(name, dir_fd=directory)
        deeper = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        os.close(directory)
        directory = deeper
    bottom = os.open("bottom", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=directory)
    os.write(bottom, b"far down")
    os.close(bottom)
    os.close(directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """Everything of one entry that a snapshot must keep. ``link_group`` is the smallest path of the same inode."""

    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    size: int
    device: int
    digest: str
    attributes: tuple[tuple[str, bytes], ...]
    link_group: bytes


def describe_tree(root: Path | str) -> dict[bytes, Described]:
    """By path relative to ``root``; the root itself is ``b""``. Goes below PATH_MAX."""
    found: dict[bytes, Described] = {}
    groups: dict[tuple[int, int], bytes] = {}
    for path, name, directory in _walk(root):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        group = groups.setdefault((status.st_dev, status.st_ino), path)
        found[path] = Described(
            mode=status.st_mode,
            owner=(status.st_uid, status.st_gid),
            mtime_ns=status.st_mtime_ns,
            size=status.st_size if not stat.S_ISDIR(status.st_mode) else 0,
            device=status.st_rdev if stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode) else 0,
            digest=_digest(name, directory, status),
            attributes=_attributes(name, directory),
            link_group=group if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode) else b"",
        )
    return found


def _walk(root: Path | str) -> Iterator[tuple[bytes, bytes, int]]:
    """(path, name, open directory that holds it), sorted, every directory before what is in it."""
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield b"", b".", top
        yield from _walk_below(b"", top)
    finally:
        os.close(top)


def _walk_below(prefix: bytes, directory: int) -> Iterator[tuple[bytes, bytes, int]]:
    for name in sorted(os.fsencode(name) for name in os.listdir(directory)):
        path = prefix + name
        yield path, name, directory
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            try:
                yield from _walk_below(path + b"/", below)
            finally:
                os.close(below)


def _digest(name: bytes, directory: int, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return os.fsencode(os.readlink(name, dir_fd=directory)).hex()
    if not stat.S_ISREG(status.st_mode):
        return ""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
    with os.fdopen(fd, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _attributes(name: bytes, directory: int) -> tuple[tuple[str, bytes], ...]:
    path = b"/proc/self/fd/%d/%s" % (directory, name)
    try:
        attributes = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return ()  # zfs-fuse says so of a file without any on a file system that is read-only
    return tuple((attribute, os.getxattr(path, attribute, follow_symlinks=False)) for attribute in attributes)
