"""RULES L6 against dumps that are none of ours: GNU tar's, of trees that change in every way between levels."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobs.engine.operations.dump_chain import DumpChain
from jobs.rules.levels import restore_chain

from .tar_dumps import TarDumps, Truth, truth_of


def grow(root: Path, chance: random.Random) -> None:
    for number in range(chance.randint(3, 12)):
        _make(root, chance, f"first-{number}")


def live(root: Path, chance: random.Random, moment: int) -> None:
    """Some changes: files and folders are made, written, linked, renamed, moved and deleted."""
    for step in range(chance.randint(1, 7)):
        files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()]
        everything = sorted(root.rglob("*"))
        what = chance.choice(["make", "write", "link", "move", "move folder", "delete", "folder for file"])
        name = f"{moment}-{step}"
        if what == "write" and files:
            chance.choice(files).write_text(f"{name} " * chance.randint(1, 400))
        elif what == "link" and files:
            (_folder(root, chance) / f"link-{name}").hardlink_to(chance.choice(files))
        elif what == "move" and files:
            chance.choice(files).rename(_folder(root, chance) / f"moved-{name}")
        elif what == "move folder" and (folder := _folder(root, chance)) != root:
            target = chance.choice([one for one in _folders(root) if folder not in (one, *one.parents)])
            folder.rename(target / f"folder-{name}")
        elif what == "delete" and everything:
            _delete(chance.choice(everything))
        elif what == "folder for file" and files:
            place = chance.choice(files)
            place.unlink()
            place.mkdir()
            (place / "inside").write_text(name)
        else:
            _make(root, chance, name)


def _folders(root: Path) -> list[Path]:
    return [root, *(path for path in sorted(root.rglob("*")) if path.is_dir() and not path.is_symlink())]


def _folder(root: Path, chance: random.Random) -> Path:
    return chance.choice(_folders(root))


def _make(root: Path, chance: random.Random, name: str) -> None:
    path = _folder(root, chance) / os.fsdecode(chance.choice([b"", b"odd \xff\n%20 ", "ü".encode()]) + name.encode())
    match chance.randint(0, 3):
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to(f"to {name}")
        case _:
            path.write_text(f"{name} " * chance.randint(0, 900))


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for below in list(path.iterdir()):
            _delete(below)
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("seed", range(4))
def test_l6_the_lists_of_gnu_tar_give_every_moment_back_and_the_place_of_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance, root = random.Random(seed), tmp_path / "tree"
    root.mkdir()
    (tmp_path / "state").mkdir()
    dumps = TarDumps(root, tmp_path / "state", monkeypatch)
    grow(root, chance)
    truths: list[Truth] = []
    contents: list[dict[bytes, bytes]] = []
    for moment, level in enumerate([0, 1, 2, 3, 1, 2, 3, 4, 0, 1]):
        if moment:
            live(root, chance, moment)
        dumps.dump(level)
        truths.append(truth_of(root))
        files = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        contents.append({os.fsencode(path.relative_to(root)): path.read_bytes() for path in files})
    for index, truth in enumerate(truths):
        links = restore_chain(dumps.levels, index)
        with ExitStack() as stack:
            chain = stack.enter_context(DumpChain())
            for link in links:
                chain.add([dumps.lists[link]])
            lost: list[bytes] = []
            entries = list(chain.entries(b"/v", lost=lost.append))
            wanted = list(chain.wanted([b""], lost=lost.append))
        assert lost == []
        found = {
            (one.folder.rstrip(b"/") + b"/" + one.name)[3:]: (one.kind, one.size, one.mtime_ns // 10**9, one.mode)
            for one in entries
        }
        assert found == truth
        assert {one.path for one in wanted} == set(truth)
        for one in wanted:
            if one.kind == "f":
                assert one.fh_info is not None
                name, content = dumps.member_at(links[one.dump], one.fh_info)
                assert content == contents[index][one.path]
                assert one.size == len(content)
                assert name == one.original or contents[links[one.dump]][name] == content, "a name of the same inode"
