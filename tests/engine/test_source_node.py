"""Nodes: the text that stock restic writes for the same file."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.repository.gojson import name_body, unquote
from jobs.engine.repository.tree import join_tree, parse_tree
from jobs.engine.source.listing import list_entries, open_directory, open_file
from jobs.engine.source.node import (
    attributes_of,
    content_suffix,
    link_target_suffix,
    node_prefix,
    special_suffix,
    subtree_suffix,
    with_size,
)
from jobs.engine.source.status import SourceStatus


def _status(**values: int) -> SourceStatus:
    path = os.stat("/")
    status = SourceStatus(path, (0, 77, 5, stat.S_IFREG | 0o644, 0, 0, 0))
    status.st_mtime_ns, status.st_size, status.st_nlink = 1_000_000_000, 3, 1
    for name, value in values.items():
        setattr(status, name, value)
    return status


def test_a_regular_file_has_its_fields_in_the_order_of_restic() -> None:
    text = node_prefix("a", _status()) + content_suffix(["ab" * 32])
    assert text == (
        '{"name":"a","type":"file","mode":420,"mtime":"1970-01-01T00:00:01Z","atime":"1970-01-01T00:00:01Z",'
        '"ctime":"1970-01-01T00:00:00.000000005Z","uid":0,"gid":0,"user":"root","group":"root","inode":77,'
        f'"size":3,"links":1,"content":["{"ab" * 32}"]}}'
    )


def test_what_is_zero_is_left_out_and_an_empty_file_still_has_content() -> None:
    text = node_prefix("a", _status(st_mode=stat.S_IFREG, st_size=0, st_ino=0)) + content_suffix([])
    assert '"mode"' not in text
    assert '"size"' not in text
    assert '"inode"' not in text
    assert text.endswith(',"links":1,"content":[]}')


def test_only_files_with_several_links_name_a_device() -> None:
    assert '"device_id"' not in node_prefix("a", _status(), device_id=3)
    assert '"device_id":3,' in node_prefix("a", _status(st_nlink=2), device_id=3)
    assert '"device_id"' not in node_prefix("a", _status(st_mode=stat.S_IFDIR, st_nlink=9), device_id=3)


def test_owners_without_a_name_have_only_numbers() -> None:
    text = node_prefix("a", _status(st_uid=3_999_999_999, st_gid=3_999_999_998))
    assert '"uid":3999999999,"gid":3999999998,"inode"' in text


@pytest.mark.parametrize(("before", "after"), [(3, 5), (0, 7), (3, 0), (0, 0)])
def test_a_size_that_turned_out_different_replaces_the_old_one(before: int, after: int) -> None:
    name = name_body('x","size":3,"links":1')
    changed = with_size(node_prefix(name, _status(st_size=before)), before, after)
    assert changed == node_prefix(name, _status(st_size=after))


def test_a_target_that_is_not_utf8_is_kept_raw() -> None:
    assert link_target_suffix(b"plain<") == ',"linktarget":"plain\\u003c"'
    assert link_target_suffix(b"a\xff") == ',"linktarget":"a\\ufffd","linktarget_raw":"Yf8="'


@given(st.binary(min_size=1, max_size=60).filter(lambda raw: b"/" not in raw and b"\0" not in raw))
def test_any_name_comes_back_from_the_node(raw: bytes) -> None:
    text = node_prefix(name_body(os.fsdecode(raw)), _status()) + content_suffix([])
    assert unquote(orjson.loads(text)["name"]) == raw
    if raw not in {b".", b".."}:
        assert parse_tree(join_tree([text]))[0].name == raw


@given(st.integers(min_value=-(2**62), max_value=2**70))
def test_any_time_is_one_that_restic_reads(ns: int) -> None:
    node = orjson.loads(node_prefix("a", _status(st_mtime_ns=ns)) + content_suffix([]))
    assert 0 <= int(node["mtime"][:4]) <= 9999


def test_links_devices_and_fifos_are_described(tmp_path: Path) -> None:
    os.symlink("over there", tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    fd = open_directory(str(tmp_path))
    try:
        for name, kind in (("link", "symlink"), ("pipe", "fifo")):
            status = os.lstat(tmp_path / name)
            node = orjson.loads(node_prefix(name, status) + special_suffix(status, name, fd))
            assert node["type"] == kind
            assert node["content"] is None
        assert node.get("links") is None
    finally:
        os.close(fd)


def test_attributes_are_in_the_node(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    os.setxattr(file, "user.a", b"\0\xff")
    text = attributes_of(str(file))
    assert text == ',"extended_attributes":[{"name":"user.a","value":"AP8="}]'
    assert attributes_of(str(tmp_path / "missing")) == ""


def test_a_directory_has_a_subtree_and_no_size() -> None:
    node = orjson.loads(node_prefix("d", _status(st_mode=stat.S_IFDIR | 0o1755)) + subtree_suffix(bytes(32)))
    assert node["mode"] == 1 << 31 | 1 << 20 | 0o755
    assert node["subtree"] == "00" * 32
    assert "size" not in node
    assert "links" not in node


def test_entries_are_sorted_by_raw_bytes_and_sockets_left_out(tmp_path: Path) -> None:
    names = [b"b", b"B", "é".encode(), b"\xff", b"a", "\U0001f600".encode(), "\uff5e".encode()]
    for name in names:
        open(os.path.join(os.fsencode(tmp_path), name), "wb").close()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        fd = open_directory(str(tmp_path))
        try:
            entries, sockets = list_entries(fd)
        finally:
            os.close(fd)
    assert [os.fsencode(name) for name, _ in entries] == sorted(names)
    assert sockets == 1


def test_a_directory_deeper_than_the_longest_path_can_be_opened(tmp_path: Path) -> None:
    path, fd = str(tmp_path), os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("x" * 200, dir_fd=fd)
        below = os.open("x" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd, path = below, f"{path}/{'x' * 200}"
    deep = open_directory(path)
    assert os.fstat(deep).st_ino == os.fstat(fd).st_ino
    os.close(deep)
    os.close(fd)


def test_a_link_in_place_of_a_directory_or_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(OSError, match="link"):
        open_directory(str(tmp_path / "link"))
    with pytest.raises(OSError, match="link"):
        open_file(str(tmp_path / "link"), None)


def test_a_fifo_in_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.close(open_file(str(tmp_path / "pipe"), None))
