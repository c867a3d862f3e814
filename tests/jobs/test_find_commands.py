"""``snapcopy find``, ``versions`` and ``diff``: for people and for scripts, with every byte of a name."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from jobs.models import CatalogState, Snapshot
from policies.models import Subclient
from tests.catalog.histories import File, Tree
from tests.catalog.past import fill
from tests.factories import backup_copy_of, make_media, make_policy, make_subclient
from tests.job_factories import make_backup_copy, make_snapshot

START = datetime(2026, 1, 1, tzinfo=UTC)
ODD = b"caf\xe9.txt"
TREES: dict[int, Tree] = {
    0: {b"docs": {b"plan.txt": File(5)}, ODD: File(1), b"big.bin": File(9000)},
    1: {b"docs": {b"plan.txt": File(7)}, b"big.bin": File(9000), b"more": {b"new.txt": File(2)}},
}

pytestmark = pytest.mark.django_db


@pytest.fixture
def subclient() -> Subclient:
    return make_subclient(policy=make_policy(media=make_media()))


@pytest.fixture
def points(subclient: Subclient) -> list[Snapshot]:
    fill(subclient.pk, TREES)
    found = [
        make_snapshot(subclient, n=day, taken_at=START + timedelta(days=day), catalog_state=CatalogState.DONE)
        for day in TREES
    ]
    make_backup_copy(found[0], backup_copy_of(subclient.policy))
    return found


def said(command: str, *words: str) -> list[str]:
    output = StringIO()
    call_command(command, *words, stdout=output, stderr=StringIO())
    return output.getvalue().splitlines()


def told(command: str, *words: str) -> list[Any]:
    return [json.loads(line) for line in said(command, *words, "--json")]


def paths(*words: str) -> list[bytes]:
    return [bytes.fromhex(found["path_hex"]) for found in told("find", *words)]


def test_paths_are_found_by_name(points: list[Snapshot]) -> None:
    assert paths("PLAN") == [b"/srv/data/docs/plan.txt"]
    assert paths("*.txt") == [b"/srv/data/more/new.txt", b"/srv/data/docs/plan.txt"]
    assert paths("*.txt", "--deleted") == [b"/srv/data/" + ODD]
    assert paths(os.fsdecode(ODD), "--exact", "--all") == [b"/srv/data/" + ODD]
    assert paths(os.fsdecode(b"/srv/data/" + ODD), "--at", "2026-01-01T12:00") == [b"/srv/data/" + ODD]
    assert paths("big", "--smallest", "8K", "--largest", "9000") == [b"/srv/data/big.bin"]
    assert paths("docs", "--type", "d", "--subclient", "fs1/home") == [b"/srv/data/docs"]
    assert paths("new", "--from", "2026-01-02", "--file-server", "fs1") == [b"/srv/data/more/new.txt"]


def test_a_result_names_the_snapshot_it_is_taken_from(points: list[Snapshot]) -> None:
    (found,) = told("find", "caf", "--deleted")
    assert (found["snapshot"], found["exists"], found["versions"]) == (points[0].name, False, 1)
    assert (found["path"], found["until"]) == ("/srv/data/caf\\xe9.txt", points[1].taken_at.isoformat())
    (line,) = said("find", "caf", "--deleted")
    assert "fs1/home:/srv/data/caf\\xe9.txt  (gone, not there at 2026-01-02" in line


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["nothing-like-it"], 1, "Nothing was found"),
        (["ab"], 2, "three letters"),
        (["plan", "--smallest", "x"], 2, "--smallest: “x” is no size"),
        (["plan", "--at", "x"], 2, "--at: “x” is no time"),
        (["plan", "--from", "x"], 2, "--from: “x” is no time"),
        (["plan", "--at", "2026-01-01", "--from", "2026-01-01"], 2, "--at goes without"),
        (["plan", "--subclient", "fs1/none"], 2, "There is no subclient"),
    ],
)
def test_what_cannot_be_found_says_why(points: list[Snapshot], words: list[str], code: int, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as refusal:
        call_command("find", *words)
    assert refusal.value.returncode == code


def test_all_pages_are_printed_and_the_end_is_said(points: list[Snapshot], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.management.commands.find._AT_ONCE", 1)
    assert len(paths("*.txt", "--all")) == 3
    monkeypatch.setattr("jobs.catalog.searching.MOST", 2)
    errors = StringIO()
    call_command("find", "*.txt", "--all", stdout=StringIO(), stderr=errors)
    assert "Only the first 2 are shown" in errors.getvalue()


def test_versions_name_snapshots_and_copies(points: list[Snapshot]) -> None:
    new, old = told("versions", "fs1/home", "/srv/data/docs/plan.txt")
    assert (new["size"], new["until"], [one["snapshot"] for one in new["snapshots"]]) == (7, None, [points[1].name])
    assert (old["size"], old["snapshots"][0]["copies"]) == (5, ["snapshot", "backup"])
    assert f"{points[0].name} in snapshot, backup" in said("versions", "fs1/home", "/srv/data/docs/plan.txt")[1]
    (odd,) = told("versions", "fs1/home", os.fsdecode(b"/srv/data/" + ODD))
    assert bytes.fromhex(odd["path_hex"]) == b"/srv/data/" + ODD
    with pytest.raises(CommandError, match="knows no version of /never"):
        call_command("versions", "fs1/home", "/never")


def test_two_times_differ_by_what_was_added_changed_and_deleted(points: list[Snapshot]) -> None:
    assert [line.split() for line in said("diff", "fs1/home", "2026-01-01", points[1].name)] == [
        ["-", "1", "/srv/data/caf\\xe9.txt"],
        ["+", "2", "/srv/data/more/"],
        ["~", "5", "->", "7", "/srv/data/docs/plan.txt"],
        ["+", "2", "/srv/data/more/new.txt"],
    ]
    *changes, last = told("diff", "fs1/home", points[1].name, points[0].name, "/srv/data/docs")
    assert [(one["change"], one["size_before"], one["size_after"]) for one in changes] == [("changed", 7, 5)]
    assert last["totals"]["changed"] == {"files": 1, "folders": 0, "bytes_before": 7, "bytes_after": 5}
    assert [one["path"] for one in told("diff", "fs1/home", "2026-01-01", "2026-01-03", "--only", "deleted")[:-1]] == [
        "/srv/data/caf\\xe9.txt"
    ]


def test_a_long_difference_is_printed_whole(points: list[Snapshot], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = said("diff", "fs1/home", points[0].name, points[1].name)
    monkeypatch.setattr("jobs.management.commands.diff._AT_ONCE", 1)
    assert said("diff", "fs1/home", points[0].name, points[1].name) == whole


@pytest.mark.parametrize(
    ("first", "code", "sentence"),
    [
        ("2025-01-01", 4, "The catalog has nothing of fs1/home for 2025-01-01"),
        ("sc-none-1-1", 2, "has no snapshot"),
        ("soon", 2, "FROM: “soon” is no time"),
    ],
)
def test_a_time_that_the_catalog_does_not_know_says_so(
    points: list[Snapshot], first: str, code: int, sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence) as refusal:
        call_command("diff", "fs1/home", first, points[1].name)
    assert refusal.value.returncode == code


def test_a_snapshot_without_a_catalog_cannot_be_compared(subclient: Subclient, points: list[Snapshot]) -> None:
    late = make_snapshot(subclient, n=9, catalog_state=CatalogState.SKIPPED)
    with pytest.raises(CommandError, match="Make it: snapcopy catalog build fs1/home"):
        call_command("diff", "fs1/home", points[0].name, late.name)
