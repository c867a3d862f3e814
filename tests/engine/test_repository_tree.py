"""Trees: splitting without parsing, parsing with every check."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.errors import RepositoryDamaged
from jobs.engine.ids import BlobId
from jobs.engine.repository.gojson import json_body, quote
from jobs.engine.repository.tree import (
    EMPTY_TREE,
    NodeKind,
    join_tree,
    node_content,
    node_subtree,
    parse_tree,
    replace_subtree,
    split_tree,
)

from .repositories import directory_node, file_node

BLOBS = st.binary(min_size=32, max_size=32).map(BlobId)
NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda raw: b"/" not in raw and b"\0" not in raw and raw not in {b".", b".."}
)


@given(files=st.dictionaries(NAMES, st.lists(BLOBS, max_size=3), max_size=8), subtree=BLOBS)
def test_a_tree_splits_into_what_it_was_joined_from(files: dict[bytes, list[BlobId]], subtree: BlobId) -> None:
    bodies = [json_body(quote(name)) for name in sorted(files)]
    nodes = [file_node(body, files[name], 5) for body, name in zip(bodies, sorted(files), strict=True)]
    if bodies:
        nodes[0] = directory_node(bodies[0], subtree)
    raw = join_tree(nodes)
    assert split_tree(raw) == list(zip(bodies, nodes, strict=True))
    parsed = parse_tree(raw)
    assert [node.name for node in parsed] == sorted(files)
    for number, (node, text) in enumerate(zip(parsed, nodes, strict=True)):
        assert node_subtree(text) == node.subtree == (None if number else subtree)
        assert node_content(text) == list(node.content)


@given(old=BLOBS, new=BLOBS)
def test_a_subtree_is_replaced_in_place(old: BlobId, new: BlobId) -> None:
    assert replace_subtree(directory_node("d", old), new) == directory_node("d", new)


def test_a_file_has_no_subtree_to_replace() -> None:
    with pytest.raises(ValueError, match="no subtree"):
        replace_subtree(file_node("f", [], 0), BlobId(bytes(32)))


def test_the_empty_tree() -> None:
    assert EMPTY_TREE == b'{"nodes":[]}\n'
    assert split_tree(EMPTY_TREE) == []
    assert parse_tree(EMPTY_TREE) == []
    assert parse_tree(b'{"nodes":null}') == []


def test_a_tree_that_another_writer_spaced_differently_is_split_all_the_same() -> None:
    node = json.loads(file_node("a<b", [BlobId(bytes(32))], 5))
    spaced = json.dumps({"nodes": [dict(reversed(node.items()))]}, indent=1).encode()
    ((body, text),) = split_tree(spaced)
    assert body == "a\\u003cb"
    assert parse_tree(join_tree([text])) == parse_tree(spaced)


def test_attributes_links_and_every_kind_are_read() -> None:
    times = (
        '"mtime":"2024-05-06T07:08:09Z","atime":"2024-05-06T07:08:09+02:00","ctime":"2024-05-06T07:08:09.000000001Z"'
    )
    raw = join_tree(
        [
            f'{{"name":"b","type":"dev","mode":67109248,{times},"uid":1,"gid":2,"user":"u","group":"g","device":2049,"content":null}}',
            f'{{"name":"l","type":"symlink","mode":134218239,{times},"uid":0,"gid":0,"linktarget":"a\\ufffd","linktarget_raw":"Yf8=","content":null}}',
            f'{{"name":"x","type":"fifo",{times},"uid":0,"gid":0,"extended_attributes":[{{"name":"user.a","value":"AAE="}},{{"name":"user.b","value":null}}],"content":null}}',
        ]
    )
    device, link, fifo = parse_tree(raw)
    assert (device.kind, device.device, device.user, device.group) == (NodeKind.BLOCK_DEVICE, 2049, "u", "g")
    assert device.mtime_ns - device.atime_ns == 7200 * 10**9
    assert device.ctime_ns - device.mtime_ns == 1
    assert link.link_target == b"a\xff"
    assert fifo.attributes == ((b"user.a", b"\0\1"), (b"user.b", b""))
    assert fifo.permissions == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", ".."),
        ("name", "."),
        ("name", "a/b"),
        ("name", "\\x00"),
        ("name", "\\q"),
        ("name", 5),
        ("type", "soup"),
        ("type", None),
        ("mtime", "yesterday"),
        ("mtime", 5),
        ("uid", -1),
        ("uid", "0"),
        ("size", 1.5),
        ("mode", True),
        ("content", "ab"),
        ("content", ["ab"]),
        ("content", [7]),
        ("subtree", "ab"),
        ("user", 5),
        ("extended_attributes", [{"name": "a"}]),
        ("extended_attributes", [{"name": "a", "value": "%"}]),
        ("extended_attributes", 7),
    ],
)
def test_a_malformed_node_is_damage_and_never_a_traceback(field: str, value: object) -> None:
    node = json.loads(file_node("f", [], 0)) | {field: value}
    with pytest.raises(RepositoryDamaged) as caught:
        parse_tree(json.dumps({"nodes": [node]}).encode(), name="tree ab")
    assert caught.value.name == "tree ab"


def test_a_directory_without_subtree_and_a_name_twice_are_damage() -> None:
    node = json.loads(file_node("f", [], 0))
    with pytest.raises(RepositoryDamaged, match="subtree"):
        parse_tree(json.dumps({"nodes": [node | {"type": "dir"}]}).encode())
    with pytest.raises(RepositoryDamaged, match="twice"):
        parse_tree(json.dumps({"nodes": [node, node]}).encode())


@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_noise_is_damage(raw: bytes) -> None:
    for read in (parse_tree, split_tree):
        with pytest.raises(RepositoryDamaged):
            read(raw)


@given(data=st.data())
def test_a_changed_byte_is_damage_or_another_valid_tree(data: st.DataObject) -> None:
    raw = bytearray(join_tree([directory_node("d", BlobId(bytes(32))), file_node("f", [BlobId(bytes(32))], 9)]))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    for read in (parse_tree, split_tree):
        try:
            read(bytes(raw))
        except RepositoryDamaged:
            continue
