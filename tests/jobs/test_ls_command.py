"""``snapcopy ls``: a folder at any time, for people and for scripts, and plain words where there is nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from jobs.catalog.loading import load
from jobs.models import CatalogState, Snapshot
from policies.models import Subclient
from tests.catalog.histories import File, Tree, changes, listing
from tests.factories import make_subclient
from tests.job_factories import make_snapshot

START = datetime(2026, 3, 30, 20, tzinfo=UTC)
OLD: Tree = {b"docs": {b"plan": File(5)}, b"big": File(900), b"caf\xe9": File(1)}
NEW: Tree = {b"docs": {b"plan": File(7)}, b"big": File(900)}


@pytest.fixture
def subclient(db: None) -> Subclient:
    return make_subclient(paths=("/srv/data",))


@pytest.fixture
def points(subclient: Subclient) -> list[Snapshot]:
    states = (CatalogState.DONE, CatalogState.DONE, CatalogState.SKIPPED)
    found = [
        make_snapshot(
            subclient, n=day, taken_at=START + timedelta(days=day), content=["/srv/data"], catalog_state=state
        )
        for day, state in enumerate(states)
    ]
    load(subclient.pk, found[0].taken_at, listing(OLD), is_whole=True)
    load(subclient.pk, found[1].taken_at, changes(OLD, NEW), is_whole=False)
    return found


def said(*words: str) -> list[str]:
    output = StringIO()
    call_command("ls", *words, stdout=output, stderr=StringIO())
    return output.getvalue().splitlines()


def names(*words: str) -> list[str]:
    return [json.loads(line)["name"] for line in said("fs1/home", *words, "--json")]


def test_a_folder_is_listed_as_it_was_then(points: list[Snapshot]) -> None:
    assert names() == ["docs", "big"]
    assert names("--at", "2026-03-30") == ["docs", "big", "caf\\xe9"]
    assert names("--at", "2026-03-31T19:59:59") == ["docs", "big", "caf\\xe9"]
    assert names("--snapshot", points[0].name, "--sort", "size", "--mixed") == ["big", "docs", "caf\\xe9"]
    assert names("/srv/data//docs/", "--reverse") == ["plan"]


def test_a_path_of_a_file_is_listed_by_itself(points: list[Snapshot]) -> None:
    assert names("/srv/data/docs/plan") == ["plan"]
    assert names("/srv/data/caf\udce9", "--at", "2026-03-30") == ["caf\\xe9"]
    assert json.loads(said("fs1/home", "/srv/data/caf\udce9", "--deleted", "--json")[0])["gone_at"]
    with pytest.raises(CommandError, match="There is no /srv/data/caf"):
        said("fs1/home", "/srv/data/caf\udce9")


def test_what_is_deleted_comes_with_the_time_when_it_was_gone(points: list[Snapshot]) -> None:
    lines = [json.loads(line) for line in said("fs1/home", "--deleted", "--json")]
    assert [line["gone_at"] for line in lines] == [None, None, points[1].taken_at.isoformat()]
    assert bytes.fromhex(lines[2]["path_hex"]) == b"/srv/data/caf\xe9"
    assert said("fs1/home", "--deleted")[2].endswith("caf\\xe9  (deleted, not there at 2026-03-31 20:00:00)")


def test_people_read_what_they_know_from_ls(points: list[Snapshot]) -> None:
    folder, file = said("fs1/home")
    assert folder.split() == ["drwxr-xr-x", "root:root", "7", "1970-01-01", "00:00:00", "docs/"]
    assert file.split()[:3] == ["-rw-r--r--", "root:root", "900"]


def test_more_than_one_page_is_listed_whole(
    subclient: Subclient, points: list[Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.management.commands.ls._AT_ONCE", 1)
    assert names("--at", "2026-03-30") == ["docs", "big", "caf\\xe9"]


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["fs1/other"], 2, "There is no subclient"),
        (["fs1/home", "--at", "yesterday"], 2, "is no time"),
        (["fs1/home", "--at", "2026-02-31"], 2, "is no time"),
        (["fs1/home", "--snapshot", "sc-x"], 2, "has no snapshot sc-x"),
        (["fs1/home", "--at", "2020-01-01"], 4, "snapcopy catalog build fs1/home"),
        (["fs1/home", "/srv/nowhere"], 1, "There is no /srv/nowhere"),
    ],
)
def test_what_cannot_be_listed_says_why(points: list[Snapshot], words: list[str], code: int, part: str) -> None:
    with pytest.raises(CommandError, match=part) as raised:
        said(*words)
    assert raised.value.returncode == code


def test_a_snapshot_that_is_not_catalogued_names_the_remedy(points: list[Snapshot]) -> None:
    with pytest.raises(CommandError, match=r"is not in the catalog\. Make it: snapcopy catalog build fs1/home"):
        said("fs1/home", "--snapshot", points[2].name)
