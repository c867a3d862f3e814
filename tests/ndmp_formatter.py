"""Amanda's ``ndmjob`` runs this as ``wrap_dump``: images made and read by GNU tar, with true levels 0 to 9.

A level copies the snapshot file (``--listed-incremental``) of the newest dump of any lower level of the same path, as
``dumpdates`` says, and lets tar bring it up to date. ``fh_info`` is where a member's header begins in the image.

::

    wrap_dump -c|-x -I#3 -E NAME=VALUE ... [ORIGINAL @FHINFO|@- DESTINATION] ...
    fd 0 or 1 the image     fd 3 lines: HF, HD, HN history; DR the next read of a recovery

It needs ``NDMP_STATE``, a folder of its own, in the environment. Only for tests.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import termios
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

WRAP_FD = 3
BLOCK = tarfile.BLOCKSIZE
KINDS = {
    stat.S_IFDIR: "d",
    stat.S_IFREG: "-",
    stat.S_IFLNK: "l",
    stat.S_IFIFO: "p",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
    stat.S_IFSOCK: "s",
}


@dataclass
class Order:
    """The command line."""

    is_backup: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    names: list[tuple[str, int | None, str]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return Path(self.environment["FILESYSTEM"])

    def says(self, name: str) -> str:
        return self.environment.get(name, "n").lower()


def read_arguments(arguments: list[str]) -> Order:
    order = Order()
    rest: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument in {"-c", "-x"}:
            order.is_backup = argument == "-c"
        elif argument == "-E":
            name, _, value = next(given).partition("=")
            order.environment[name] = value
        elif not argument.startswith(("-d", "-I")) or rest:
            rest.append(argument)
    while rest:
        # An empty name is lost on the way through the shell.
        original = "" if rest[0].startswith("@") else rest.pop(0)
        place, destination = rest.pop(0)[1:], rest.pop(0)
        order.names.append((original, None if place == "-" else int(place), destination))
    return order


def say(line: str) -> None:
    os.write(WRAP_FD, f"{line}\n".encode())


def quoted(name: str) -> str:
    return urllib.parse.quote(os.fsencode(name), safe="/.-_") or "%20"


def back_up(order: Order) -> None:
    state = Path(os.environ["NDMP_STATE"])
    level, root = int(order.environment.get("LEVEL", "0")), order.root
    root.lstat()
    dates = state / "dumpdates"
    dumps = [json.loads(line) for line in dates.read_text().splitlines()] if dates.exists() else []
    lower = [dump for dump in dumps if dump["root"] == str(root) and dump["level"] < level]
    with tempfile.TemporaryDirectory(dir=state) as scratch:
        snapshot, image = Path(scratch) / "snapshot", Path(scratch) / "image"
        if lower:
            shutil.copy(lower[-1]["snapshot"], snapshot)
        subprocess.run(
            ["tar", "-c", "--format=gnu", f"--listed-incremental={snapshot}", "-f", image, "-C", root, "."], check=True
        )
        if order.says("HIST") != "n":
            tell_history(order, image)
        with open(image, "rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        if order.says("UPDATE") == "y":
            kept = state / f"snapshot-{len(dumps)}"
            shutil.move(snapshot, kept)
            with open(dates, "a") as file:
                file.write(json.dumps({"root": str(root), "level": level, "snapshot": str(kept)}) + "\n")
    drain()


def drain() -> None:
    """Wait until the lines are read: ndmjob forgets what is left when the image ends."""
    waiting = bytearray(4)
    while fcntl.ioctl(WRAP_FD, termios.FIONREAD, waiting) or struct.unpack("i", waiting)[0]:
        time.sleep(0.01)
    time.sleep(0.05)


def tell_history(order: Order, image: Path) -> None:
    is_by_path = order.says("HIST") == "f"
    places: dict[int, int] = {}
    with tarfile.open(image, "r:") as archive:
        for member in archive:
            name = name_of(member)
            path = order.root / name
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            # A further name of a file holds no content: the file is where its first name is.
            place = places.setdefault(status.st_ino, member.offset)
            if is_by_path:
                say(f"HF {quoted('/' + name)} @{place} {described(status)}")
                continue
            if member.type == b"D":
                say(f"HD {status.st_ino} . {status.st_ino}")
                say(f"HD {status.st_ino} .. {(path / '..').stat().st_ino}")
                for child in listed(image, member):
                    say(f"HD {status.st_ino} {quoted(child)} {(path / child).lstat().st_ino}")
            say(f"HN {status.st_ino} @{place} {described(status)}")


def name_of(member: tarfile.TarInfo) -> str:
    """Without what tarfile takes for a prefix: tar keeps times there."""
    return member.name.partition("./")[2].rstrip("/")


def listed(image: Path, member: tarfile.TarInfo) -> list[str]:
    """The names in a folder, as tar's own table in the image has them: copied or not, they are there."""
    with open(image, "rb") as file:
        file.seek(member.offset_data)
        table = file.read(member.size)
    return [os.fsdecode(entry[1:]) for entry in table.split(b"\0") if entry[:1] in {b"Y", b"N", b"D"}]


def described(status: os.stat_result) -> str:
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    return (
        f"f{kind} m{stat.S_IMODE(status.st_mode):04o} l{status.st_nlink} s{status.st_size} u{status.st_uid} "
        f"g{status.st_gid} ta{int(status.st_atime)} tm{int(status.st_mtime)} tc{int(status.st_ctime)} i{status.st_ino}"
    )


class Image(io.RawIOBase):
    """The image of a recovery: each read is asked for, then comes on fd 0."""

    def __init__(self) -> None:
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = offset if whence == os.SEEK_SET else self._at + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        if size <= 0:
            return b""
        say(f"DR {self._at} {size}")
        self._at += size
        return read_exactly(sys.stdin.buffer, size)


def read_exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        sys.exit("the image ended too early")
    return data


def recover(order: Order) -> None:
    """With direct access each name is read from its own header on, one by one; else the image from its beginning."""
    if order.says("DIRECT") == "y" and all(place is not None for _, place, _ in order.names):
        recover_directly(order)
        return
    if order.names[0][0] == "":
        extract(Path(order.names[0][2]), [])
        return
    is_recursive = order.says("RECURSIVE") == "y"
    with tempfile.TemporaryDirectory(dir=os.environ["NDMP_STATE"]) as scratch:
        members = [f"./{name.strip('/')}" for name, _, _ in order.names]
        extract(Path(scratch), [] if is_recursive else ["--no-recursion"], members)
        found = [(Path(scratch) / name.strip("/"), Path(destination)) for name, _, destination in order.names]
        if is_recursive:
            found = [pair for start, end in found for pair in below(start, end)]
        put_back([pair for pair in found if os.path.lexists(pair[0])])


def below(start: Path, end: Path) -> list[tuple[Path, Path]]:
    """A folder and everything in it, with where it belongs."""
    inside = sorted(start.rglob("*")) if start.is_dir() and not start.is_symlink() else []
    return [(start, end), *((path, end / path.relative_to(start)) for path in inside)]


def put_back(found: list[tuple[Path, Path]]) -> None:
    """Names of one file become names of one file again; folders get their times when all is in them."""
    folders = [pair for pair in found if stat.S_ISDIR(pair[0].lstat().st_mode)]
    known: dict[int, Path] = {}
    for source, destination in found:
        status = source.lstat()
        if stat.S_ISDIR(status.st_mode):
            destination.mkdir(parents=True, exist_ok=True)
            continue
        make_room(destination)
        if status.st_ino in known:
            os.link(known[status.st_ino], destination, follow_symlinks=False)
            continue
        known[status.st_ino] = destination
        subprocess.run(["cp", "-a", "-T", "--", source, destination], check=True)
    for source, destination in reversed(folders):
        status = source.lstat()
        os.chown(destination, status.st_uid, status.st_gid)
        destination.chmod(stat.S_IMODE(status.st_mode))
        os.utime(destination, ns=(status.st_mtime_ns, status.st_mtime_ns))


def make_room(destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(destination) and not stat.S_ISDIR(destination.lstat().st_mode):
        destination.unlink()


def recover_directly(order: Order) -> None:
    image = Image()
    known: dict[int, Path] = {}
    folders: list[tuple[Path, tarfile.TarInfo]] = []
    for _, place, target in order.names:
        destination = Path(target)
        if place in known:
            make_room(destination)
            os.link(known[place], destination, follow_symlinks=False)
            continue
        image.seek(place or 0)
        with tarfile.open(fileobj=image, mode="r:") as archive:
            member = archive.next()
            if member is None:
                sys.exit(f"nothing begins at {place}")
            if member.type in {tarfile.DIRTYPE, b"D"}:
                destination.mkdir(parents=True, exist_ok=True)
                folders.append((destination, member))
                continue
            make_room(destination)
            make(destination, member, archive)
            known[place or 0] = destination
        dress(destination, member)
    for destination, member in reversed(folders):
        dress(destination, member)


def make(destination: Path, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
    if member.issym():
        os.symlink(member.linkname, destination)
    elif member.isfifo():
        os.mkfifo(destination)
    elif member.isdev():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(destination, kind | 0o600, os.makedev(member.devmajor, member.devminor))
    else:
        content = archive.extractfile(member)
        with open(destination, "wb") as file:
            while content is not None and (piece := content.read(1 << 20)):
                file.write(piece)


def dress(destination: Path, member: tarfile.TarInfo) -> None:
    os.chown(destination, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        destination.chmod(member.mode)
    os.utime(destination, (member.mtime, member.mtime), follow_symlinks=False)


def extract(target: Path, wishes: list[str], names: Sequence[str] = ()) -> None:
    """Feed the image to tar. Its end is the archive's own: no end of file ever comes on fd 0."""
    target.mkdir(parents=True, exist_ok=True)
    tar = ["tar", "-x", "-p", "--numeric-owner", "--listed-incremental=/dev/null", "-f", "-", "-C", str(target)]
    with subprocess.Popen([*tar, *wishes, "--", *names], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        say("DR 0 -1")
        while True:
            header = read_exactly(sys.stdin.buffer, BLOCK)
            child.stdin.write(header)
            if not header.strip(b"\0"):
                break
            size = tarfile.nti(header[124:136])  # type: ignore[attr-defined]
            child.stdin.write(read_exactly(sys.stdin.buffer, size + -size % BLOCK))
        child.stdin.write(bytes(BLOCK))
        child.stdin.close()
        if child.wait():
            sys.exit("tar failed")


if __name__ == "__main__":
    given = read_arguments(sys.argv[1:])
    if given.is_backup:
        back_up(given)
    else:
        recover(given)
