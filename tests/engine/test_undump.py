"""Dumps go back to a real NDMP server: whole volumes through a chain, chosen files merged over it (RULES L6)."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import NotInCopy
from jobs.engine.events import Event, FreeRun, Notice
from jobs.engine.ids import FileId
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.ndmp.profiles import GENERIC
from jobs.engine.operations import undump
from jobs.engine.operations.undump import UndumpPlan
from jobs.engine.plan import RestoreResult, StoredPath
from tests.ndmp_server import NdmpHost

from .copying import Recorder
from .dumps import SERVER, WAITS, Dumper, Picture, picture
from .repositories import PASSWORD, disk_at

pytestmark = pytest.mark.system
MEBIBYTE = 1 << 20


def a_plan(dumper: Dumper, files: list[FileId], target: Path | None, *paths: str) -> UndumpPlan:
    """Below ``target`` as if it were the volume."""
    content = dumper.content
    return UndumpPlan(
        snapshot_files=tuple(files),
        content=(content,),
        server=SERVER,
        profile=GENERIC,
        waits=WAITS,
        paths=tuple(StoredPath(content + b"/" + os.fsencode(path)) for path in paths),
        target=None if target is None else StoredPath(os.fsencode(target)),
        strip_prefix=content,
    )


class CountingDisk(DiskMedia):
    """Counts what is read of it."""

    read_bytes = 0

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        found = super().get(name, offset=offset, length=length)
        self.read_bytes += len(found)
        return found


def bring_back(dumper: Dumper, plan: UndumpPlan, sink: Recorder | None = None, control: object = None) -> RestoreResult:
    """On the server's thread."""
    media = disk_at(dumper.copier.path)
    return undump.run(plan, media, PASSWORD, sink or Recorder(), control or FreeRun(), SystemClock())  # type: ignore[arg-type]


class Volume:
    """A tree that changes between dumps: every kind of file, renames, deletions, links, hostile names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.random = random.Random(7)
        self.at = 1_500_000_000

    def fill(self) -> None:
        for folder in ("docs/deep/deeper", "music", "going", "empty"):
            (self.root / folder).mkdir(parents=True)
        for name in ("docs/a b.txt", "docs/deep/ümläut", "docs/deep/deeper/x", "music/one", "going/gone", "same"):
            self.write(name)
        self.write(os.fsdecode(b"docs/no utf-8 \xff"))
        # Not & ; | < > ( ) # ~: this server hands them to a shell as they are.
        self.write('docs/it\'s "q" $x `y` *')
        os.link(self.root / "same", self.root / "docs/second name")
        os.symlink("docs/a b.txt", self.root / "link")
        os.mkfifo(self.root / "docs/pipe")
        os.chown(self.root / "music", 12, 34)
        (self.root / "docs").chmod(0o2770)
        (self.root / "same").chmod(0o4711)

    def write(self, name: str) -> None:
        path = self.root / name
        path.write_bytes(self.random.randbytes(self.random.randrange(1, 9000)))
        os.chown(path, self.random.randrange(5), self.random.randrange(5))
        self.at += 1000
        os.utime(path, (self.at, self.at))

    def change(self, step: int) -> None:
        """What happens between two dumps."""
        self.write(f"docs/new {step}")
        self.write("music/one")
        match step:
            case 1:
                shutil.rmtree(self.root / "going")
                (self.root / "docs/deep").rename(self.root / "moved")
            case 2:
                (self.root / "docs/new 1").rename(self.root / "moved/renamed")
                (self.root / "link").unlink()
                os.symlink("moved", self.root / "link")
            case 3:
                (self.root / "docs/second name").unlink()
                self.write("docs/second name")
                (self.root / "moved").rename(self.root / "music/moved again")
            case 4:
                (self.root / "docs/a b.txt").unlink()
                (self.root / "docs/a b.txt").mkdir()
                self.write("docs/a b.txt/inside")
            case _:
                (self.root / f"docs/new {step - 1}").unlink()


def test_each_point_of_ten_levels_comes_back_as_it_was(ndmp_host: NdmpHost, tmp_path: Path) -> None:
    volume, dumper = Volume(ndmp_host.root), Dumper(ndmp_host, tmp_path)
    pictures: list[Picture] = []

    target = tmp_path / "whole"
    seen: list[Picture] = []

    class Watching(Recorder):
        """Looks at the tree after each dump that was given back."""

        def emit(self, event: Event) -> None:
            super().emit(event)
            if isinstance(event, Notice) and event.code == "dump-given-back":
                seen.append(picture(target))

    def work() -> None:
        volume.fill()
        for level in range(10):
            if level:
                volume.change(level)
            pictures.append(picture(ndmp_host.root))
            dumper.dump(level)
        bring_back(dumper, a_plan(dumper, dumper.files, target), Watching())

    ndmp_host.run(work)
    assert seen == pictures


def test_chosen_folders_and_files_are_merged_over_the_chain(ndmp_host: NdmpHost, tmp_path: Path) -> None:
    volume, dumper = Volume(ndmp_host.root), Dumper(ndmp_host, tmp_path)
    sink = Recorder()

    def work() -> None:
        volume.fill()
        for level in range(4):
            if level:
                volume.change(level)
            dumper.dump(level)
        plan = a_plan(dumper, dumper.files, tmp_path / "chosen", "docs", "music", "same", "link")
        result = bring_back(dumper, plan, sink)
        assert result.counters.files_total == result.counters.files_done
        bring_back(dumper, replace(plan, target=StoredPath(os.fsencode(tmp_path / "slowly")), is_direct=False))
        with pytest.raises(NotInCopy, match="going"):
            bring_back(dumper, a_plan(dumper, dumper.files, tmp_path / "other", "going"))

    ndmp_host.run(work)
    expected = picture(ndmp_host.root)
    chosen = {
        name: about for name, about in expected.items() if name.split("/")[0] in {"docs", "music", "same", "link"}
    }
    assert "music/moved again/deeper/x" in chosen
    for folder in ("chosen", "slowly"):
        found = picture(tmp_path / folder)
        del found["."]
        assert found == chosen, folder
    assert sink.failed == {}
    done = [event.counters.bytes_done for event in sink.progress]
    assert done == sorted(done)
    assert done[-1] == sink.progress[-1].counters.bytes_total


def test_one_file_of_a_large_image_is_read_where_it_is(ndmp_host: NdmpHost, tmp_path: Path) -> None:
    root, dumper = ndmp_host.root, Dumper(ndmp_host, tmp_path)
    for number in range(8):
        (root / f"big {number}").write_bytes(random.Random(number).randbytes(4 * MEBIBYTE))
    (root / "wanted").write_text("this")

    def work() -> None:
        dumper.dump()
        media = CountingDisk(DiskOptions(path=dumper.copier.path))
        before = sum(path.stat().st_size for path in dumper.copier.path.rglob("*") if path.is_file())
        result = undump.run(
            a_plan(dumper, dumper.files, tmp_path / "one", "wanted"),
            media,
            PASSWORD,
            Recorder(),
            FreeRun(),
            SystemClock(),
        )
        assert result.counters.bytes_read < MEBIBYTE // 8
        assert media.read_bytes < before // 20
        (root / "wanted").unlink()
        bring_back(dumper, a_plan(dumper, dumper.files, None, "wanted"))

    ndmp_host.run(work)
    assert (tmp_path / "one/wanted").read_text() == (root / "wanted").read_text() == "this"
