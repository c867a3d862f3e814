"""File history by the million: the fast walk reads what the declared shapes say, and the tree of it is sound."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.engine.errors import AnswerUnreadable
from jobs.engine.ndmp import history_values as h
from jobs.engine.ndmp.history import (
    DirectoryRecord,
    FileRecord,
    HistoryDecoder,
    NodeRecord,
    Status,
    read_directories,
    read_files,
    read_nodes,
)
from jobs.engine.ndmp.history_tree import Entry, HistoryTree
from jobs.engine.ndmp.history_values import EntryKind
from jobs.engine.ndmp.messages import FH_ADD_DIR, FH_ADD_FILE, FH_ADD_NODE
from jobs.engine.ndmp.values import UNKNOWN, UNKNOWN_WORD
from jobs.engine.ndmp.xdr import encode

from .test_messages import any_value

few = settings(max_examples=15, deadline=None)
PLAIN = Status(0, 0, EntryKind.FILE, 100, 200, 300, 1000, 100, 0o640, 4096, 1)


def best_name(names: tuple[h.FileName, ...]) -> bytes:
    for kind in (h.UnixName, h.NtName, h.OtherName):
        for name in names:
            if isinstance(name, kind):
                return name.name
    raise AssertionError(names)


def best_status(statuses: tuple[h.FileStatus, ...]) -> tuple[Any, ...] | None:
    found = min(statuses, key=lambda status: status.name_kind, default=None)
    return None if found is None else tuple(getattr(found, name) for name in h.FileStatus.__slots__)


@few
@given(any_value(FH_ADD_FILE.body))
def test_the_fast_walk_reads_files_like_the_declaration(value: h.FileHistory) -> None:
    body = encode(FH_ADD_FILE.body, value)
    if not all(entry.names for entry in value.entries):
        with pytest.raises(AnswerUnreadable, match="with 0 names"):
            read_files(body)
        return
    wanted = [(best_name(e.names), best_status(e.statuses), e.node, e.fh_info) for e in value.entries]
    assert read_files(body) == wanted


@few
@given(any_value(FH_ADD_DIR.body))
def test_the_fast_walk_reads_directories_like_the_declaration(value: h.DirectoryHistory) -> None:
    body = encode(FH_ADD_DIR.body, value)
    if not all(entry.names for entry in value.entries):
        with pytest.raises(AnswerUnreadable, match="with 0 names"):
            read_directories(body)
        return
    assert read_directories(body) == [(best_name(e.names), e.node, e.parent) for e in value.entries]


@few
@given(any_value(FH_ADD_NODE.body))
def test_the_fast_walk_reads_nodes_like_the_declaration(value: h.NodeHistory) -> None:
    body = encode(FH_ADD_NODE.body, value)
    assert read_nodes(body) == [(best_status(e.statuses), e.node, e.fh_info) for e in value.entries]


@few
@given(st.sampled_from([read_files, read_directories, read_nodes]), st.binary(max_size=200), st.integers(0, 3))
def test_garbage_is_read_or_refused_and_nothing_else(read: Any, garbage: bytes, count: int) -> None:
    try:
        assert len(read(count.to_bytes(4, "big") + garbage)) == count
    except AnswerUnreadable:
        return


@pytest.mark.parametrize("end", range(4, 60, 4))
def test_history_that_is_cut_off_is_refused(end: int) -> None:
    body = encode(FH_ADD_DIR.body, h.DirectoryHistory((h.DirectoryEntry((h.UnixName(b"name.txt"),), 7, 2),) * 2))
    assert len(body) > end
    with pytest.raises(AnswerUnreadable):
        read_directories(body[:end])


def test_counts_that_cannot_be_are_refused_at_once() -> None:
    with pytest.raises(AnswerUnreadable, match="4294967295 history entries"):
        read_nodes(b"\xff" * 64)
    with pytest.raises(AnswerUnreadable, match="statuses"):
        read_nodes(b"\0\0\0\1" + b"\xff" * 64)


def tree_of(directories: list[DirectoryRecord], nodes: list[NodeRecord]) -> HistoryTree:
    tree = HistoryTree()
    tree.directories(directories)
    tree.nodes(nodes)
    return tree


def dots(node: int, parent: int) -> list[DirectoryRecord]:
    return [DirectoryRecord(b".", node, node), DirectoryRecord(b"..", parent, node)]


def node(number: int, kind: EntryKind = EntryKind.FILE, fh_info: int = 0) -> NodeRecord:
    return NodeRecord(PLAIN._replace(kind=kind), number, fh_info)


def test_a_tree_of_inodes_becomes_paths_folders_first() -> None:
    tree = tree_of(
        [
            *dots(64, 64),
            DirectoryRecord(b"docs", 65, 64),
            DirectoryRecord(b"a", 70, 64),
            *dots(65, 64),
            DirectoryRecord(b"b\xff", 71, 65),
            DirectoryRecord(b"hard link", 70, 65),
            DirectoryRecord(b"old", 90, 65),
        ],
        [node(64, EntryKind.DIRECTORY), node(65, EntryKind.DIRECTORY), node(70, fh_info=512), node(71, fh_info=4096)],
    )
    found = {entry.path: entry for entry in tree.entries()}
    assert list(found) == [b"", b"docs", b"a", b"docs/b\xff", b"docs/hard link", b"docs/old"]
    assert found[b"a"].fh_info == found[b"docs/hard link"].fh_info == 512
    assert found[b"docs"].kind is EntryKind.DIRECTORY
    assert found[b"a"].attributes == 0o640
    # An incremental names what is there without copying it.
    assert found[b"docs/old"] == Entry(path=b"docs/old", kind=None, is_in_copy=False, node=90, fh_info=None)


def test_the_root_is_found_when_it_does_not_name_itself() -> None:
    assert [e.path for e in tree_of([DirectoryRecord(b"a", 7, 2)], [node(7), node(2)]).entries()] == [b"", b"a"]
    assert [e.path for e in tree_of([], [node(2, EntryKind.DIRECTORY)]).entries()] == [b""]
    assert list(HistoryTree().entries()) == []


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([*dots(2, 2), DirectoryRecord(b"a", 3, 2), DirectoryRecord(b"b", 2, 3)], "loops: the folder “a/b”"),
        ([*dots(2, 2), DirectoryRecord(b"a", 2, 2)], "loops: the folder “a”"),
        (
            [
                *dots(2, 2),
                DirectoryRecord(b"a", 3, 2),
                DirectoryRecord(b"b", 3, 2),
                DirectoryRecord(b"c", 4, 3),
            ],
            "was met before",
        ),
        ([*dots(2, 2), DirectoryRecord(b"x", 9, 8), DirectoryRecord(b"y", 8, 9)], "2 folders that nothing leads to"),
        ([DirectoryRecord(b"x", 9, 8), DirectoryRecord(b"y", 8, 9)], "0 roots"),
        ([*dots(2, 2), DirectoryRecord(b"a/b", 3, 2)], "impossible name “a/b”"),
        ([*dots(2, 2), DirectoryRecord(b"", 3, 2)], "impossible name “”"),
        ([*dots(2, 2), DirectoryRecord(b"a\0b", 3, 2)], "impossible name"),
    ],
)
def test_a_history_that_is_no_tree_is_refused(records: list[DirectoryRecord], words: str) -> None:
    with pytest.raises(AnswerUnreadable, match=words):
        list(tree_of(records, []).entries())


def test_whole_paths_are_taken_as_they_are_and_cleaned() -> None:
    tree = HistoryTree()
    tree.files([FileRecord(b"./a//b/", PLAIN, 7, 512), FileRecord(b"/", None, UNKNOWN, UNKNOWN)])
    tree.files([FileRecord(b"a/b", PLAIN._replace(size_bytes=1), 7, 512)])
    found = list(tree.entries())
    assert [(entry.path, entry.size_bytes) for entry in found] == [(b"a/b", 1), (b"", None)]
    for odd in (b"../etc/passwd", b"a/../../b", b"a\0b"):
        tree = HistoryTree()
        tree.files([FileRecord(odd, PLAIN, 7, 512)])
        with pytest.raises(AnswerUnreadable, match="impossible path"):
            list(tree.entries())


def test_what_a_file_server_does_not_know_is_none() -> None:
    tree = HistoryTree()
    ones = Status._make([7, 0, 99, *[UNKNOWN_WORD] * 6, UNKNOWN, UNKNOWN_WORD])
    tree.files([FileRecord(b"a", ones, UNKNOWN, UNKNOWN)])
    (entry,) = tree.entries()
    assert entry == Entry(path=b"a", kind=EntryKind.OTHER, is_in_copy=True, node=None, fh_info=None)


def test_a_deep_tree_needs_no_deep_stack() -> None:
    records = [*dots(0, 0), *(DirectoryRecord(b"d", number + 1, number) for number in range(3000))]
    random.Random(5).shuffle(records)
    assert max(len(entry.path) for entry in tree_of(records, []).entries()) == 3000 * 2 - 1


def test_the_decoder_hands_over_each_kind_and_counts() -> None:
    tree = HistoryTree()
    decoder = HistoryDecoder(tree)
    decoder.take(
        FH_ADD_FILE.code, encode(FH_ADD_FILE.body, h.FileHistory((h.FileEntry((h.UnixName(b"f"),), (), 1, 2),)))
    )
    decoder.take(0x777, b"")
    assert decoder.records == 1
    assert [entry.path for entry in tree.entries()] == [b"f"]
