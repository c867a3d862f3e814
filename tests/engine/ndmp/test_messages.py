"""What goes over the wire comes back the same, and nothing that arrives can do more than be refused."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.engine.errors import AnswerUnreadable
from jobs.engine.ndmp import messages, xdr
from jobs.engine.ndmp.messages import CALLS, POSTS, Call, Header, MessageKind
from jobs.engine.ndmp.records import LONGEST_RECORD, RecordReader, framed
from jobs.engine.ndmp.values import DataOperation, DataState, HaltReason, LocalAddress, Pair, TextAuth
from jobs.engine.ndmp.xdr import Codec, Cursor

few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    xdr.WORD: st.integers(0, 2**32 - 1),
    xdr.SHORT: st.integers(0, 2**16 - 1),
    xdr.QUAD: st.integers(0, 2**64 - 1),
    xdr.OPAQUE: st.binary(max_size=9),
    xdr.TEXT: st.binary(max_size=9).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
}


def any_value(codec: Codec[Any]) -> st.SearchStrategy[Any]:
    """Every value that a codec can hold, found out from the table itself."""
    if codec in SIMPLE:
        return SIMPLE[codec]
    if isinstance(codec, xdr.Struct):
        return st.builds(codec.kind, **{name: any_value(field) for name, field in codec.fields.items()})
    if isinstance(codec, xdr.ListOf):
        return st.lists(any_value(codec.item), max_size=2).map(tuple)
    if isinstance(codec, xdr.UnionOf):
        return st.one_of([any_value(arm) for arm in codec.arms.values()])
    if isinstance(codec, xdr.EnumOf):
        return st.sampled_from(codec.kind)
    assert isinstance(codec, xdr.Fixed)
    return st.binary(min_size=codec.count, max_size=codec.count)


BODIES: dict[str, Codec[Any]] = {
    **{f"{call.name} request": call.request for call in CALLS.values()},
    **{f"{call.name} reply": call.reply for call in CALLS.values()},
    **{post.name: post.body for post in POSTS.values()},
    "header": messages.HEADER,
}


@pytest.mark.parametrize("name", BODIES)
def test_every_message_comes_back_as_it_was_sent(name: str) -> None:
    codec = BODIES[name]

    @few
    @given(any_value(codec))
    def check(value: Any) -> None:
        data = xdr.encode(codec, value)
        assert len(data) % 4 == 0
        assert len(data) >= codec.smallest
        assert xdr.decode(codec, data) == value

    check()


@pytest.mark.parametrize("name", BODIES)
def test_a_message_that_is_cut_off_is_refused(name: str) -> None:
    codec = BODIES[name]

    @settings(few, max_examples=4)
    @given(any_value(codec), st.data())
    def check(value: Any, data: st.DataObject) -> None:
        whole = xdr.encode(codec, value)
        if whole:
            with pytest.raises(AnswerUnreadable):
                xdr.decode(codec, whole[: data.draw(st.integers(0, len(whole) - 1))])

    check()


@settings(few, max_examples=60)
@given(st.sampled_from(sorted(BODIES)), st.binary(max_size=120))
def test_garbage_is_read_or_refused_and_nothing_else(name: str, garbage: bytes) -> None:
    with contextlib.suppress(AnswerUnreadable):
        xdr.decode(BODIES[name], garbage)


@pytest.mark.parametrize("call", CALLS.values(), ids=lambda call: call.name)
def test_an_error_needs_no_more_body(call: Call[Any, Any]) -> None:
    assert call.decode_reply(call.encode_reply(9, None)) == (9, None)


def test_the_state_has_its_word_before_the_error() -> None:
    status = messages.DataStatus(
        unsupported=3,
        operation=DataOperation.BACKUP,
        state=DataState.ACTIVE,
        halt_reason=HaltReason.NOT_HALTED,
        bytes_processed=2**40,
        bytes_remaining=0,
        seconds_remaining=0,
        address=LocalAddress(),
        read_offset=0,
        read_length=0,
    )
    body = messages.DATA_GET_STATE.encode_reply(0, status)
    assert body[:8] == bytes.fromhex("0000000300000000")
    assert messages.DATA_GET_STATE.decode_reply(body) == (0, status)


def test_known_bytes_of_a_request() -> None:
    """Written out by hand: a text of five bytes is filled up to eight, its length stays five."""
    request = messages.StartBackup("dump", (Pair("LEVEL", "0"),))
    assert xdr.encode(messages.DATA_START_BACKUP.request, request) == (
        b"\0\0\0\4dump" + b"\0\0\0\1" + b"\0\0\0\5LEVEL\0\0\0" + b"\0\0\0\1" + b"0\0\0\0"
    )


def test_a_count_that_the_bytes_cannot_hold_is_refused_before_anything_is_made() -> None:
    with pytest.raises(AnswerUnreadable, match="4294967295 items"):
        xdr.decode(messages.POSTS[0x703].body, b"\xff\xff\xff\xff" + bytes(64))
    with pytest.raises(AnswerUnreadable, match="announced a text of 4294967295 bytes"):
        xdr.decode(xdr.TEXT, b"\xff\xff\xff\xff" + bytes(64))


@pytest.mark.parametrize(
    ("codec", "value"),
    [(xdr.SHORT, 65536), (xdr.WORD, -1), (xdr.QUAD, 2**64), (xdr.Fixed(16), b"short"), (xdr.OPAQUE, bytes(2**24 + 1))],
)
def test_a_value_that_does_not_fit_is_not_sent(codec: Codec[Any], value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        xdr.encode(codec, value)


def test_a_number_beyond_its_type_is_refused() -> None:
    with pytest.raises(AnswerUnreadable, match="65536"):
        xdr.decode(xdr.SHORT, xdr.encode(xdr.WORD, 65536))


def test_no_password_is_shown() -> None:
    assert "hunter2" not in repr(messages.ClientAuthRequest(TextAuth("ndmp", "hunter2")))


def test_every_value_on_the_wire_is_frozen() -> None:
    for codec in BODIES.values():
        assert isinstance(codec, xdr.Struct)
        assert dataclasses.fields(codec.kind) is not None
        assert codec.kind.__dataclass_params__.frozen


@few
@given(st.lists(st.binary(max_size=40), max_size=4), st.integers(1, 7))
def test_records_come_out_whole_however_the_stream_is_cut(records: list[bytes], cut: int) -> None:
    stream = b"".join(map(framed, records))
    reader, found = RecordReader(), []
    for at in range(0, len(stream), cut):
        found += reader.feed(stream[at : at + cut])
    assert found == records
    assert reader.is_between_records


def test_a_record_in_fragments_is_put_together() -> None:
    reader = RecordReader()
    assert reader.feed(b"\0\0\0\2ab" + b"\0\0\0\0" + b"\x80\0\0\1c") == [b"abc"]


@pytest.mark.parametrize("split", [lambda length: (length,), lambda length: (length // 2, length - length // 2)])
def test_an_oversize_record_is_refused_when_it_is_announced(split: Callable[[int], tuple[int, ...]]) -> None:
    reader = RecordReader()
    *first, last = split(LONGEST_RECORD + 4)
    for length in first:
        reader.feed(length.to_bytes(4, "big") + bytes(length))
    with pytest.raises(AnswerUnreadable, match="more than 16777216"):
        reader.feed((last | 1 << 31).to_bytes(4, "big"))


def test_header_and_body_are_told_apart() -> None:
    header = Header(7, 0, MessageKind.REPLY, 0x900, 3, 0)
    assert messages.split(messages.message(header, b"body")) == (header, b"body")
    assert Cursor(messages.message(header, b"")).left == 24
