"""Faults of SSH servers: unknown keys, wrong logins, cuts, stalls, full and read-only file systems, less able ones."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import pytest

from jobs.engine.errors import (
    EngineError,
    FileMissing,
    InvalidOptions,
    MediaRefused,
    MediaUnavailable,
    NoSpace,
    RepositoryDamaged,
)
from jobs.engine.media import sftp as sftp_module
from jobs.engine.media.disk_leftovers import temporary_name
from jobs.engine.media.sftp import SftpMedia, SftpOptions, stock_sftp
from jobs.engine.media.sftp_errors import file_error
from jobs.engine.options import option_problems, parse_options
from jobs.engine.plan import Secret
from tests import rclone_servers, ssh_server

PACK = "data/ab/" + "ab" * 32
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@contextmanager
def medium(place: Path, **options: object) -> Iterator[SftpMedia]:
    given = ssh_server.values(place) | options
    opened = SftpMedia(parse_options(SftpOptions, given, ssh_server.secrets()))
    try:
        yield opened
    finally:
        opened.close()


def files_below(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*") if found.is_file())


def problem(secrets: dict[str, Secret] | None = None, **options: object) -> InvalidOptions:
    given = ssh_server.values(Path("/srv")) | options
    (found,) = option_problems(SftpOptions, given, ssh_server.secrets() if secrets is None else secrets)
    return found


def test_a_host_key_that_is_not_pinned_is_shown_and_nothing_is_sent(tmp_path: Path) -> None:
    fingerprint = ssh_server.server().fingerprint
    with medium(tmp_path, host_key="") as unknown:
        (reached,) = unknown.test().steps
    assert not reached.ok
    assert fingerprint in reached.detail
    assert f"put {fingerprint} into “Host key”" in reached.hint
    with medium(tmp_path, host_key=fingerprint) as pinned:
        report = pinned.test()
    assert report.ok
    assert fingerprint in report.steps[0].detail


def test_another_host_key_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    other = (ssh_server.server().folder / "stranger.pub").read_text()
    with (
        medium(tmp_path, host_key=other.strip()) as wrong,
        pytest.raises(MediaRefused, match="another host key") as told,
    ):
        wrong.put(PACK, [b"x"])
    assert ssh_server.server().fingerprint in told.value.sentence
    assert files_below(tmp_path) == []


def test_a_line_of_known_hosts_pins_as_well(tmp_path: Path) -> None:
    line = (ssh_server.server().folder / "known_hosts").read_text().strip()
    with medium(tmp_path, host_key=line) as pinned:
        assert not pinned.exists("config")


def test_what_cannot_log_in_is_refused_in_the_form() -> None:
    public = Secret((ssh_server.server().folder / "key.pub").read_text())
    assert problem(host_key="SHA256:short").field == "host_key"
    assert problem({}).field == "private_key"
    assert problem({"private_key": public}).field == "private_key"
    assert problem({"private_key": ssh_server.secrets()["private_key"]}).field == "passphrase"
    wrong = ssh_server.secrets() | {"passphrase": Secret("wrong")}
    assert problem(wrong).field == "passphrase"
    typed_in_a_browser = Secret(ssh_server.server().plain_key.read_text().replace("\n", "\r\n"))
    assert not option_problems(SftpOptions, ssh_server.values(Path("/srv")), {"private_key": typed_in_a_browser})


def test_a_missing_directory_is_unavailable_and_made_only_when_the_options_say_so(tmp_path: Path) -> None:
    place = tmp_path / "new" / "place"
    with medium(place) as absent:
        for call in (absent.get, absent.size, absent.exists, absent.delete, lambda name: absent.put(name, [b"x"])):
            with pytest.raises(MediaUnavailable, match="is not there"):
                call("config")
        with pytest.raises(MediaUnavailable):
            list(absent.list("data"))
    assert not place.exists()
    with medium(place, create_directory=True) as made:
        assert made.test().ok
        assert place.stat().st_mode & 0o777 == 0o700
        place.rename(tmp_path / "elsewhere")
        with pytest.raises(MediaUnavailable):
            made.put(PACK, [b"x"])
    assert not place.exists()


def test_a_cut_between_two_calls_is_not_noticed(tmp_path: Path) -> None:
    with medium(tmp_path) as cut:
        cut.put(PACK, [b"before"])
        ssh_server.server().cut()
        assert cut.get(PACK) == b"before"
        ssh_server.server().cut()
        cut.put("config", [b"after"])
        assert cut.get("config") == b"after"


def test_a_thread_that_runs_a_loop_of_its_own_may_use_it(tmp_path: Path) -> None:
    async def inside() -> bytes:
        with medium(tmp_path) as used:
            used.put(PACK, [b"from a loop"])
            return used.get(PACK)

    with ThreadPoolExecutor(max_workers=1) as thread:
        assert thread.submit(lambda: asyncio.run(inside())).result(timeout=60) == b"from a loop"


def test_files_are_whole_or_not_there_while_sessions_are_cut(tmp_path: Path) -> None:
    content = os.urandom(3 * 2**20)
    done = threading.Event()
    server = ssh_server.server()

    def cut() -> None:
        while not done.wait(0.1):
            server.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()
    stored = 0
    try:
        with medium(tmp_path) as storm:
            for number in range(5):
                try:
                    storm.put(f"data/ab/ab{number:062x}", [content])
                    stored += 1
                except MediaUnavailable:
                    continue
    finally:
        done.set()
        cutter.join()
    with medium(tmp_path) as calm:
        sizes = [size for _name, size in calm.list("")]
        assert set(sizes) <= {len(content)}
        assert len(sizes) >= stored
        calm.put(PACK, [content])
        assert calm.get(PACK) == content


def test_a_server_that_stalls_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with medium(tmp_path) as stalled:
        stalled.put(PACK, [b"x"])
        monkeypatch.setattr(sftp_module, "_CALL_SECONDS", 0.3)
        monkeypatch.setattr(sftp_module, "_SLOWEST_BYTES_PER_SECOND", 1e9)
        ssh_server.server().tell(signal.SIGSTOP)
        try:
            with pytest.raises(MediaUnavailable, match="in time"):
                stalled.get(PACK)
        finally:
            ssh_server.server().tell(signal.SIGCONT)
        monkeypatch.undo()
        assert stalled.get(PACK) == b"x"


def test_leftovers_of_a_killed_writer_are_hidden_and_go_after_a_day(tmp_path: Path) -> None:
    young, old = (tmp_path / os.fsdecode(temporary_name(name)) for name in (b"young", b"old"))
    young.touch()
    old.touch()
    os.utime(old, (0, 0))
    with medium(tmp_path) as swept:
        assert list(swept.list("")) == []
        swept.put("config", [b"x"])
    assert young.exists()
    assert not old.exists()


@needs_root
@pytest.mark.system
def test_full_and_read_only_file_systems_are_told_though_the_protocol_has_no_word_for_them(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)], check=True)
    try:
        with medium(tmp_path) as small:
            with pytest.raises(NoSpace) as full:
                small.put(PACK, [os.urandom(2 * 2**20)])
            assert PACK in full.value.sentence
            small.put("config", [b"kept"])
            assert files_below(tmp_path) == ["config"]
            subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
            with pytest.raises(MediaRefused, match="read-only"):
                small.put(PACK, [b"x"])
            with pytest.raises(MediaRefused, match="read-only"):
                small.delete("config")
            assert small.get("config") == b"kept"
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_password_and_a_server_without_sync_work(tmp_path: Path) -> None:
    """rclone's server: it takes a password, and lacks fsync@openssh.com."""
    port = rclone_servers.password_sftp(ssh_server.server().folder / "host_key")
    values = ssh_server.values(Path("/data")) | {"port": port, "user": rclone_servers.USER, "create_directory": True}
    options = parse_options(SftpOptions, values, {"password": Secret(rclone_servers.PASSWORD)})
    less = SftpMedia(options)
    assert less.test().ok
    less.put(PACK, [b"first"])
    less.put(PACK, [b"second"])
    assert less.get(PACK) == b"second"
    assert list(less.list("")) == [(PACK, 6)]
    less.close()
    wrong = SftpMedia(parse_options(SftpOptions, values, {"password": Secret("wrong")}))
    with pytest.raises(MediaRefused, match="this password"):
        wrong.exists("config")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (asyncssh.SFTPNoSuchFile, FileMissing),
        (asyncssh.SFTPPermissionDenied, MediaRefused),
        (asyncssh.SFTPWriteProtect, MediaRefused),
        (asyncssh.SFTPNoSpaceOnFilesystem, NoSpace),
        (asyncssh.SFTPQuotaExceeded, NoSpace),
        (asyncssh.SFTPFailure, MediaUnavailable),
        (asyncssh.SFTPConnectionLost, MediaUnavailable),
        (asyncssh.SFTPBadMessage, MediaUnavailable),
    ],
)
def test_each_refusal_of_a_server_has_its_place_in_the_tree(
    kind: type[asyncssh.SFTPError], expected: type[EngineError]
) -> None:
    error = file_error(kind("because"), action="read", name="config", label="SFTP server x")  # type: ignore[call-arg, arg-type]
    assert type(error) is expected
    assert "config" in error.sentence
    assert not isinstance(error, RepositoryDamaged)


def test_stock_restic_is_told_where_to_look() -> None:
    given = {"host": "backup", "port": 22, "user": "us", "path": "/srv/r"}
    assert stock_sftp(given) == "sftp:us@backup:/srv/r"
    assert stock_sftp(given | {"port": 2222}) == "sftp://us@backup:2222//srv/r"
