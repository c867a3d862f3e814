r"""Text as Go writes it: quoting, JSON, times and modes."""

from __future__ import annotations

import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.repository.gojson import (
    go_mode,
    go_time,
    json_body,
    json_body_of_bytes,
    name_body,
    parse_go_time,
    quote,
    unix_permissions,
    unquote,
)


@given(raw=st.binary(max_size=60))
def test_any_bytes_survive_quoting(raw: bytes) -> None:
    assert unquote(quote(raw)) == raw


@given(raw=st.binary(min_size=1, max_size=60))
def test_any_name_survives_the_way_into_json_and_back(raw: bytes) -> None:
    body = name_body(os.fsdecode(raw))
    assert unquote(json.loads(f'"{body}"')) == raw
    assert not set("<>&\u2028\u2029") & set(body)


@given(text=st.text(max_size=60))
def test_json_strings_read_back(text: str) -> None:
    assert json.loads(f'"{json_body(text)}"') == text
    assert json.loads(f'"{json_body_of_bytes(text.encode())}"') == text


@pytest.mark.parametrize(
    ("raw", "quoted"),
    [
        (b"plain name.txt", "plain name.txt"),
        (b'a"b\\c', 'a\\"b\\\\c'),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"\x00\x01\x7f", "\\x00\\x01\\x7f"),
        (b"\a\b\t\n\v\f\r", "\\a\\b\\t\\n\\v\\f\\r"),
        ("ä€😀".encode(), "ä€😀"),
        ("\u00a0\u200b\u2028\ufeff".encode(), "\\u00a0\\u200b\\u2028\\ufeff"),
        ("\U000e0001".encode(), "\\U000e0001"),
        ("\ufffd".encode(), "\ufffd"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
    ],
)
def test_quoting_is_that_of_strconv(raw: bytes, quoted: str) -> None:
    assert quote(raw) == quoted


@pytest.mark.parametrize("text", ["\\", "\\q", "\\x1", "\\u12", "\\400", '"', "a\nb", "\\Uffffffff", "\\ud800"])
def test_what_strconv_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"name|surrogates"):
        unquote(text)


@given(ns=st.integers(-62_167_219_200_000_000_000, 253_402_300_799_999_999_999))
def test_times_survive(ns: int) -> None:
    text = go_time(ns)
    assert parse_go_time(text) == ns
    assert not text.rstrip("Z").endswith("0") or "." not in text


def test_times_beyond_the_calendar_are_clamped() -> None:
    assert go_time(10**30).startswith("9999-12-31T23:59:59")
    assert go_time(-(10**30)).startswith("0000-01-01T00:00:00")


def test_times_with_an_offset_are_read() -> None:
    assert parse_go_time("2015-01-02T18:10:13.48307196+01:00") == 1_420_218_613_483_071_960
    assert parse_go_time("1970-01-01T00:00:00-00:30") == 1_800 * 10**9


@given(text=st.text(max_size=30))
def test_what_is_no_time_is_refused(text: str) -> None:
    try:
        parse_go_time(text)
    except ValueError:
        return
    assert text[4] == text[7] == "-"


@given(
    permissions=st.integers(0, 0o7777), kind=st.sampled_from([stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR])
)
def test_modes_survive(permissions: int, kind: int) -> None:
    assert unix_permissions(go_mode(kind | permissions)) == permissions


def test_modes_are_those_of_go() -> None:
    assert go_mode(stat.S_IFDIR | 0o755) == 2147484141
    assert go_mode(stat.S_IFLNK | 0o777) == 134218239
    assert go_mode(stat.S_IFREG | stat.S_ISUID | 0o4755) == 1 << 23 | 0o755
