"""Options of drivers: what a form learns about them, and what is refused."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.errors import InvalidOptions
from jobs.engine.media.registry import MEDIA
from jobs.engine.options import FieldType, dump_options, field_specs, option_problems, parse_bytes, parse_options
from jobs.engine.plan import Secret


class Style(StrEnum):
    PATH = "path"
    VIRTUAL = "virtual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    place: Path = field(metadata={"label": "Place", "help": "Where."})
    key: Secret = field(metadata={"label": "Key"})
    token: Secret | None = None
    region: str | None = None
    endpoint: str = "https://example.org"
    tries: int = field(default=3, metadata={"minimum": 1, "maximum": 9})
    reserve: int = field(default=0, metadata={"unit": "bytes", "minimum": 0})
    style: Style = field(default=Style.PATH, metadata={"choice_labels": {"path": "Path style"}})
    verify: bool = True
    areas: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.tries > 5 and not self.verify:
            raise InvalidOptions("That many tries need verification.", field="tries")


KEY = {"key": Secret("s3cret")}


def test_a_form_learns_everything_about_each_field() -> None:
    specs = {spec.name: spec for spec in field_specs(Sample)}
    assert [spec.type for spec in specs.values()] == [
        FieldType.PATH, FieldType.SECRET, FieldType.SECRET, FieldType.TEXT, FieldType.TEXT,
        FieldType.INTEGER, FieldType.BYTES, FieldType.CHOICE, FieldType.BOOLEAN, FieldType.LINES,
    ]  # fmt: skip
    assert {name for name, spec in specs.items() if spec.required} == {"place", "key"}
    assert specs["place"].label == "Place"
    assert specs["verify"].label == "Verify"
    assert specs["style"].choices == (("path", "Path style"), ("virtual", "virtual"))
    assert specs["style"].default == "path"
    assert (specs["tries"].minimum, specs["tries"].maximum, specs["tries"].default) == (1, 9, 3)
    assert specs["key"].secret
    assert specs["key"].default is None
    assert specs["areas"].default == []


def test_absent_values_take_their_defaults() -> None:
    options = parse_options(Sample, {"place": "/srv/x"}, KEY)
    assert options == Sample(place=Path("/srv/x"), key=Secret("s3cret"))


def test_secrets_come_in_and_never_go_out() -> None:
    options = parse_options(Sample, {"place": "/srv/x"}, KEY)
    assert "s3cret" not in repr(options)
    assert "key" not in dump_options(options)
    assert "token" not in dump_options(options)


def test_a_secret_among_the_plain_values_is_refused() -> None:
    problems = option_problems(Sample, {"place": "/srv", "key": "s3cret"}, KEY)
    assert [problem.field for problem in problems] == ["key"]
    assert "s3cret" not in str(problems)


def test_what_is_dumped_is_parsed_back() -> None:
    values = {
        "place": "/srv/x",
        "tries": 4,
        "reserve": "2 GiB",
        "style": "virtual",
        "areas": ["a", "b"],
        "region": "eu",
    }
    options = parse_options(Sample, values, KEY)
    assert options.reserve == 2 * 2**30
    assert parse_options(Sample, dump_options(options), KEY) == options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("place", "relative/x"),
        ("place", "/srv/../etc"),
        ("place", 7),
        ("place", "/a\0b"),
        ("place", ""),
        ("endpoint", ["x"]),
        ("endpoint", "a\nb"),
        ("endpoint", "   "),
        ("tries", 0),
        ("tries", 10),
        ("tries", True),
        ("tries", 2.5),
        ("tries", "many"),
        ("reserve", -1),
        ("reserve", "lots"),
        ("style", "other"),
        ("style", []),
        ("verify", "yes"),
        ("areas", 5),
        ("areas", [1]),
        ("unknown", 1),
    ],
)
def test_a_wrong_value_names_its_field(name: str, value: object) -> None:
    with pytest.raises(InvalidOptions) as caught:
        parse_options(Sample, {"place": "/srv/x"} | {name: value}, KEY)
    assert caught.value.field == name
    assert caught.value.sentence.endswith(".")


def test_all_problems_are_told_at_once() -> None:
    problems = option_problems(Sample, {"tries": 99, "verify": 1, "bogus": 1})
    assert [problem.field for problem in problems] == ["bogus", "place", "key", "tries", "verify"]


def test_a_rule_over_several_fields_is_told_too() -> None:
    problems = option_problems(Sample, {"place": "/srv", "tries": 9, "verify": False}, KEY)
    assert [problem.field for problem in problems] == ["tries"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("1k", 1024), ("10 GiB", 10 * 2**30), ("1.5 MB", 1572864), ("2TB", 2**41), ("7 b", 7)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@given(st.integers(0, 2**63))
def test_a_number_of_bytes_survives_as_text(size: int) -> None:
    assert parse_bytes(str(size)) == size


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(Sample)]) | st.text(max_size=5), _json))
def test_any_json_gives_options_or_problems_and_never_another_error(values: dict[str, object]) -> None:
    if option_problems(Sample, values, KEY):
        with pytest.raises(InvalidOptions):
            parse_options(Sample, values, KEY)
    else:
        options = parse_options(Sample, values, KEY)
        assert parse_options(Sample, dump_options(options), KEY) == options


@pytest.mark.parametrize("kind", MEDIA.values(), ids=lambda kind: kind.name)
def test_every_option_of_every_medium_is_explained(kind: object) -> None:
    for spec in field_specs(kind.options):  # type: ignore[attr-defined]
        assert spec.label
        assert spec.help
