"""RULES N1 to N6: which node runs a job."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.placement import Chosen, Lists, NodeFigures, NoNode, choose
from jobs.rules.states import JobState

NAMES = ["a", "b", "c", "d", "e"]


def node(name: str, **values: object) -> NodeFigures:
    plain = {"is_online": True, "slots": 2, "busy": 0, "cores": 4, "load_1m": 0.0, "memory_free_bytes": 2**33}
    return NodeFigures(name=name, **{**plain, **values})  # type: ignore[arg-type]


def chosen(answer: Chosen | NoNode) -> str:
    assert isinstance(answer, Chosen)
    return answer.name


subsets = st.frozensets(st.sampled_from(NAMES))
figures = st.builds(
    NodeFigures,
    name=st.just(""),
    is_online=st.booleans(),
    slots=st.integers(1, 8),
    busy=st.integers(0, 9),
    cores=st.none() | st.integers(1, 64),
    load_1m=st.none() | st.floats(0, 100),
    memory_free_bytes=st.none() | st.integers(0, 2**40),
    last_used_at=st.floats(0, 2e9),
    supports_engine=st.booleans(),
)
nodes = st.lists(figures, max_size=5).map(
    lambda many: [dataclasses.replace(one, name=name) for one, name in zip(many, NAMES, strict=False)]
)
lists = st.builds(Lists, subclient_nodes=subsets, file_server_nodes=subsets, snap_agents=subsets, backup_agents=subsets)


@given(lists=lists, known=nodes, avoid=st.sampled_from(["", *NAMES]))
def test_a_job_never_leaves_the_listed_nodes_and_never_takes_one_that_cannot(
    lists: Lists, known: list[NodeFigures], avoid: str
) -> None:
    """N1, N2, N5."""
    answer = choose(lists=lists, known=known, avoid=avoid)
    allowed = lists.nodes or lists.agents
    usable = [
        one
        for one in known
        if one.is_online and one.free and one.supports_engine and (not allowed or one.name in allowed)
    ]
    assert isinstance(answer, Chosen) == bool(usable)
    if isinstance(answer, Chosen):
        assert answer.name in {one.name for one in usable}
        assert answer.reason.endswith(".")
        agents = [one for one in usable if one.name in lists.agents]
        assert not agents or answer.name in {one.name for one in agents}, "N3"


@given(lists=lists, known=nodes)
def test_the_order_in_which_nodes_are_known_does_not_matter(lists: Lists, known: list[NodeFigures]) -> None:
    assert choose(lists=lists, known=known) == choose(lists=lists, known=known[::-1])


@given(known=nodes)
def test_a_busier_copy_of_the_chosen_node_is_never_chosen_instead(known: list[NodeFigures]) -> None:
    """N4: free slots / slots first."""
    answer = choose(lists=Lists(), known=known)
    if not isinstance(answer, Chosen):
        return
    best = next(one for one in known if one.name == answer.name)
    for other in known:
        if other.is_online and other.supports_engine:
            assert other.free / other.slots <= best.free / best.slots


def test_n1_the_subclients_nodes_replace_those_of_the_file_server() -> None:
    both = Lists(subclient_nodes={"a"}, file_server_nodes={"b"})
    assert chosen(choose(lists=both, known=[node("a", busy=1), node("b")])) == "a"
    only_server = Lists(file_server_nodes={"b"})
    assert chosen(choose(lists=only_server, known=[node("a"), node("b", busy=1)])) == "b"


def test_n2_the_source_copys_agents_come_before_those_of_the_backup_copy() -> None:
    known = [node("a"), node("b")]
    assert chosen(choose(lists=Lists(snap_agents={"b"}, backup_agents={"a"}), known=known)) == "b"
    assert chosen(choose(lists=Lists(backup_agents={"a"}), known=known)) == "a"


def test_n3_a_media_agent_that_is_also_an_access_node_wins_even_when_busier() -> None:
    lists = Lists(file_server_nodes={"a", "b"}, backup_agents={"b", "c"})
    assert chosen(choose(lists=lists, known=[node("a"), node("b", busy=1), node("c")])) == "b"


def test_n3_without_such_a_media_agent_the_most_available_listed_node_wins() -> None:
    lists = Lists(file_server_nodes={"a", "b"}, backup_agents={"c"})
    assert chosen(choose(lists=lists, known=[node("a", busy=1), node("b"), node("c")])) == "b"


def test_n4_load_then_memory_then_use_then_name_decide_among_equals() -> None:
    assert chosen(choose(lists=Lists(), known=[node("a", load_1m=3.0), node("b", load_1m=1.0)])) == "b"
    assert chosen(choose(lists=Lists(), known=[node("a", memory_free_bytes=2**30), node("b")])) == "b"
    assert chosen(choose(lists=Lists(), known=[node("a", last_used_at=9.0), node("b", last_used_at=1.0)])) == "b"
    assert chosen(choose(lists=Lists(), known=[node("b"), node("a")])) == "a"


def test_n4_the_figures_stand_in_the_reason() -> None:
    answer = choose(lists=Lists(backup_agents={"a"}), known=[node("a", busy=1, load_1m=0.5)])
    assert isinstance(answer, Chosen)
    assert "1 of 2 slots free, load 0.50 on 4 cores, 8.0 GiB memory free" in answer.reason
    assert "MediaAgent" in answer.reason


def test_n5_all_offline_is_pending_and_all_busy_is_waiting() -> None:
    lists = Lists(file_server_nodes={"a"})
    free_elsewhere = node("b")
    offline = choose(lists=lists, known=[node("a", is_online=False), free_elsewhere])
    assert offline == NoNode(state=JobState.PENDING, reason="No access node online: a.")
    busy = choose(lists=lists, known=[node("a", busy=2), free_elsewhere])
    assert busy == NoNode(state=JobState.WAITING, reason="No free slot on a.")


def test_n6_another_node_is_preferred_after_one_was_lost_but_better_the_same_than_none() -> None:
    known = [node("a"), node("b", busy=1)]
    assert chosen(choose(lists=Lists(), known=known, avoid="a")) == "b"
    assert chosen(choose(lists=Lists(), known=known[:1], avoid="a")) == "a"


def test_an_engine_that_no_node_supports_is_pending() -> None:
    answer = choose(lists=Lists(), known=[node("a", supports_engine=False)])
    assert isinstance(answer, NoNode)
    assert answer.state is JobState.PENDING
