"""What each vendor is told, and that people may add pairs but not overrule the job."""

from __future__ import annotations

import pytest

from jobs.engine.errors import InvalidOptions
from jobs.engine.ndmp.messages import ServerInfo
from jobs.engine.ndmp.profiles import (
    GENERIC,
    ISILON,
    NO_BASE,
    ONTAP,
    OURS,
    POWERSTORE,
    PROFILES,
    HistoryWish,
    Profile,
    pairs_from,
    suggested,
)
from jobs.engine.ndmp.values import Pair


def texts(pairs: tuple[Pair, ...]) -> dict[str, str]:
    assert len({pair.name for pair in pairs}) == len(pairs)
    return {pair.name: pair.value for pair in pairs}


def test_a_level_is_told_with_the_path_and_recorded() -> None:
    assert texts(GENERIC.backup_environment("/vol/a b", level=3)) == {
        "FILESYSTEM": "/vol/a b",
        "LEVEL": "3",
        "HIST": "y",
        "UPDATE": "y",
    }
    found = texts(GENERIC.backup_environment("/v", history=HistoryWish.NONE, records_level=False))
    assert (found["HIST"], found["UPDATE"], found["LEVEL"]) == ("n", "n", "0")


@pytest.mark.parametrize(
    ("profile", "highest", "beyond"), [(GENERIC, 9, 10), (ONTAP, 31, 32), (ISILON, 10, 11), (POWERSTORE, 9, 10)]
)
def test_l2_each_knows_its_highest_level(profile: Profile, highest: int, beyond: int) -> None:
    assert texts(profile.backup_environment("/v", level=highest))["LEVEL"] == str(highest)
    for level in (beyond, -1):
        with pytest.raises(InvalidOptions) as refusal:
            profile.backup_environment("/v", level=level)
        assert refusal.value.field == "level"


def test_l5_a_token_takes_the_place_of_the_level() -> None:
    full = texts(ONTAP.backup_environment("/v", base_token=NO_BASE))
    assert full["BASE_DATE"] == "0"
    assert "LEVEL" not in full
    token = ONTAP.token_of((Pair("DUMP_DATE", "4294967297"), Pair("X", "y")))
    assert token == "4294967297"
    assert texts(ONTAP.backup_environment("/v", level=1, base_token=token))["BASE_DATE"] == token
    assert GENERIC.token_of((Pair("DUMP_DATE", "1"),)) is None
    with pytest.raises(InvalidOptions, match="has no tokens"):
        GENERIC.backup_environment("/v", base_token="1")


def test_onefs_is_asked_for_its_token() -> None:
    assert texts(ISILON.backup_environment("/ifs"))["BACKUP_OPTIONS"] == "1"
    assert texts(ISILON.backup_environment("/ifs", added=pairs_from(["BACKUP_OPTIONS=7"])))["BACKUP_OPTIONS"] == "7"


def test_a_recovery_gives_back_all_that_the_backup_ended_with() -> None:
    stored = (Pair("ACL_START", "512"), Pair("DIRECT", "y"), Pair("VENDOR", "odd"))
    found = texts(GENERIC.recover_environment(stored, added=pairs_from(["EXTRACT=y"])))
    assert found == {"ACL_START": "512", "DIRECT": "n", "VENDOR": "odd", "RECURSIVE": "y", "EXTRACT": "y"}
    assert texts(GENERIC.recover_environment(stored, is_direct=True))["DIRECT"] == "y"


def test_people_add_pairs_one_a_line() -> None:
    assert pairs_from(["EXCLUDE=*.tmp,*.bak", "", " A = b=c "]) == (Pair("EXCLUDE", "*.tmp,*.bak"), Pair("A", "b=c"))


@pytest.mark.parametrize("line", ["EXCLUDE", "=x", "A B=c", "A\x07=b", "A=\0"])
def test_what_is_no_pair_names_the_field(line: str) -> None:
    with pytest.raises(InvalidOptions, match="is no variable") as refusal:
        pairs_from([line])
    assert refusal.value.field == "environment"


@pytest.mark.parametrize("name", sorted(OURS))
def test_nobody_overrules_what_is_recorded_about_a_copy(name: str) -> None:
    for make in (GENERIC.backup_environment, lambda path, added: GENERIC.recover_environment((), added=added)):
        with pytest.raises(InvalidOptions, match=f"The variable {name} is set by the job itself"):
            make("/v", added=(Pair(name, "1"),))


@pytest.mark.parametrize(
    ("vendor", "product", "profile"),
    [
        ("NetApp", "NetApp Release 9.16", ONTAP),
        ("Isilon Systems", "OneFS", ISILON),
        ("Dell EMC", "PowerStore", POWERSTORE),
        ("Traakan, Inc.", "NDMJOB", GENERIC),
    ],
)
def test_a_profile_is_suggested_by_what_the_file_server_says(vendor: str, product: str, profile: Profile) -> None:
    assert suggested(ServerInfo(vendor, product, "1", (2,))) is profile
    assert suggested(None) is GENERIC


def test_every_profile_is_found_by_its_key() -> None:
    assert all(PROFILES[key].key == key for key in PROFILES)
