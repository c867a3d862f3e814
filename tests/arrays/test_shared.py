"""What the engines of arrays share: the comment of a snapshot, certificates, what is missing, what is being read."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.engine.errors import EngineUnsupported, InvalidOptions, SourceUnavailable, StorageBusy
from jobs.engine.ids import snapshot_name
from jobs.engine.snapshots.arrays.certificates import (
    checked_authority,
    checked_fingerprint,
    presented_fingerprint,
    spaced,
)
from jobs.engine.snapshots.arrays.clients import load
from jobs.engine.snapshots.arrays.description import (
    Description,
    Part,
    all_parts,
    read_description,
    write_description,
)
from jobs.engine.snapshots.arrays.reading import held, refuse_while_read
from jobs.engine.snapshots.base import SnapshotRoot

from .certificates import certificate
from .https_server import HERE, Answer, serving

NAME = snapshot_name("contract", 7, 1)
PARTS = (
    Part(number=0, path="/mnt/ontap/vol1/home", below="home"),
    Part(number=1, path="/mnt/ontap/vol1", below=""),
    Part(number=2, path="/srv/link", below="deep/er"),
)
TOLD = Description(taken_at_ns=1_700_000_000_123_456_789, total=3, parts=PARTS)


def test_a_comment_says_the_job_to_people_and_everything_to_us() -> None:
    comment = write_description(NAME, TOLD, most_characters=255)
    assert comment.startswith("SnapCopy job 7 #")
    assert len(comment) < 255
    assert read_description(comment) == TOLD


def test_a_comment_without_room_keeps_the_sentence() -> None:
    assert write_description(NAME, TOLD, most_characters=60) == "SnapCopy job 7"


@pytest.mark.parametrize(
    "comment", [None, "", "SnapCopy job 7", "x #", "x #[]", 'x #{"t":1,"n":1,"c":{"0":["/a",5]}}', 'x #{"c":{"a":[]}}']
)
def test_a_comment_that_somebody_changed_says_nothing(comment: str | None) -> None:
    assert read_description(comment) is None


def test_parts_of_several_volumes_make_one_list_only_if_all_are_there() -> None:
    one = Description(taken_at_ns=1, total=3, parts=(PARTS[1],))
    two = Description(taken_at_ns=1, total=3, parts=(PARTS[0], PARTS[2]))
    assert all_parts([one, two]) == PARTS
    assert all_parts([one]) == ()
    assert all_parts([]) == ()


def test_a_fingerprint_is_read_as_arrays_and_browsers_write_it() -> None:
    digits = certificate(HERE, "localhost").fingerprint
    for text in (digits, digits.upper(), spaced(digits), spaced(digits).replace(":", " ")):
        assert checked_fingerprint(text) == digits
    assert checked_fingerprint(None) == ""
    with pytest.raises(InvalidOptions) as refusal:
        checked_fingerprint("12:34")
    assert refusal.value.field == "fingerprint"


def test_what_an_address_shows_is_told_and_a_silent_one_is_not_waited_for(tmp_path: Path) -> None:
    with serving(lambda _request: Answer()) as server:
        assert presented_fingerprint(HERE, server.port, seconds=60) == spaced(server.certificate.fingerprint)
        assert server.asked() == []
        port = server.port
    assert presented_fingerprint(HERE, port, seconds=0.2) == ""


def test_a_file_of_authorities_is_looked_at_before_it_is_used(tmp_path: Path) -> None:
    good = certificate(HERE, "localhost").authority
    assert checked_authority(good) == good
    assert checked_authority(None) is None
    (tmp_path / "ca.pem").write_text("no certificate")
    for wrong in (tmp_path / "ca.pem", tmp_path / "nowhere"):
        with pytest.raises(InvalidOptions):
            checked_authority(wrong)


def test_a_missing_client_is_told_with_what_to_install() -> None:
    with pytest.raises(EngineUnsupported) as refusal:
        load("a_client_that_nobody_has", package="some-client")
    assert "some-client" in refusal.value.sentence
    assert "pip install some-client." in refusal.value.hint
    assert load("json", package="json").dumps([]) == "[]"


def test_a_module_of_ours_that_is_missing_is_no_missing_client() -> None:
    with pytest.raises(ModuleNotFoundError):
        load("jobs.engine.snapshots.arrays.nowhere", package="some-client")


def test_what_is_being_read_is_not_deleted(tmp_path: Path) -> None:
    roots = (SnapshotRoot(content_path="/srv", directory=tmp_path),)
    with held(roots, [tmp_path], NAME) as opened:
        assert opened == roots
        with pytest.raises(StorageBusy):
            refuse_while_read([tmp_path], NAME)
    refuse_while_read([tmp_path, tmp_path / "not visible here"], NAME)


def test_a_snapshot_that_is_not_visible_on_this_node_is_told_with_its_place(tmp_path: Path) -> None:
    missing = tmp_path / ".snapshot" / NAME
    roots = (SnapshotRoot(content_path="/srv", directory=missing),)
    with pytest.raises(SourceUnavailable, match="this node cannot read it at"), held(roots, [missing], NAME):
        pytest.fail("There is nothing to read.")
