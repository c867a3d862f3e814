"""Dumps into a repository: stock restic reads them byte for byte, and whatever goes wrong leaves nothing behind."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.engine.errors import (
    AnswerUnreadable,
    EngineError,
    InvalidOptions,
    Killed,
    LoginRefused,
    NoSpace,
    RepositoryMissing,
    SourceMissing,
    SourceUnavailable,
    StreamIncomplete,
    WrongPassword,
)
from jobs.engine.ids import FileId
from jobs.engine.media.base import Buffer
from jobs.engine.media.disk import DiskMedia, DiskOptions
from jobs.engine.ndmp import history_values as h
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.profiles import NO_BASE, ONTAP
from jobs.engine.ndmp.values import ErrorCode, HaltReason, Pair
from jobs.engine.operations.dumping.plan import DumpResult
from jobs.engine.plan import Secret
from tests.interop.restic import Restic
from tests.ndmp_server import ACCOUNT, PORT, NdmpHost

from .copying import StopWhen
from .dumping import DumpPlace, plan_of, source_at
from .ndmp.clients import PATIENT
from .ndmp.filer import STRANGER, Script, filer, log

MEBIBYTE = 1 << 20
IMAGE = b"/ndmp/vol/vol1/0.image"


@pytest.fixture
def place(tmp_path: Path) -> DumpPlace:
    return DumpPlace(tmp_path)


def large_image() -> bytes:
    """Longer than all windows together hold new bytes of: random, text, and zeros that end in the middle of one."""
    source = random.Random(3)
    return source.randbytes(11 * MEBIBYTE) + b"much the same text " * 700_000 + bytes(9 * MEBIBYTE + 77) + b"end"


def dump(place: DumpPlace, script: Script, *file_systems: str, **more: Any) -> DumpResult:
    with filer(script) as server:
        profile = more.pop("profile", ONTAP)
        return place.run(plan_of(source_at(server.port, profile=profile), *file_systems, **more))


@pytest.mark.interop
def test_what_a_file_server_sends_is_what_stock_restic_gives_back(place: DumpPlace) -> None:
    status = h.FileStatus(0, 0, h.EntryKind.FILE, 5, 6, 7, 0, 0, 0o644, 6, 1)
    folder = h.FileStatus(0, 0, h.EntryKind.DIRECTORY, 5, 6, 7, 0, 0, 0o755, 6, 1)
    script = Script(
        image=large_image(),
        posts=[
            (m.FH_ADD_DIR, h.DirectoryHistory((h.DirectoryEntry((h.UnixName(b"."),), 64, 64),))),
            (m.FH_ADD_NODE, h.NodeHistory((h.NodeEntry((folder,), 64, 0), h.NodeEntry((status,), 70, 512)))),
        ],
    )
    result = dump(place, script, "/vol/vol1", "/vol/vol1/tree ü/", level=3, base_tokens=None, profile=ONTAP)
    restic = Restic(repository=place.path)
    restic.judge()
    assert restic_dump(place, "/ndmp/vol/vol1/3.image") == script.image
    assert restic_dump(place, "/ndmp/vol/vol1/tree ü/3.image") == script.image
    environment = json.loads(restic_dump(place, "/ndmp/vol/vol1/tree ü/3.env.json"))
    assert environment == {
        "type": "dump",
        "level": 3,
        "profile": "ontap",
        "file_system": "/vol/vol1/tree ü/",
        "environment": [[pair.name, pair.value] for pair in script.environment],
    }
    assert restic_dump(place, "/ndmp/vol/vol1/3.history").count(b"\n") == 4
    (snapshot,) = restic.json("snapshots")
    assert snapshot["paths"] == ["/ndmp/vol/vol1", "/ndmp/vol/vol1/tree ü"]
    assert (snapshot["tags"], snapshot["hostname"], snapshot["id"]) == (
        ["a tag"],
        "filer",
        result.copy.snapshot_file_id,
    )
    assert [one.token for one in result.dumps] == ["4294967297"] * 2
    assert [one.history_records for one in result.dumps] == [3, 3]
    counters = result.copy.counters
    assert counters.bytes_done == counters.bytes_read == counters.bytes_total == 2 * len(script.image)
    assert (counters.files_done, counters.directories_done, counters.exceptions) == (2, 2, 0)
    assert counters.bytes_new < len(script.image) + 4096, "the second image is stored by reference"
    assert place.names("locks") == []
    assert all(history.is_closed for history in place.histories)


def restic_dump(place: DumpPlace, path: str) -> bytes:
    environment = os.environ | {"RESTIC_REPOSITORY": str(place.path), "RESTIC_PASSWORD": "correct horse"}
    command = ["restic", "--no-cache", "dump", "latest", path]
    return subprocess.run(command, env=environment, capture_output=True, check=True, timeout=100).stdout


@pytest.mark.system
@pytest.mark.interop
def test_levels_of_a_real_server_are_restored_by_stock_restic_and_tar(
    ndmp_host: NdmpHost, place: DumpPlace, tmp_path: Path
) -> None:
    root = ndmp_host.root
    source = random.Random(4)
    (root / "folder").mkdir()
    for number in range(30):
        (root / "folder" / f"file {number}").write_bytes(source.randbytes(600_000))
    (root / "text").write_text("words " * MEBIBYTE)
    server = source_at(PORT, account=ACCOUNT, password=ACCOUNT)
    results = [ndmp_host.run(lambda: place.run(plan_of(server, str(root))))]
    (root / "folder" / "file 3").unlink()
    (root / "folder").rename(root / "renamed")
    (root / "new").write_bytes(source.randbytes(MEBIBYTE))
    results.append(ndmp_host.run(lambda: place.run(plan_of(server, str(root), level=1))))
    assert results[1].copy.counters.bytes_done < 3 * MEBIBYTE < results[0].copy.counters.bytes_done
    assert [one.dumps[0].token for one in results] == [None, None]
    assert results[0].copy.counters.files_done == 31
    Restic(repository=place.path).judge()
    target = tmp_path / "restored"
    target.mkdir()
    for level, result in enumerate(results):
        image = place.whole(result.copy.snapshot_file_id, f"/ndmp{root}/{level}.image".encode())
        assert len(image) == result.dumps[0].image_bytes
        tar = ["tar", "-x", "--listed-incremental=/dev/null", "-C", str(target)]
        subprocess.run(tar, input=image, check=True, timeout=60)
    assert subprocess.run(["diff", "-r", str(root), str(target)], check=False).returncode == 0


def test_an_image_is_read_at_random_offsets_and_a_small_range_moves_little(place: DumpPlace) -> None:
    script = Script(image=large_image())
    result = dump(place, script)
    file = place.stored(result.copy.snapshot_file_id, IMAGE)
    assert file.size_bytes == len(script.image)
    source = random.Random(8)
    for _ in range(50):
        offset = source.randrange(len(script.image) - 70_000)
        assert file.read(offset, 70_000) == script.image[offset : offset + 70_000]


def test_tokens_go_to_the_file_server_and_levels_do_not(place: DumpPlace) -> None:
    with filer(Script()) as server:
        place.run(plan_of(source_at(server.port, profile=ONTAP), base_tokens={"/vol/vol1": NO_BASE}))
        (request,) = [request for request in server.requests if isinstance(request, m.StartBackup)]
    said = {pair.name: pair.value for pair in request.environment}
    assert said["BASE_DATE"] == "0"
    assert "LEVEL" not in said
    assert place.begun == ["/vol/vol1"]


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"image": b""}, StreamIncomplete, "sent no byte"),
        ({"counts": 5999}, StreamIncomplete, "counted 5999 bytes, but 6000 came"),
        ({"halts": HaltReason.ABORTED}, StreamIncomplete, "ended the backup: aborted"),
        ({"halts": None}, SourceUnavailable, "never said that it is whole"),
        (
            {"image": bytes(9 * MEBIBYTE), "dies_after": 8 * MEBIBYTE},
            SourceUnavailable,
            "closed the NDMP session|broke",
        ),
        ({"posts": [log("inode 7 is unreadable")]}, StreamIncomplete, "logged 1 error"),
        ({"raw": b"\xff" * 64}, AnswerUnreadable, "announced a message of"),
        ({"never_connects": True}, SourceUnavailable, r"did not open the data connection"),
        ({"data_from": STRANGER}, SourceUnavailable, r"offered from 127\.0\.0\.2, which is not allowed"),
        ({"refuses": {m.DATA_START_BACKUP: ErrorCode.ILLEGAL_ARGUMENTS}}, SourceMissing, "“/vol/vol1” as dump"),
    ],
    ids=[
        "zero bytes",
        "lost bytes",
        "aborted",
        "no word",
        "killed",
        "error log",
        "garbage",
        "nobody",
        "stranger",
        "refused",
    ],
)
def test_what_is_not_whole_commits_nothing_and_leaves_no_lock(
    place: DumpPlace, change: dict[str, Any], kind: type[EngineError], words: str
) -> None:
    script = Script(**change)
    waits = replace(
        PATIENT,
        halt=0.3 if script.halts is None else PATIENT.halt,
        data_connect=0.3 if script.never_connects or script.data_from == STRANGER else PATIENT.data_connect,
    )
    with pytest.raises(kind, match=words):
        dump(place, script, waits=waits)
    assert place.names("snapshots") == place.names("locks") == []
    assert place.begun == ["/vol/vol1"]
    assert all(history.is_closed for history in place.histories)


def test_a_second_path_that_fails_commits_nothing_of_the_first(place: DumpPlace) -> None:
    with filer(Script(image=os.urandom(12 * MEBIBYTE))) as server:
        plan = plan_of(source_at(server.port), "/vol/vol1", "/vol/vol2")

        def stop() -> bool:
            return len(place.begun) == 2

        with pytest.raises(Killed):
            place.run(plan, control=StopWhen(stop))
        assert place.names("snapshots") == place.names("locks") == []
        assert place.names("index"), "what came is not stored again"
        result = place.run(plan)
    assert result.copy.counters.bytes_new < 9 * MEBIBYTE, "all but the packs that were waiting"
    Restic(repository=place.path).judge()


def test_a_kill_in_the_middle_of_silence_aborts_at_the_file_server(place: DumpPlace) -> None:
    with filer(Script(image=bytes(MEBIBYTE), hangs_after=1000)) as server:
        with pytest.raises(Killed):
            place.run(plan_of(source_at(server.port)), control=StopWhen(server.reached.is_set))
        assert server.asked_by_all()[-3:] == ["DATA_ABORT", "DATA_STOP", "CONNECT_CLOSE"]
    assert place.names("snapshots") == place.names("locks") == []


def test_nothing_is_asked_of_the_file_server_that_the_repository_could_not_take(place: DumpPlace) -> None:
    """A dump that began counts at the file server, so whatever can be known before is."""
    with filer(Script()) as server:
        source = source_at(server.port)
        with pytest.raises(WrongPassword):
            place.run(plan_of(source), password=Secret("wrong"))
        with pytest.raises(RepositoryMissing, match="not 00000000"):
            place.run(plan_of(source, repository_id="0" * 64))
        with pytest.raises(LoginRefused):
            place.run(plan_of(source_at(server.port, password="wrong")))
        for paths in (("/vol/../etc",), ("/",), ("/vol/vol1", "/vol//vol1/")):
            with pytest.raises(InvalidOptions) as refusal:
                place.run(plan_of(source, *paths))
            assert refusal.value.field == "content_paths"
        assert "DATA_CONNECT" not in server.asked
    assert place.begun == place.names("snapshots") == place.names("locks") == []


class FullDisk(DiskMedia):
    """A disk on which packs find no space."""

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        if name.startswith("data/"):
            raise NoSpace("The medium is full.")
        super().put(name, pieces)


@pytest.mark.parametrize("size", [3 * MEBIBYTE, 300], ids=["in the middle", "at the end"])
def test_a_full_medium_ends_the_dump_as_what_it_is(place: DumpPlace, size: int) -> None:
    with filer(Script(image=os.urandom(size))) as server, pytest.raises(NoSpace, match="medium is full"):
        place.run(plan_of(source_at(server.port), pack_bytes=MEBIBYTE), media=FullDisk(DiskOptions(path=place.path)))
    assert place.names("snapshots") == place.names("locks") == place.names("index") == []
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith(("pack-", "stream-", "ndmp-"))]
    assert left == []


def test_the_total_is_what_the_file_server_expects(place: DumpPlace) -> None:
    """It is asked only where there is one image, and only until it says it."""
    assert dump(place, Script()).copy.counters.bytes_total == 6000
    assert place.sink.progress[-1].counters.bytes_total == 6000


def test_a_path_called_like_a_file_of_another_is_refused(place: DumpPlace) -> None:
    with pytest.raises(InvalidOptions, match="stored twice"):
        dump(place, Script(), "/vol", "/vol/0.image/deeper")
    assert place.names("snapshots") == []


def test_environments_come_back_as_they_were(place: DumpPlace) -> None:
    odd = (Pair("ODD", "a\udcffb “c” \\ \n"), Pair("EMPTY", ""))
    result = dump(place, Script(environment=odd))
    text = json.loads(place.whole(FileId(result.copy.snapshot_file_id), b"/ndmp/vol/vol1/0.env.json"))
    assert text["environment"] == [["ODD", "a\udcffb “c” \\ \n"], ["EMPTY", ""]]
    assert result.dumps[0].history_records == 0
