"""The lists that are measured, and the table."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from django.core.management import call_command

from jobs.catalog.loading import load
from jobs.catalog.searching import Question, search
from jobs.engine.ndmp import history_values as h
from jobs.engine.ndmp.history import HistoryDecoder
from jobs.engine.ndmp.history_spool import HistorySpool
from jobs.engine.ndmp.messages import FH_ADD_DIR, FH_ADD_NODE
from jobs.engine.ndmp.xdr import encode
from jobs.engine.operations.catalog.entries import Found, chain_of
from jobs.engine.operations.dump_chain import DumpChain
from tests.factories import make_subclient

ROOT: Final = 2
CONTENT: Final = b"/vol/vol1"
_FOLDER_FILES: Final = 40
_FILE: Final = h.FileStatus(0, 0, h.EntryKind.FILE, 1_700_000_000, 1, 2, 1000, 100, 0o640, 5_000, 1)
_FOLDER: Final = h.FileStatus(0, 0, h.EntryKind.DIRECTORY, 1_700_000_000, 1, 2, 1000, 100, 0o755, 512, 1)
Message = tuple[int, bytes]


def run(files: int, *, tell: Callable[[str], None]) -> None:
    """Measure each step and print it."""
    full, later = list(messages(files)), list(messages(files, every=100))
    tell(f"made {len(full):,} messages")
    call_command("migrate", verbosity=0)
    subclient = make_subclient()
    lists = []
    for name, given in (("full", full), ("incremental", later)):
        with HistorySpool() as spool, _Timed(f"spooled, {name}") as timed:
            decoder = HistoryDecoder(spool)
            for code, body in given:
                decoder.take(code, body)
            pieces: list[bytes] = []
            spool.write_to(pieces.append)
            timed.records = spool.records
        lists.append(pieces)
        tell(f"the list has {sum(map(len, pieces)) / 1e6:.1f} MB")
    for number, moment in enumerate(("full", "incremental"), 1):
        with DumpChain() as chain:
            with _Timed(f"read and put over each other, {moment}") as timed:
                for pieces in lists[:number]:
                    chain.add(pieces)
                timed.records = files
            with _Timed(f"listed, {moment}") as timed:
                timed.records = sum(1 for _ in chain.entries(CONTENT))
            with _Timed(f"where every file lies, {moment}") as timed:
                timed.records = sum(1 for _ in chain.wanted([b""]))
            with _Timed(f"one folder, {moment}") as timed:
                timed.records = sum(1 for _ in chain.wanted([b"area-0/folder-000000"]))
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
            with _Timed(f"catalogued, {moment}") as timed:
                loaded = load(subclient.pk, at, _everything(chain), is_whole=True)
                timed.records = loaded.told
            tell(f"{loaded}")
    with _Timed("searched: a whole name"):
        assert search(None, Question(text="report-00000100.txt")).results
    with _Timed("searched: a part of every name"):
        search(None, Question(text="report"))
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def messages(files: int, *, every: int = 1) -> Iterator[Message]:
    """As a file server tells them: folders of 40 files in 97 areas; of every so many folders all is in the dump."""
    folders = max(1, files // _FOLDER_FILES)
    areas: dict[int, dict[bytes, int]] = {number: {} for number in range(min(97, folders))}
    for number in range(folders):
        areas[number % len(areas)][b"folder-%06d" % number] = _folder_node(number)
    yield _directory(ROOT, {b"area-%d" % number: ROOT + 1 + number for number in areas})
    yield _nodes(_FOLDER, [ROOT])
    for number, below in areas.items():
        yield _directory(ROOT + 1 + number, below)
        yield _nodes(_FOLDER, [ROOT + 1 + number])
    for number in range(0, folders, every):
        first = number * _FOLDER_FILES
        inside = {b"report-%08d.txt" % file: _file_node(file) for file in range(first, first + _FOLDER_FILES)}
        yield _directory(_folder_node(number), inside)
        yield _nodes(_FOLDER, [_folder_node(number)])
        yield _nodes(_FILE, list(inside.values()))


def _folder_node(number: int) -> int:
    return 1_000 + number


def _file_node(number: int) -> int:
    return 10_000_000 + number


def _directory(node: int, names: dict[bytes, int]) -> Message:
    entries = [h.DirectoryEntry((h.UnixName(name),), child, node) for name, child in {b".": node, **names}.items()]
    return FH_ADD_DIR.code, encode(FH_ADD_DIR.body, h.DirectoryHistory(tuple(entries)))


def _nodes(status: h.FileStatus, nodes: list[int]) -> Message:
    entries = tuple(h.NodeEntry((status,), node, node * 512) for node in nodes)
    return FH_ADD_NODE.code, encode(FH_ADD_NODE.body, h.NodeHistory(entries))


def _everything(chain: DumpChain) -> Iterator[Found]:
    yield from chain_of([CONTENT])
    yield from chain.entries(CONTENT)


class _Timed:
    """Prints how long its block took."""

    def __init__(self, name: str) -> None:
        self.name, self.records = name, 0

    def __enter__(self) -> Self:
        self._began, self._worked = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_error: object) -> None:
        took, worked = time.perf_counter() - self._began, time.process_time() - self._worked
        rate = f"{self.records:>9,} records" if self.records else ""
        print(f"{self.name:<45} {took:8.3f} s, {worked:8.3f} s of this process {rate}", flush=True)
