"""Source trees of known make: the same for the same seed and scale, so that figures of two runs can be compared."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SEED: Final = 7
_WORDS: Final = 4000
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A source on disk and how much is in it."""

    name: str
    path: Path
    files: int
    logical_bytes: int


class _Content:
    """Bytes that never repeat: two thirds of the files are text (zstd makes a third of it), the rest is random."""

    def __init__(self) -> None:
        self.source = random.Random(SEED)
        self._words = [self._word() for _ in range(_WORDS)]

    def _word(self) -> bytes:
        return bytes(self.source.choices(b"abcdefghijklmnopqrstuvwxyz", k=self.source.randint(2, 11)))

    def text(self, size: int) -> bytes:
        return b" ".join(self.source.choices(self._words, k=size // 7 + 1))[:size]

    def noise(self, size: int) -> bytes:
        return self.source.randbytes(size)

    def write(self, path: Path, size: int) -> None:
        make = self.noise if self.source.random() < 1 / 3 else self.text
        with open(path, "wb") as file:
            while size > 0:
                size -= file.write(make(min(size, _BLOCK)))


def _files(root: Path, *, count: int, mean: int, spread: float, largest: int) -> None:
    content = _Content()
    source = content.source
    made = number = 0
    while made < count:
        directory = root / f"d{number % 37:02d}" / f"e{number // 37 % 41:02d}" / f"f{number:05d}"
        directory.mkdir(parents=True)
        number += 1
        for name in range(min(source.randint(5, 60), count - made)):
            size = min(int(mean * source.lognormvariate(-spread * spread / 2, spread)), largest)
            content.write(directory / f"file{name:03d}.dat", size)
            made += 1


def small(root: Path, scale: float) -> None:
    """60,000 files of 16 KB on average, a third of them incompressible."""
    _files(root, count=int(60_000 * scale), mean=16_000, spread=1.4, largest=4 << 20)


def mixed(root: Path, scale: float) -> None:
    """8,000 files of 120 KB on average with a long tail up to 200 MB."""
    _files(root, count=int(8_000 * scale), mean=120_000, spread=2.4, largest=200 << 20)


def large_text(root: Path, scale: float) -> None:
    """One compressible file of 1 GiB that does not repeat."""
    content = _Content()
    root.mkdir(parents=True)
    with open(root / "large", "wb") as file:
        file.writelines(content.text(_BLOCK) for _ in range(int(1024 * scale)))


def large_random(root: Path, scale: float) -> None:
    """One incompressible file of 1 GiB."""
    content = _Content()
    root.mkdir(parents=True)
    with open(root / "large", "wb") as file:
        file.writelines(content.noise(_BLOCK) for _ in range(int(1024 * scale)))


MAKERS: Final[dict[str, Callable[[Path, float], None]]] = {
    "small": small,
    "mixed": mixed,
    "large-text": large_text,
    "large-random": large_random,
}


def make(name: str, below: Path, scale: float) -> Tree:
    """The tree of that name below a directory; made once, used again."""
    path = below / f"{name}-{scale:g}"
    done = below / f"{name}-{scale:g}.made"
    if not done.exists():
        MAKERS[name](path, scale)
        done.touch()
    return named(name, path)


def named(name: str, path: Path) -> Tree:
    """A tree that is there, counted."""
    files = size = 0
    for directory, _, names in os.walk(path):
        for file in names:
            status = os.lstat(os.path.join(directory, file))
            files += 1
            size += status.st_size
    return Tree(name=name, path=path, files=files, logical_bytes=size)


def warm(tree: Tree) -> None:
    """Read everything once, so that nobody is the one who waits for the disk."""
    for directory, _, names in os.walk(tree.path):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb", buffering=0) as file:
                while file.read(_BLOCK):
                    pass


def change(tree: Tree, *, share: float, seed: int) -> int:
    """Rewrite that share of the files (at least one) in place, with as many new bytes; returns how many."""
    source = random.Random(seed)
    paths = sorted(Path(directory) / name for directory, _, names in os.walk(tree.path) for name in names)
    chosen = source.sample(paths, max(1, round(len(paths) * share)))
    for path in chosen:
        with open(path, "r+b") as file:
            file.write(source.randbytes(min(path.stat().st_size, 1 << 20)))
    return len(chosen)
