"""The environment: what is accepted, and that a refusal names the variable but no password."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapcopy_site.lib import env
from snapcopy_site.lib.home import Home


def test_an_address_of_a_database_is_taken_apart() -> None:
    address = env.database_address("postgresql://us%40er:p%2Fw@db.example:6432/sc?sslmode=require")
    assert (address.user, address.password, address.host, address.port, address.name) == (
        "us@er",
        "p/w",
        "db.example",
        "6432",
        "sc",
    )
    assert address.options == {"sslmode": "require"}
    assert "p/w" not in repr(address)


def test_a_socket_folder_may_be_the_host() -> None:
    address = env.database_address("postgresql://snapcopy@/snapcopy?host=/run/pg")
    assert (address.host, address.options) == ("/run/pg", {})


@pytest.mark.parametrize(
    "url", ["mysql://secret@x/y", "postgresql://u:secret@host", "postgresql://u:secret@h:99999/x", "x"]
)
def test_a_wrong_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(env.InvalidEnvironment) as refused:
        env.database_address(url)
    assert "SNAPCOPY_DATABASE_URL" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "expected"), [("1", True), ("YES", True), ("off", False), ("", False), (" true ", True)]
)
def test_a_flag_is_read_generously(monkeypatch: pytest.MonkeyPatch, given: str, *, expected: bool) -> None:
    monkeypatch.setenv("SNAPCOPY_X", given)
    assert env.flag("SNAPCOPY_X") is expected


def test_a_flag_or_number_that_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPCOPY_X", "maybe")
    with pytest.raises(env.InvalidEnvironment, match="SNAPCOPY_X"):
        env.flag("SNAPCOPY_X")
    with pytest.raises(env.InvalidEnvironment, match="SNAPCOPY_X"):
        env.integer("SNAPCOPY_X", 1)


def test_lists_may_be_separated_by_commas_or_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPCOPY_X", "a, b  c,")
    assert env.words("SNAPCOPY_X") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given", "ports"), [("", range(1)), ("41000", range(41000, 41001)), ("41000-41007", range(41000, 41008))]
)
def test_ports_are_one_or_a_range_and_any_that_is_free_without(
    monkeypatch: pytest.MonkeyPatch, given: str, ports: range
) -> None:
    monkeypatch.setenv("SNAPCOPY_X", given)
    assert env.ports("SNAPCOPY_X") == ports


@pytest.mark.parametrize("given", ["no", "2-1", "70000", "-5", "1-2-3"])
def test_ports_that_are_none_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("SNAPCOPY_X", given)
    with pytest.raises(env.InvalidEnvironment, match="SNAPCOPY_X"):
        env.ports("SNAPCOPY_X")


def test_a_socket_of_a_home_with_a_long_path_still_fits(tmp_path: Path) -> None:
    short, long = Home(Path("/var/lib/snapcopy")), Home(tmp_path / ("x" * 120))
    assert short.run == Path("/var/lib/snapcopy/run")
    assert long.run.parent != long.path
    for home in (short, long):
        assert len(os.fsencode(home.postgres_socket_folder / ".s.PGSQL.5432.lock")) < 108
        assert len(os.fsencode(home.valkey_socket)) < 108


def test_two_homes_never_share_a_socket(tmp_path: Path) -> None:
    one, two = (Home(tmp_path / name / ("x" * 120)) for name in "ab")
    assert one.run != two.run


def test_without_a_file_the_key_that_signs_lives_only_as_long_as_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SNAPCOPY_SECRET_KEY")
    home = Home(tmp_path)
    assert home.read_secret_key() != home.read_secret_key()
    home.secret_key.write_text("from-the-file\n")
    assert home.read_secret_key() == "from-the-file"
    monkeypatch.setenv("SNAPCOPY_SECRET_KEY", "from-outside")
    assert home.read_secret_key() == "from-outside"
