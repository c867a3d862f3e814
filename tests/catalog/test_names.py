"""Every byte of a name survives the catalog's text columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.catalog.names import for_people, to_bytes, to_text


@given(st.binary().filter(lambda raw: b"\0" not in raw))
def test_any_bytes_come_back(raw: bytes) -> None:
    text = to_text(raw)
    assert to_bytes(text) == raw
    text.encode("utf-8")


@given(st.text(alphabet=st.sampled_from("a\uf77f\uf780\uf7ff\uf800é")))
def test_private_characters_of_a_real_name_are_no_escaped_bytes(name: str) -> None:
    assert to_bytes(to_text(name.encode())) == name.encode()


@given(st.lists(st.binary(max_size=6), min_size=2, max_size=2, unique=True))
def test_two_names_never_become_one(names: list[bytes]) -> None:
    assert to_text(names[0]) != to_text(names[1])


@given(
    st.text(alphabet=st.characters(exclude_characters=[chr(number) for number in range(0xF780, 0xF800)], codec="utf-8"))
)
def test_plain_text_stays_what_it_is(name: str) -> None:
    assert to_text(name.encode()) == name == for_people(name)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "caf\\xe9"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("\uf7ab".encode(), "\\xef\\x9e\\xab"),
    ],
)
def test_people_read_what_is_no_text_as_escaped_bytes(raw: bytes, shown: str) -> None:
    assert for_people(to_text(raw)) == shown
