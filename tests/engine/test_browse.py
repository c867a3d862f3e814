"""Browsing a backup copy: directories, paths and walks, as stock restic stored them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jobs.engine.errors import InvalidOptions, NotInCopy
from jobs.engine.operations.browse import Browser, list_directory
from jobs.engine.repository.repository import Repository
from jobs.engine.repository.tree import NodeKind
from tests.engine.repositories import PASSWORD, new_repository
from tests.engine.restores import latest, medium, open_browser
from tests.interop.restic import Restic

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browse")
    new_repository(place / "repository")
    source = place / "source"
    (source / "b folder" / "deeper").mkdir(parents=True)
    (source / "b folder" / "deeper" / "bottom").write_bytes(b"down")
    (source / "a file").write_bytes(b"12345")
    (source / "a file").chmod(0o4640)
    os.utime(source / "a file", ns=(5, 1_600_000_000_123_456_789))
    os.symlink("a file", source / "link")
    with open(os.path.join(os.fsencode(source), b"\xff not utf-8"), "wb"):
        pass
    os.mkfifo(source / "fifo")
    (source / "linked").touch()
    os.link(source / "linked", source / "linked too")
    Restic(repository=place / "repository").run("backup", ".", cwd=source)
    return place / "repository"


@pytest.fixture(scope="module")
def browser(repository: Path) -> Browser:
    return open_browser(repository)


def test_a_directory_is_listed_in_the_order_of_raw_names(browser: Browser) -> None:
    names = [entry.name for entry in browser.entries(b"/")]
    assert names == [b"a file", b"b folder", b"fifo", b"link", b"linked", b"linked too", b"\xff not utf-8"]


def test_an_entry_tells_everything(browser: Browser) -> None:
    entries = {entry.name: entry for entry in browser.entries(b"")}
    file = entries[b"a file"]
    assert (file.kind, file.size, file.mode, file.mtime_ns) == (NodeKind.FILE, 5, 0o4640, 1_600_000_000_123_456_789)
    assert (file.uid, file.gid) == (os.getuid(), os.getgid())
    assert not file.is_directory
    assert entries[b"b folder"].is_directory
    assert entries[b"b folder"].size == 0
    assert entries[b"link"].link_target == b"a file"
    assert entries[b"fifo"].kind is NodeKind.FIFO
    assert entries[b"linked"].links == 2
    assert entries[b"\xff not utf-8"].display_name == "\\xff not utf-8"


def test_a_path_is_found_at_any_depth(browser: Browser) -> None:
    assert browser.find(b"/b folder/deeper/bottom").size == 4
    assert browser.find(b"b folder//deeper/").is_directory
    assert browser.find(b"/").is_directory
    assert stat.S_IMODE(browser.find(b"/").mode) == 0o755


@pytest.mark.parametrize("path", [b"/nothing", b"/b folder/nothing", b"/a file/below", b"/b folder/deeper/bottom/x"])
def test_what_is_not_there_is_told(browser: Browser, path: bytes) -> None:
    for call in (browser.entries, browser.find, browser.node, lambda path: list(browser.walk(path))):
        with pytest.raises(NotInCopy) as caught:
            call(path)
        assert caught.value.hint


def test_a_file_has_no_entries(browser: Browser) -> None:
    with pytest.raises(NotInCopy, match="not a directory"):
        browser.entries(b"/a file")


@pytest.mark.parametrize("path", [b"/..", b"/a/../b", b"/./a", b"/a\0b"])
def test_a_path_with_a_step_out_is_refused(browser: Browser, path: bytes) -> None:
    with pytest.raises(InvalidOptions):
        browser.entries(path)


def test_a_walk_gives_directories_before_what_they_hold(browser: Browser) -> None:
    paths = [path for path, _entry in browser.walk(b"/")]
    assert paths == [
        b"/a file",
        b"/b folder",
        b"/b folder/deeper",
        b"/b folder/deeper/bottom",
        b"/fifo",
        b"/link",
        b"/linked",
        b"/linked too",
        b"/\xff not utf-8",
    ]
    assert [path for path, _entry in browser.walk(b"/b folder")] == [b"/b folder/deeper", b"/b folder/deeper/bottom"]
    assert [path for path, _entry in browser.walk(b"/a file")] == [b"/a file"]


def test_an_opened_repository_lists_a_directory_in_one_call(repository: Path, tmp_path: Path) -> None:
    opened = Repository.open(medium(repository), PASSWORD)
    for _ in range(2):
        entries = list_directory(opened, latest(repository), b"/b folder", cache_directory=tmp_path)
        assert [entry.name for entry in entries] == [b"deeper"]


def test_a_snapshot_file_that_is_not_there_is_told(repository: Path) -> None:
    opened = Repository.open(medium(repository), PASSWORD)
    with pytest.raises(NotInCopy):
        list_directory(opened, "0" * 64, b"/")  # type: ignore[arg-type]
