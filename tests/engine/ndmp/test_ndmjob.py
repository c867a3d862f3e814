"""Against a real NDMP server: Amanda's ndmjob, whose images GNU tar makes and reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jobs.engine.errors import EngineUnsupported, Killed, LoginRefused, SourceUnavailable, StreamIncomplete
from jobs.engine.events import FreeRun
from jobs.engine.ids import snapshot_name
from jobs.engine.ndmp.backup import BackupOrder, BackupResult, back_up
from jobs.engine.ndmp.history import HistoryDecoder
from jobs.engine.ndmp.history_tree import Entry, HistoryTree
from jobs.engine.ndmp.history_values import EntryKind
from jobs.engine.ndmp.login import AuthWay, Server, capabilities, connect
from jobs.engine.ndmp.profiles import GENERIC, HistoryWish, suggested
from jobs.engine.ndmp.recover import RecoverOrder, RecoverResult, everything, recover
from jobs.engine.ndmp.session import Session, Waits
from jobs.engine.ndmp.transfer import DataPath, Direction
from jobs.engine.ndmp.values import BackupAbility, WantedName
from jobs.engine.plan import Secret
from jobs.engine.snapshots.ndmp.engine import NdmpEngine
from jobs.engine.snapshots.ndmp.options import NdmpOptions
from tests.ndmp_server import ACCOUNT, PORT, NdmpHost

from .clients import MemoryImage

pytestmark = pytest.mark.system
WAITS = Waits(connect=60, answer=60, data_connect=60, idle=60, probe=60, halt=60, abort=60)
MEBIBYTE = 1 << 20


@dataclass
class Dump:
    """A backup that was made: everything that a repository would keep of it."""

    result: BackupResult
    image: MemoryImage
    entries: dict[bytes, Entry]


def come(password: str = ACCOUNT, auth: AuthWay = AuthWay.SAFEST) -> Session:
    where = Server(host="127.0.0.1", port=PORT, account=ACCOUNT, password=Secret(password), auth=auth)
    return connect(where, FreeRun(), waits=WAITS)


def dump(
    session: Session, root: Path, level: int = 0, *, wish: HistoryWish = HistoryWish.ITS_CHOICE, keeps: bool = True
) -> Dump:
    tree, image = HistoryTree(), MemoryImage()
    environment = GENERIC.backup_environment(str(root), level=level, history=wish, records_level=keeps)
    order = BackupOrder(type="dump", environment=environment)
    result = back_up(session, order, image, history=HistoryDecoder(tree))
    return Dump(result, image, {entry.path: entry for entry in tree.entries()})


def bring_back(
    session: Session, done: Dump, names: tuple[WantedName, ...], *, is_direct: bool = False
) -> RecoverResult:
    environment = GENERIC.recover_environment(done.result.environment, is_direct=is_direct)
    return recover(session, RecoverOrder(type="dump", environment=environment, names=names), done.image)


def content(folder: Path) -> dict[str, bytes | str | None]:
    found: dict[str, bytes | str | None] = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = os.readlink(path)
        else:
            found[str(path.relative_to(folder))] = None if path.is_dir() else path.read_bytes()
    return found


def fill(root: Path) -> None:
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "docs" / "a b.txt").write_text("hello " * 1000)
    (root / "docs" / "deep" / "ümläut").write_text("x")
    (root / os.fsdecode(b"no utf-8 \xff")).write_text("y")
    (root / "empty").touch()
    os.symlink("docs/a b.txt", root / "link")
    os.link(root / "empty", root / "docs" / "second name")


def test_it_says_what_it_can_do_and_lets_nobody_in_with_a_wrong_password(ndmp_host: NdmpHost) -> None:
    def work() -> None:
        for auth in (AuthWay.MD5, AuthWay.TEXT):
            with come(auth=auth) as session:
                found = capabilities(session)
            with pytest.raises(LoginRefused, match="“ndmp” or its password"):
                come("wrong", auth)
        assert found.info is not None
        assert found.info.product == "NDMJOB"
        assert suggested(found.info) is GENERIC
        assert BackupAbility.RECOVER_DIRECT in found.backup_types[0].abilities
        assert found.file_systems[0].logical_device == str(ndmp_host.root)

    ndmp_host.run(work)


def test_what_version_3_dumps_comes_back_by_version_3(
    ndmp_host: NdmpHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its history, whole and by direct access; the server itself would rather speak 4."""
    monkeypatch.setattr("jobs.engine.ndmp.login.VERSIONS", (3,))
    root, target = ndmp_host.root, tmp_path / "restored"
    fill(root)

    def work() -> None:
        with come() as session:
            assert capabilities(session).file_systems[0].logical_device == str(root)
            done = dump(session, root)
            entry = done.entries[b"docs/a b.txt"]
            assert bring_back(session, done, everything(os.fsencode(target))).failed == ()
            assert entry.node is not None
            assert entry.fh_info is not None
            one = WantedName(entry.path, os.fsencode(tmp_path / "one"), node=entry.node, fh_info=entry.fh_info)
            bring_back(session, done, (one,), is_direct=True)

    ndmp_host.run(work)
    assert content(target) == content(root)
    assert (tmp_path / "one").read_bytes() == (root / "docs" / "a b.txt").read_bytes()


def test_a_chain_of_levels_comes_back_as_the_newest_state(ndmp_host: NdmpHost, tmp_path: Path) -> None:
    """Full, two incrementals, one at the highest level; what was deleted in between is gone again."""
    root, target = ndmp_host.root, tmp_path / "restored"
    fill(root)

    def work() -> None:
        with come() as session:
            chain = [dump(session, root)]
            (root / "docs" / "new").write_text("1")
            (root / "docs" / "a b.txt").unlink()
            chain.append(dump(session, root, 1))
            (root / "docs" / "new").write_text("22")
            chain.append(dump(session, root, 2))
            (root / "last").write_text("z" * MEBIBYTE)
            chain.append(dump(session, root, 9))
            assert b"last" in chain[3].entries
            # An incremental names what it does not hold.
            assert chain[1].entries[b"docs/new"].is_in_copy
            assert not chain[1].entries[b"empty"].is_in_copy
            assert b"docs/a b.txt" not in chain[1].entries
            assert not chain[3].entries[b"docs/new"].is_in_copy
            assert chain[2].result.image_bytes < MEBIBYTE < chain[3].result.image_bytes
            for one in chain:
                assert bring_back(session, one, everything(os.fsencode(target))).failed == ()

    ndmp_host.run(work)
    assert content(target) == content(root)


def test_a_differential_starts_from_the_full_and_an_unrecorded_level_counts_for_nobody(ndmp_host: NdmpHost) -> None:
    root = ndmp_host.root
    fill(root)

    def work() -> None:
        with come() as session:
            dump(session, root)
            (root / "first").write_text("1")
            dump(session, root, 1, keeps=False)
            (root / "second").write_text("2")
            last = dump(session, root, 2, wish=HistoryWish.NONE)
            assert last.entries == {}
            differential = dump(session, root, 1)
            assert differential.entries[b"first"].is_in_copy
            assert differential.entries[b"second"].is_in_copy
            assert not differential.entries[b"empty"].is_in_copy

    ndmp_host.run(work)


def test_selected_files_come_back_with_and_without_direct_access(ndmp_host: NdmpHost, tmp_path: Path) -> None:
    root = ndmp_host.root
    fill(root)
    (root / "big").write_bytes(os.urandom(3 * MEBIBYTE))
    (root / "zz after it").write_text("the end")

    def work() -> None:
        with come() as session:
            done = dump(session, root, wish=HistoryWish.PATHS)
            entry = done.entries[b"docs/a b.txt"]
            assert entry.kind is EntryKind.FILE
            assert entry.size_bytes == 6000
            wanted = WantedName(b"docs/a b.txt", os.fsencode(tmp_path / "one"), node=entry.node or 0)
            found = bring_back(session, done, (wanted,))
            assert found.sent_bytes > 3 * MEBIBYTE
            assert entry.fh_info is not None
            direct = replace(wanted, destination_path=os.fsencode(tmp_path / "two"), fh_info=entry.fh_info)
            found = bring_back(session, done, (direct,), is_direct=True)
            assert found.sent_bytes < 10_000

    ndmp_host.run(work)
    for name in ("one", "two"):
        assert (tmp_path / name).read_text() == "hello " * 1000


def test_a_name_that_is_not_in_the_image_is_confirmed_by_nobody(ndmp_host: NdmpHost, tmp_path: Path) -> None:
    """This server says that it went well, and tells nothing of single files."""
    fill(ndmp_host.root)

    def work() -> None:
        with come() as session:
            done = dump(session, ndmp_host.root)
            found = bring_back(session, done, (WantedName(b"missing", os.fsencode(tmp_path / "one")),))
        assert (found.confirmed_count, found.failed_count) == (0, 0)

    ndmp_host.run(work)
    assert not (tmp_path / "one").exists()


def test_a_path_that_does_not_exist_sends_nothing_and_is_no_backup(ndmp_host: NdmpHost) -> None:
    """The server itself says that all went well."""

    def work() -> None:
        with come() as session, pytest.raises(StreamIncomplete, match="sent no byte") as failure:
            dump(session, ndmp_host.root / "missing")
        assert "path" in failure.value.hint

    ndmp_host.run(work)


def test_what_it_does_not_support_is_said(ndmp_host: NdmpHost) -> None:
    def work() -> None:
        environment = GENERIC.backup_environment(str(ndmp_host.root))
        path = DataPath(direction=Direction.FILER_LISTENS)
        order = BackupOrder(type="dump", environment=environment, data_path=path)
        with come() as session, pytest.raises(EngineUnsupported, match="DATA_LISTEN"):
            back_up(session, order, MemoryImage())

    ndmp_host.run(work)


class Breaking(MemoryImage):
    """Does something at the first piece."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act = act

    def took(self, count: int) -> None:
        self._act()
        super().took(count)


def test_a_server_that_is_killed_in_the_middle_looks_like_a_good_end_and_is_none(ndmp_host: NdmpHost) -> None:
    root = ndmp_host.root
    with open(root / "sparse", "wb") as file:
        file.truncate(64 * MEBIBYTE)
    order = BackupOrder(type="dump", environment=GENERIC.backup_environment(str(root)))

    def work() -> None:
        with come() as session, pytest.raises(SourceUnavailable):
            back_up(session, order, Breaking(ndmp_host.kill))
        ndmp_host.start()
        (root / "sparse").unlink()
        with come() as session:
            assert dump(session, root).result.image_bytes

    ndmp_host.run(work)


def test_a_stop_in_the_middle_leaves_the_session_usable(ndmp_host: NdmpHost) -> None:
    root = ndmp_host.root
    with open(root / "sparse", "wb") as file:
        file.truncate(64 * MEBIBYTE)
    order = BackupOrder(type="dump", environment=GENERIC.backup_environment(str(root)))

    def stop() -> None:
        raise Killed("killed")

    def work() -> None:
        with come() as session:
            with pytest.raises(Killed):
                back_up(session, order, Breaking(stop))
            (root / "sparse").unlink()
            assert dump(session, root).result.image_bytes

    ndmp_host.run(work)


def test_the_engine_tests_it_over_the_cable(ndmp_filer: NdmpHost) -> None:
    settings = NdmpOptions(host=ndmp_filer.address, port=PORT, account=ACCOUNT, password=Secret(ACCOUNT))
    report = NdmpEngine(settings, "abcd").test()
    assert report.ok, report
    assert report.facts["profile"] == "generic"
    assert [one["path"] for one in report.facts["file_systems"]] == [str(ndmp_filer.root)]  # type: ignore[attr-defined]
    assert [one["name"] for one in report.facts["types"]] == ["dump"]  # type: ignore[attr-defined]
    assert [one["total_bytes"] for one in report.facts["file_systems"]] == [None]  # type: ignore[attr-defined]
    assert not report.warnings
    ref = NdmpEngine(settings, "abcd").create(snapshot_name("abcd", 1, 1), [str(ndmp_filer.root)], FreeRun())
    assert not ref.warnings
