"""What a restore of dumps refuses, what it tells, and how it ends: against a scripted file server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from jobs.engine.clock import SystemClock
from jobs.engine.errors import EngineError, EngineUnsupported, HistoryUnusable, Killed, NotInCopy
from jobs.engine.events import FreeRun
from jobs.engine.ids import FileId
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.login import Server
from jobs.engine.ndmp.profiles import GENERIC
from jobs.engine.ndmp.values import Pair
from jobs.engine.operations import undump
from jobs.engine.operations.dump_chain import Wanted
from jobs.engine.operations.undump import UndumpPlan
from jobs.engine.operations.undumping.names import Limit, Places, in_order, pieces
from jobs.engine.plan import RestoreResult, Secret, StoredPath

from .copying import Copier, Recorder, StopWhen
from .dumps import keep
from .ndmp.clients import PATIENT
from .ndmp.filer import HOME, PASSWORD, Filer, Script, filer
from .repositories import PASSWORD as REPOSITORY_PASSWORD
from .repositories import disk_at

VOLUME = StoredPath(b"/vol/vol1")
IMAGE = os.urandom(100_000)
HISTORY = [
    {"v": 1, "form": "nodes", "root": 2},
    ["d", 2, 2, "."],
    ["d", 2, 3, "docs"],
    ["d", 2, 4, "one"],
    ["d", 3, 3, "."],
    ["d", 3, 5, "two"],
    ["n", 2, "d", 493, 0, 0, 0, 0, 0],
    ["n", 3, "d", 493, 0, 0, 0, 0, 512],
    ["n", 4, "f", 420, 0, 0, 100, 0, 1024],
    ["n", 5, "f", 420, 0, 0, 200, 0, 2048],
]
FULL = "".join(json.dumps(line) + "\n" for line in HISTORY)


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    return Copier(tmp_path)


def run(
    server: Filer, copier: Copier, files: list[FileId], *paths: bytes, control: Any = None, **more: Any
) -> tuple[RestoreResult, Recorder]:
    sink = Recorder()
    plan = UndumpPlan(
        snapshot_files=tuple(files),
        content=(VOLUME,),
        server=Server(host=HOME, port=server.port, password=Secret(PASSWORD)),
        profile=GENERIC,
        waits=PATIENT,
        paths=tuple(map(StoredPath, paths)),
        **more,
    )
    media = disk_at(copier.path)
    done = undump.run(plan, media, REPOSITORY_PASSWORD, sink, control or FreeRun(), SystemClock())
    return done, sink


def test_files_that_the_file_server_could_not_write_are_told_by_their_paths(copier: Copier) -> None:
    results = [m.LogFile("/restored/docs/two", 1), m.LogFile("one", 2)]
    with filer(Script(file_results=results, reads=[m.DataRead(1024, 100)])) as server:
        files = [keep(copier, VOLUME, image=IMAGE, history=FULL, environment=[Pair("ACL_START", "7")])]
        where = {"target": b"/restored", "strip_prefix": VOLUME}
        result, sink = run(server, copier, files, b"/vol/vol1/docs", b"/vol/vol1/one", **where)
        first, _folders = [one for one in server.requests if isinstance(one, m.StartRecover)]
    assert result.counters.exceptions == 4
    assert sink.failed == {b"/vol/vol1/docs/two": "file-not-recovered", b"/vol/vol1/one": "file-not-recovered"}
    assert {Pair("ACL_START", "7"), Pair("DIRECT", "y"), Pair("RECURSIVE", "n")} <= set(first.environment)
    assert [(name.original_path, name.destination_path, name.fh_info) for name in first.names] == [
        (b"one", b"/restored/one", 1024),
        (b"docs/two", b"/restored/docs/two", 2048),
    ]


@pytest.mark.parametrize(
    ("change", "paths", "kind", "words"),
    [
        ({"profile": "ontap"}, [], EngineUnsupported, "made by “NetApp ONTAP”; this file server is “Any NDMP"),
        ({"kind": "smtape"}, [], EngineUnsupported, "does not know images of the type “smtape”, only dump"),
        ({"history": None}, [b"/vol/vol1/one"], HistoryUnusable, "only whole volumes"),
        ({"level": 1}, [], NotInCopy, "make no chain: their levels are 1"),
        ({}, [b"/vol/vol1/docs/none"], NotInCopy, "docs/none” was not there"),
        ({}, [b"/vol/vol2/one"], NotInCopy, "/vol/vol2/one” is not in"),
    ],
    ids=["kind of server", "type", "no history", "no full", "no such file", "no such volume"],
)
def test_what_cannot_be_given_back_is_refused_before_the_file_server_is_asked_for_it(
    copier: Copier, change: dict[str, Any], paths: list[bytes], kind: type[EngineError], words: str
) -> None:
    with filer(Script()) as server:
        files = [keep(copier, VOLUME, **{"image": IMAGE, "history": FULL, **change})]
        with pytest.raises(kind, match=words):
            run(server, copier, files, *paths)
        assert "DATA_START_RECOVER" not in server.asked
    assert list(copier.path.glob("locks/*")) == []


def test_a_kill_aborts_it_at_the_file_server_and_leaves_no_lock(copier: Copier) -> None:
    with filer(Script(hangs_after=0)) as server:
        files = [keep(copier, VOLUME, image=IMAGE, history=None)]
        with pytest.raises(Killed):
            run(server, copier, files, control=StopWhen(server.reached.is_set))
        assert {"DATA_ABORT", "DATA_STOP"} <= set(server.asked)
    assert list(copier.path.glob("locks/*")) == []


def a_file(path: str, node: int, **more: Any) -> Wanted:
    given = {"path": path.encode(), "original": path.encode(), "kind": "f", "fh_info": node * 512, "size": 1, **more}
    return Wanted(dump=0, node=node, **given)


@pytest.mark.parametrize("limit", [Limit(names=3, bytes=10_000), Limit(names=100, bytes=130)], ids=["names", "bytes"])
def test_names_come_in_pieces_and_those_of_one_file_stay_together(limit: Limit) -> None:
    wanted = [a_file("b", 2), a_file("second name of a", 1), a_file("a", 1), *(a_file(f"{n}", n) for n in range(3, 8))]
    (ordered,) = in_order(wanted, is_direct=True)
    found = [
        [entry.path for entry in piece.wanted]
        for piece in pieces(ordered, content=VOLUME, places=Places(), limit=limit)
    ]
    assert found[0][:2] == [b"a", b"second name of a"]
    assert sorted(path for piece in found for path in piece) == sorted(entry.path for entry in wanted)
    assert len(found) >= 3


def test_folders_come_after_what_is_in_them_but_empty_ones_with_the_files() -> None:
    wanted = [a_file("d", 1, kind="d"), a_file("d/f", 2), a_file("d/empty", 3, kind="d")]
    rounds = [[entry.path for entry in one] for one in in_order(wanted, is_direct=True)]
    assert rounds == [[b"d/f", b"d/empty"], [b"d"]]
    assert len(list(in_order(wanted, is_direct=False))) == 1


@pytest.mark.parametrize(
    ("places", "there"),
    [
        (Places(), b"/vol/vol1/a"),
        (Places(target=b"/vol/new"), b"/vol/new/vol/vol1/a"),
        (Places(target=b"/vol/new", strip_prefix=b"/vol/vol1"), b"/vol/new/a"),
        (Places(target=b"/", strip_prefix=b"/vol"), b"/vol1/a"),
    ],
    ids=["in place", "elsewhere", "without the volume", "at the top"],
)
def test_where_a_path_goes(places: Places, there: bytes) -> None:
    assert places.of(b"/vol/vol1/a") == there
