"""RULES V1: the copy that serves a restore."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.restore_source import Candidate, Choice, NoSource, SourceKind, choose, is_inside

SNAPSHOT = Candidate(id=1, name="snap", kind=SourceKind.SNAPSHOT, precedence=1)
REPLICA = Candidate(id=2, name="vault", kind=SourceKind.REPLICA, precedence=3)
DISK = Candidate(id=3, name="disk", kind=SourceKind.MEDIA, precedence=2)
OFFSITE = Candidate(id=4, name="offsite", kind=SourceKind.MEDIA, precedence=4)


def but(one: Candidate, *lacks: bytes, obstacle: str = "", unnamed: int = 0) -> Candidate:
    return Candidate(
        id=one.id,
        name=one.name,
        kind=one.kind,
        precedence=one.precedence,
        obstacle=obstacle,
        lacks=frozenset(lacks),
        unnamed=unnamed,
    )


def chosen(*known: Candidate, paths: tuple[bytes, ...] = (), wanted: int | None = None) -> Choice:
    answer = choose(known, paths=paths, wanted=wanted)
    assert isinstance(answer, Choice), answer
    return answer


def refused(*known: Candidate, paths: tuple[bytes, ...] = (), wanted: int | None = None) -> str:
    answer = choose(known, paths=paths, wanted=wanted)
    assert isinstance(answer, NoSource), answer
    return answer.reason


def test_V1_snapshots_go_before_media_and_then_the_lowest_precedence_number() -> None:
    answer = chosen(OFFSITE, DISK, REPLICA, SNAPSHOT)
    assert (answer.id, answer.reason) == (
        1,
        "The snapshot on snap has the lowest precedence number (1) of the copies that have it.",
    )
    assert chosen(DISK, REPLICA).id == REPLICA.id, "a replica is a snapshot, whatever its number"
    assert chosen(DISK, REPLICA).reason == "The replica on vault is a snapshot, and snapshots go before media."
    assert (
        chosen(OFFSITE, DISK).reason
        == "The backup copy disk has the lowest precedence number (2) of the copies that have it."
    )
    assert chosen(OFFSITE).reason == "The backup copy offsite is the only copy that can be read."


def test_V1_what_cannot_be_read_is_passed_over_and_said() -> None:
    answer = chosen(but(SNAPSHOT, obstacle="the snapshot was deleted"), DISK)
    assert answer.id == DISK.id
    assert answer.reason == (
        "The backup copy disk is the only copy that can be read. "
        "The snapshot on snap is passed over: the snapshot was deleted."
    )


def test_V1_a_partial_copy_does_not_have_what_it_could_not_read() -> None:
    partial = but(DISK, b"/srv/a")
    assert chosen(partial, OFFSITE, paths=(b"/srv/a",)).id == OFFSITE.id
    answer = chosen(partial, OFFSITE, paths=(b"/srv",))
    assert (
        answer.reason
        == "The backup copy offsite is the only copy that has all of it. The backup copy disk lacks “/srv/a”."
    )
    assert chosen(partial, OFFSITE, paths=(b"/srv/ab", b"/home")).id == DISK.id
    assert chosen(partial, OFFSITE, paths=(b"/srv/a/below",)).id == OFFSITE.id, "a folder that could not be read"


def test_V1_what_no_copy_has_is_no_reason_against_one() -> None:
    same = (but(SNAPSHOT, b"/srv/a"), but(DISK, b"/srv/a"))
    assert chosen(*same, paths=(b"/srv",)).id == SNAPSHOT.id
    assert chosen(*same, paths=(b"/srv",), wanted=DISK.id).reason == "The backup copy disk was chosen."
    assert (
        refused(*same, paths=(b"/srv/a",))
        == "The snapshot on snap lacks “/srv/a”. The backup copy disk lacks “/srv/a”."
    )


def test_V1_where_no_copy_has_all_of_it_the_first_serves_and_says_what_it_is_without() -> None:
    answer = chosen(but(DISK, b"/a/1", b"/a/2", b"/a/3"), but(OFFSITE, b"/a/4"), paths=(b"/a",))
    assert (answer.id, answer.missing) == (DISK.id, frozenset({b"/a/1", b"/a/2", b"/a/3"}))
    assert answer.reason == (
        "No copy has all of it; the backup copy disk comes first and is without “/a/1”, “/a/2” and 1 more file."
    )
    unnamed = chosen(but(DISK, unnamed=2))
    assert unnamed.reason == "No copy has all of it; the backup copy disk comes first and is without 2 files."
    assert chosen(but(DISK, unnamed=2), OFFSITE).reason.endswith("The backup copy disk lacks 2 files.")


def test_V1_an_explicitly_chosen_copy_that_lacks_it_fails_and_names_it() -> None:
    known = (SNAPSHOT, but(DISK, b"/srv/\xff"), but(OFFSITE, obstacle="its medium is switched off"))
    assert chosen(*known, wanted=SNAPSHOT.id).reason == "The snapshot on snap was chosen."
    assert refused(*known, wanted=DISK.id) == "The backup copy disk was chosen and lacks “/srv/\\xff”."
    assert chosen(*known, wanted=DISK.id, paths=(b"/home",)).id == DISK.id
    assert (
        refused(*known, wanted=OFFSITE.id)
        == "The backup copy offsite was chosen and cannot serve: its medium is switched off."
    )
    assert refused(*known, wanted=9) == "The chosen copy holds nothing of this point."
    assert (
        chosen(but(DISK, unnamed=1), wanted=DISK.id).reason == "The backup copy disk was chosen; it is without 1 file."
    )


def test_nothing_left_is_said() -> None:
    assert refused().startswith("Nothing holds this point any more")
    assert (
        refused(but(DISK, obstacle="its medium is away")) == "The backup copy disk is passed over: its medium is away."
    )


Path = st.lists(st.sampled_from([b"a", b"b", b"ab"]), min_size=1, max_size=3).map(lambda parts: b"/" + b"/".join(parts))
Paths = st.frozensets(Path, max_size=3)
Candidates = st.lists(
    st.builds(
        Candidate,
        id=st.integers(1, 9),
        name=st.just("c"),
        kind=st.sampled_from(SourceKind),
        precedence=st.integers(1, 4),
        obstacle=st.sampled_from(["", "", "it is away"]),
        lacks=Paths,
        unnamed=st.sampled_from([0, 0, 0, 2]),
    ),
    max_size=5,
    unique_by=lambda one: one.id,
)


def gives(one: Candidate, paths: frozenset[bytes]) -> frozenset[bytes]:
    """The gaps of a copy that touch what is asked for."""
    return frozenset(
        gap for gap in one.lacks if not paths or any(is_inside(gap, path) or is_inside(path, gap) for path in paths)
    )


@given(known=Candidates, paths=Paths)
def test_a_copy_with_all_the_data_serves_before_any_other_and_the_first_of_them(
    known: list[Candidate], paths: frozenset[bytes]
) -> None:
    whole = [one for one in known if not one.obstacle and not one.unnamed and not gives(one, paths)]
    answer = choose(known, paths=paths)
    if not whole:
        return
    assert isinstance(answer, Choice)
    assert not answer.missing
    best = min(whole, key=lambda one: one.order)
    taken = next(one for one in known if one.id == answer.id)
    assert taken.order <= best.order
    assert taken in whole


@given(known=Candidates, paths=Paths, wanted=st.none() | st.integers(1, 9))
def test_who_serves_can_be_read_and_holds_every_asked_path(
    known: list[Candidate], paths: frozenset[bytes], wanted: int | None
) -> None:
    answer = choose(known, paths=paths, wanted=wanted)
    assert answer.reason.endswith(".")
    if isinstance(answer, Choice):
        taken = next(one for one in known if one.id == answer.id)
        assert not taken.obstacle
        assert wanted in (None, taken.id)
        assert not any(is_inside(path, gap) for path in paths for gap in taken.lacks)
    elif wanted is None:
        usable = [one for one in known if not one.obstacle]
        assert all(any(is_inside(path, gap) for path in paths for gap in one.lacks) for one in usable)


@given(known=Candidates, paths=Paths)
def test_an_explicit_choice_of_what_the_rule_would_take_whole_is_never_refused(
    known: list[Candidate], paths: frozenset[bytes]
) -> None:
    answer = choose(known, paths=paths)
    if isinstance(answer, Choice) and not answer.missing:
        again = choose(known, paths=paths, wanted=answer.id)
        assert isinstance(again, Choice)
