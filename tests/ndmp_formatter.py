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
    with tarfile.open(image, "r:") as archive:
        for member in archive:
            name = name_of(member)
            path = order.root / name
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if is_by_path:
                say(f"HF {quoted('/' + name)} @{member.offset} {described(status)}")
                continue
            if member.type == b"D":
                say(f"HD {status.st_ino} . {status.st_ino}")
                say(f"HD {status.st_ino} .. {(path / '..').stat().st_ino}")
                for child in listed(image, member):
                    say(f"HD {status.st_ino} {quoted(child)} {(path / child).lstat().st_ino}")
            say(f"HN {status.st_ino} @{member.offset} {described(status)}")


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
    direct = order.says("DIRECT") == "y" and all(place is not None for _, place, _ in order.names)
    if direct:
        for _, place, destination in order.names:
            recover_directly(place or 0, Path(destination))
        return
    if order.names[0][0] == "":
        extract(Path(order.names[0][2]), [])
        return
    with tempfile.TemporaryDirectory(dir=os.environ["NDMP_STATE"]) as scratch:
        extract(Path(scratch), [f"./{name.strip('/')}" for name, _, _ in order.names])
        for name, _, destination in order.names:
            found = Path(scratch) / name.strip("/")
            if found.exists():
                Path(destination).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(found, destination)


def recover_directly(place: int, destination: Path) -> None:
    """One file, read from its own header on."""
    image = Image()
    image.seek(place)
    with tarfile.open(fileobj=image, mode="r:") as archive:
        member = archive.next()
        content = archive.extractfile(member) if member is not None and member.isreg() else None
        if member is None or content is None:
            sys.exit(f"no file begins at {place}")
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(content.read(member.size))
        os.utime(destination, (member.mtime, member.mtime))
        destination.chmod(member.mode)


def extract(target: Path, names: list[str]) -> None:
    """Feed the image to tar. Its end is the archive's own: no end of file ever comes on fd 0."""
    target.mkdir(parents=True, exist_ok=True)
    tar = ["tar", "-x", "--listed-incremental=/dev/null", "-f", "-", "-C", str(target), *names]
    with subprocess.Popen(tar, stdin=subprocess.PIPE) as child:
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
