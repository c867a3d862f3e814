"""Archives as streams, read back by Python's own readers and by GNU tar and unzip."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import zstandard

from jobs.engine.errors import NotInCopy, RepositoryDamaged
from jobs.engine.operations.archive import LEFT_OUT, ArchiveFormat, stream
from jobs.engine.operations.archiving import contents, zip_stream
from jobs.engine.operations.archiving.contents import Member
from jobs.engine.operations.archiving.holding import InCopy
from jobs.engine.operations.browse import Browser
from jobs.engine.plan import StoredPath
from tests.engine.repositories import new_repository
from tests.engine.restores import open_browser
from tests.interop.restic import Restic
from tests.odd_tree import describe_tree

pytestmark = pytest.mark.interop
MOMENT = 1_600_000_000_123_456_789


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository and its source: names of all sorts, a large file, links, attributes."""
    place = tmp_path_factory.mktemp("archive")
    new_repository(place / "repository")
    source = place / "source"
    (source / "folder" / "empty").mkdir(parents=True)
    numbers = random.Random(7)
    (source / "large").write_bytes(numbers.randbytes(12 << 20) + bytes(10 << 20))
    (source / "text").write_bytes(b"text that repeats. " * 5000)
    (source / "noise").write_bytes(numbers.randbytes(40_000))
    (source / "empty file").touch()
    (source / "folder" / "ümläut ✓").write_bytes(b"name")
    with open(os.path.join(os.fsencode(source), b"folder/\xff\xfe"), "wb") as file:
        file.write(b"no utf-8")
    (source / ("long " + "x" * 240)).write_bytes(b"long name")
    os.symlink("text", source / "link")
    os.link(source / "text", source / "folder" / "text again")
    os.mkfifo(source / "fifo")
    os.chown(source / "noise", 1234, 4321)
    (source / "noise").chmod(0o4751)
    os.setxattr(source / "noise", "user.binary", b"\0\xff\n")
    for path in sorted(source.rglob("*"), reverse=True):
        os.utime(path, ns=(MOMENT, MOMENT), follow_symlinks=False)
    Restic(repository=place / "repository").run("backup", ".", cwd=source)
    return place


@pytest.fixture
def browser(place: Path) -> Browser:
    return open_browser(place / "repository")


def archive(browser: Browser, archive_format: ArchiveFormat, *paths: bytes) -> bytes:
    return b"".join(stream(InCopy(browser), [StoredPath(path) for path in paths], archive_format))


def open_tar(data: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape")


def test_a_tar_extracted_by_gnu_tar_is_identical(browser: Browser, place: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(archive(browser, ArchiveFormat.TAR, b"/"))
    subprocess.run(["tar", "--xattrs", "--same-owner", "-xpf", "a.tar"], cwd=tmp_path, check=True)
    (tmp_path / "a.tar").unlink()
    ours, theirs = describe_tree(tmp_path), describe_tree(place / "source")
    assert {**ours, b"": None} == {**theirs, b"": None}


def test_a_compressed_tar_is_the_same_tar(browser: Browser) -> None:
    packed = archive(browser, ArchiveFormat.TAR_ZSTD, b"/")
    plain = archive(browser, ArchiveFormat.TAR, b"/")
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == plain
    assert len(packed) < len(plain) * 0.7
    assert len(plain) % tarfile.RECORDSIZE == 0


def test_a_tar_keeps_hard_links_and_nanoseconds(browser: Browser) -> None:
    with open_tar(archive(browser, ArchiveFormat.TAR, b"/")) as opened:
        first, second = opened.getmember("folder/text again"), opened.getmember("text")
        assert first.isreg()
        assert second.islnk()
        assert second.linkname == "folder/text again"
        assert first.pax_headers["mtime"] == "1600000000.123456789"
        assert opened.getmember("folder/" + os.fsdecode(b"\xff\xfe")).size == 8


def test_a_zip_read_back_is_identical(browser: Browser, place: Path) -> None:
    data = archive(browser, ArchiveFormat.ZIP, b"/")
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        infos = {info.filename: info for info in opened.infolist()}
        source = place / "source"
        for name in ("large", "text", "noise", "empty file", "folder/ümläut ✓", "long " + "x" * 240):
            assert opened.read(name) == (source / name).read_bytes()
        assert opened.read(b"folder/\xff\xfe".decode("cp437")) == b"no utf-8"
        assert opened.read("link") == b"text"
        assert infos["link"].external_attr >> 28 == 0o12
        assert infos["noise"].external_attr >> 16 & 0o7777 == 0o4751
        assert infos["folder/empty/"].is_dir()
        assert infos["noise"].compress_type == zipfile.ZIP_STORED
        assert infos["text"].compress_size < infos["text"].file_size / 20
        assert infos["text"].date_time == (2020, 9, 13, 12, 26, 40)


def test_a_zip_extracted_by_unzip_keeps_names_modes_and_times(browser: Browser, place: Path, tmp_path: Path) -> None:
    if shutil.which("unzip") is None:
        pytest.skip("unzip is not installed")
    (tmp_path / "a.zip").write_bytes(archive(browser, ArchiveFormat.ZIP, b"/large", b"/noise", b"/folder"))
    subprocess.run(["unzip", "-q", "-K", "a.zip"], cwd=tmp_path, check=True)
    for name in ("large", "noise", "folder/text again"):
        assert (tmp_path / name).read_bytes() == (place / "source" / name).read_bytes()
    restored = (tmp_path / "noise").stat()
    assert restored.st_mode & 0o7777 == 0o4751
    assert restored.st_mtime_ns // 10**9 == MOMENT // 10**9


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([b"/folder"], {"folder", "folder/empty", "folder/text again", "folder/ümläut ✓", "folder/\udcff\udcfe"}),
        ([b"/text"], {"text"}),
        ([b"/folder/empty"], {"empty"}),
        ([b"/folder/empty", b"/text"], {"folder/empty", "text"}),
        ([b"/folder/text again", b"/folder/empty"], {"text again", "empty"}),
        ([b"/text", b"/text", b"text"], {"text"}),
    ],
)
def test_names_start_below_what_the_paths_share(browser: Browser, paths: list[bytes], names: set[str]) -> None:
    with open_tar(archive(browser, ArchiveFormat.TAR, *paths)) as opened:
        assert set(opened.getnames()) == names


def test_a_path_below_another_chosen_one_is_not_there_twice(browser: Browser) -> None:
    with open_tar(archive(browser, ArchiveFormat.TAR, b"/folder", b"/folder/empty", b"/folder/text again")) as opened:
        names = opened.getnames()
    assert len(names) == len(set(names)) == 5


def test_what_cannot_be_in_an_archive_is_named_in_it(browser: Browser) -> None:
    problems: list[tuple[bytes, str]] = []
    data = b"".join(
        stream(InCopy(browser), [], ArchiveFormat.ZIP, on_problem=lambda *problem: problems.append(problem))
    )
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert b"/fifo" in opened.read(LEFT_OUT.decode())
        assert "fifo" not in opened.namelist()
    assert [path for path, _why in problems] == [b"/fifo"]
    with open_tar(archive(browser, ArchiveFormat.TAR, b"/")) as opened_tar:
        assert opened_tar.getmember("fifo").isfifo()
        assert LEFT_OUT.decode() not in opened_tar.getnames()


def test_a_path_that_is_not_there_is_told_before_the_first_byte(browser: Browser) -> None:
    with pytest.raises(NotInCopy):
        stream(InCopy(browser), [StoredPath(b"/text"), StoredPath(b"/nothing")], ArchiveFormat.ZIP)


def damage(repository: Path, size: int) -> None:
    """Flip a byte in the middle of every data pack."""
    for pack in (repository / "data").rglob("*"):
        if pack.is_file() and pack.stat().st_size > size:
            pack.chmod(0o600)
            data = bytearray(pack.read_bytes())
            data[len(data) // 2] ^= 1
            pack.write_bytes(data)


def test_a_damaged_small_file_is_left_out_and_named(tmp_path: Path) -> None:
    new_repository(tmp_path / "repository")
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        (source / f"file {number}").write_bytes(random.Random(number).randbytes(300_000))
    Restic(repository=tmp_path / "repository").run("backup", ".", cwd=source)
    damage(tmp_path / "repository", 100_000)
    data = archive(open_browser(tmp_path / "repository"), ArchiveFormat.ZIP, b"/")
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert len(opened.namelist()) == 3
        assert b"data/" in opened.read(LEFT_OUT.decode())


@pytest.mark.parametrize("archive_format", list(ArchiveFormat))
def test_a_damaged_large_file_cuts_the_archive_off(tmp_path: Path, archive_format: ArchiveFormat) -> None:
    new_repository(tmp_path / "repository")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "large").write_bytes(random.Random(1).randbytes(20 << 20))
    Restic(repository=tmp_path / "repository").run("backup", ".", cwd=tmp_path / "source")
    damage(tmp_path / "repository", 1 << 20)
    with pytest.raises(RepositoryDamaged):
        archive(open_browser(tmp_path / "repository"), archive_format, b"/")


def test_memory_does_not_grow_with_the_archive(place: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "BATCH_BYTES", 1 << 20)
    assert (place / "source" / "large").stat().st_size == 22 << 20
    tracemalloc.start()
    try:
        total = sum(len(piece) for piece in stream(InCopy(browser), [StoredPath(b"/large")], ArchiveFormat.TAR))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total > 22 << 20
    assert peak < 20 << 20


def test_sizes_over_four_gibibytes_are_told_in_zip64(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same path is taken for a small file when the limit is moved down, and readers still agree."""
    monkeypatch.setattr(zip_stream, "_MAX32", 1 << 20)
    node = browser.node(b"/text")
    assert node is not None
    writer = zip_stream.ZipStream()
    pieces = [bytes([number]) * (1 << 19) for number in range(6)]
    member = Member(StoredPath(b"/big"), node, size=3 << 20, pieces=iter(pieces), is_packed=False)
    data = b"".join([*writer.member(b"big", member), *writer.member(b"after", Member(member.path, node, whole=b"x"))])
    monkeypatch.setattr(zip_stream, "_MAX32", 0xFFFFFFFF)
    whole = data + b"".join(writer.finish())
    assert len(whole) > 3 << 20


def test_more_entries_than_a_small_archive_can_count(browser: Browser) -> None:
    node = browser.node(b"/empty file")
    assert node is not None
    writer = zip_stream.ZipStream()
    member = Member(StoredPath(b"/x"), node, whole=b"")
    data = b"".join(b"".join(writer.member(b"%d" % number, member)) for number in range(70_000))
    with zipfile.ZipFile(io.BytesIO(data + b"".join(writer.finish()))) as opened:
        assert len(opened.infolist()) == 70_000
        assert opened.infolist()[-1].filename == "69999"
