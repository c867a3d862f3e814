"""Cases on btrfs: the first look at a new snapshot, of which little changed. Needs root and a loop device.

Everybody sees a snapshot of his own under one and the same path: nobody finds in memory what another looked at.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.loopmounts import mounted

from .cases import CHANGED_SHARE, Bench, Row
from .contenders import Contender, Ours
from .measuring import drop_caches, wait_until_quiet
from .trees import SEED

_FILES: Final = 200_000
_FILE_BYTES: Final = 1500
_FILES_A_DIRECTORY: Final = 50
_LARGE_BYTES: Final = 4 << 30
_PLACES: Final = 40
_MEBIBYTE: Final = 1 << 20
_VOLUME_BYTES: Final = 16 << 30

Changes = Callable[[Path, int], None]
"""Changes the content for a round with that number."""


def snapshot_diff(bench: Bench) -> list[Row]:
    """0.1 % of 200,000 files changed."""
    count = int(_FILES * bench.scale)

    def fill(content: Path) -> None:
        source = random.Random(SEED)
        for number in range(count):
            path = content / _name(number)
            if not number % _FILES_A_DIRECTORY:
                path.parent.mkdir(parents=True)
            path.write_bytes(source.randbytes(_FILE_BYTES))

    def act(content: Path, number: int) -> None:
        """Without looking for the files, which would change the times of all directories."""
        source = random.Random(number)
        for chosen in source.sample(range(count), max(1, round(count * CHANGED_SHARE))):
            (content / _name(chosen)).write_bytes(source.randbytes(_FILE_BYTES))

    title = f"snapshot of {count:,} files, {CHANGED_SHARE:.1%} changed, first look"
    return [_row(bench, title, fill, act)]


def _name(number: int) -> str:
    at = number // _FILES_A_DIRECTORY
    return f"d{at // 100}/e{at % 100:02d}/file{number:07d}"


def extent_diff(bench: Bench) -> list[Row]:
    """1 % of a file of 4 GiB changed, in 40 places."""
    size = int(_LARGE_BYTES * bench.scale)
    length = size // 100 // _PLACES

    def fill(content: Path) -> None:
        source = random.Random(SEED)
        content.mkdir(exist_ok=True)
        with open(content / "large", "wb") as file:
            file.writelines(source.randbytes(_MEBIBYTE) for _ in range(0, size, _MEBIBYTE))

    def act(content: Path, number: int) -> None:
        source = random.Random(number)
        with open(content / "large", "r+b") as file:
            for _ in range(_PLACES):
                file.seek(source.randrange(size - length))
                file.write(source.randbytes(length))

    title = f"snapshot of a file of {size / 2**30:.1f} GiB, 1 % changed in {_PLACES} places"
    return [_row(bench, title, fill, act)]


def _row(bench: Bench, title: str, fill: Callable[[Path], None], act: Changes) -> Row:
    row = Row(title=f"{title}, from the disk" if bench.is_cold else title)
    with (
        TemporaryDirectory(dir=bench.work) as folder,
        mounted("btrfs", Path(folder), size_bytes=_VOLUME_BYTES) as mount,
    ):
        content, view = mount / "content", bench.work / "view"
        view.mkdir(exist_ok=True)
        _btrfs("subvolume", "create", content)
        fill(content)
        before = _snapshot(content, mount / "before")
        for contender in bench.contenders:
            contender.prepare(bench.place(contender))
            with _shown(before, view):
                contender.copy(view, bench.work / "places" / contender.name)
        for number in range(bench.rounds):
            before = _round(bench, row, number, before=before, act=act)
        for contender in bench.contenders:
            bench.clear(contender)
    return row


def _round(bench: Bench, row: Row, number: int, *, before: Path, act: Changes) -> Path:
    """One change and everybody's copy of it. Returns the snapshot the next round compares with."""
    content = before.parent / "content"
    act(content, number)
    after = _snapshot(content, before.parent / f"after {number}")
    for contender in bench.contenders:
        current = _snapshot(content, before.parent / f"{contender.name} {number}")
        os.sync()
        if bench.is_cold:
            drop_caches()
        wait_until_quiet(bench.patience_seconds)
        with _shown(current, bench.work / "view"):
            row.add(
                contender, _knowing(contender, before).copy(bench.work / "view", bench.work / "places" / contender.name)
            )
        _btrfs("subvolume", "delete", current)
        bench.tell(f"{row.title} {number + 1}/{bench.rounds} {contender.name}")
    _btrfs("subvolume", "delete", before)
    return after


def _knowing(contender: Contender, before: Path) -> Contender:
    """Ours is told where the older snapshot is; the others have no use for it."""
    return replace(contender, arguments=("--previous", str(before))) if isinstance(contender, Ours) else contender


@contextmanager
def _shown(snapshot: Path, view: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", snapshot, view], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", view], check=True)


def _snapshot(source: Path, target: Path) -> Path:
    _btrfs("subvolume", "snapshot", "-r", source, target)
    return target


def _btrfs(*words: str | Path) -> None:
    subprocess.run(["btrfs", *map(str, words)], check=True, capture_output=True)
