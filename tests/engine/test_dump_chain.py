"""RULES L6: file lists of a chain of dumps put over each other on disk tell what the rules tell in memory."""

from __future__ import annotations

import random
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.engine.errors import HistoryUnusable, NotInCopy
from jobs.engine.operations.dump_chain import DumpChain, Wanted
from jobs.rules.chains import Dump, merge
from jobs.rules.levels import RunLevel, copy_level, restore_chain
from tests.engine.dump_lists import of_dump, of_names, of_paths
from tests.rules.test_chains import FileSystem, live

PLACE = 1 << 20


def chain_of(stack: ExitStack, *lists: bytes) -> DumpChain:
    chain = stack.enter_context(DumpChain())
    for one in lists:
        chain.add([one])
    return chain


def paths_of(*lists: bytes, content: bytes = b"/v") -> dict[bytes, str]:
    with ExitStack() as stack:
        entries = list(chain_of(stack, *lists).entries(content))
    found = {entry.folder.rstrip(b"/") + b"/" + entry.name: entry.kind for entry in entries}
    assert len(found) == len(entries), "each path once"
    told = {content.rpartition(b"/")[0] or b"/"}
    for entry in entries:
        assert entry.folder in told, "a folder comes before what is in it"
        told.add(entry.folder.rstrip(b"/") + b"/" + entry.name)
    return found


@settings(deadline=None, max_examples=60)
@given(asked=st.text(alphabet="FDI", min_size=1, max_size=12), seed=st.integers(0, 10**6), data=st.data())
def test_l6_the_lists_of_any_chain_tell_what_the_rules_tell(asked: str, seed: int, data: st.DataObject) -> None:
    chance, files = random.Random(seed), FileSystem()
    numbers: list[int] = []
    moments: list[int] = []
    dumps: list[Dump] = []
    for letter in asked:
        live(files, chance)
        level = {"F": RunLevel.FULL, "D": RunLevel.DIFFERENTIAL, "I": RunLevel.INCREMENTAL}[letter]
        last = numbers[-1] if numbers else None
        number = copy_level(snapshot_level=level, has_base=bool(numbers), base_number=last, limit=4).number
        since = max((at for at, lower in zip(moments, numbers, strict=True) if lower < number), default=0)
        dumps.append(files.dump(len(dumps), since if number else 0))
        numbers.append(number)
        moments.append(files.moment)
    links = restore_chain(numbers, data.draw(st.integers(0, len(dumps) - 1)))
    merged = merge([dumps[link] for link in links])
    sources = merged.sources()
    with ExitStack() as stack:
        chain = chain_of(stack, *(of_dump(dumps[link], place=link * PLACE) for link in links))
        wanted = list(chain.wanted([b""]))
        assert {b"/" + one.path: links[one.dump] for one in wanted} == sources
        found = {entry.folder.rstrip(b"/") + b"/" + entry.name for entry in chain.entries(b"/v")}
        assert {path.removeprefix(b"/v") or b"/" for path in found} == set(sources)
        one = data.draw(st.sampled_from(sorted(sources)))
        below = [
            each for each in wanted if b"/" + each.path == one or (b"/" + each.path).startswith(one.rstrip(b"/") + b"/")
        ]
        assert list(chain.wanted([one, one + b"/"])) == below
        assert chain.holds(one)
        assert not chain.holds(one + b"/never there")
    assert [one.dump for one in wanted] == sorted(one.dump for one in wanted), "dump by dump, the full first"
    for each in wanted:
        held = dumps[links[each.dump]]
        assert merge([held]).node_of(each.original) == each.node, "there it lies in its dump"
        assert each.fh_info == links[each.dump] * PLACE + (each.node or 0)
        assert merged.node_of(each.path) == each.node
        assert each.kind == ("d" if each.node in merged.directories else "f")


def test_a_file_in_a_renamed_folder_comes_from_its_former_path() -> None:
    full = of_names({2: {b"old": 3}, 3: {b"deep": 4}, 4: {b"kept": 5, b"changed": 6}}, 5, 6)
    later = of_names({2: {b"new": 3}, 3: {b"deep": 4}, 4: {b"kept": 5, b"changed": 6, b"n\xffw": 7}}, 6, 7)
    with ExitStack() as stack:
        chain = chain_of(stack, full, later)
        assert list(chain.wanted([b"/new/deep/kept", b"new/deep/n\xffw"])) == [
            Wanted(0, b"old/deep/kept", b"new/deep/kept", "f", 5, 5 * 512, 5),
            Wanted(1, b"new/deep/n\xffw", b"new/deep/n\xffw", "f", 7, 7 * 512, 5),
        ]
        assert not chain.holds(b"old")
        with pytest.raises(NotInCopy, match="old/deep/kept"):
            list(chain.wanted([b"old/deep/kept"]))


def test_what_is_named_and_in_no_dump_is_told() -> None:
    lost: list[bytes] = []
    with ExitStack() as stack:
        chain = chain_of(stack, of_names({2: {b"here": 3, b"excluded": 4}}, 3))
        assert [entry.name for entry in chain.entries(b"/v", lost=lost.append)] == [b"v", b"here"]
        assert [each.path for each in chain.wanted([b"excluded", b"here"], lost=lost.append)] == [b"here"]
    assert lost == [b"excluded", b"excluded"]


def test_a_content_path_may_be_the_root_of_everything_and_nothing_may_have_changed() -> None:
    full = of_names({2: {b"a": 3}, 3: {b"b": 2**64 - 3}}, 2**64 - 3)
    empty = of_paths()
    assert paths_of(full, empty, content=b"/") == {b"/a": "d", b"/a/b": "f"}
    with ExitStack() as stack:
        (one,) = chain_of(stack, full, empty).wanted([b"a/b"])
        assert one.node == 2**64 - 3


def test_a_root_that_is_not_said_is_the_folder_that_no_other_contains() -> None:
    assert paths_of(of_names({3: {b"f": 4}, 2: {b"a": 3}}, 4, say_dots=False)) == {
        b"/v": "d",
        b"/v/a": "d",
        b"/v/a/f": "f",
    }
    with pytest.raises(HistoryUnusable, match="2 roots"):
        paths_of(of_names({3: {b"f": 4}, 2: {b"a": 5}}, 4, 5, say_dots=False))


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ({2: {b"a": 3}, 3: {b"b": 4}, 4: {b"c": 3}}, "loops: the folder “/a/b/c” is met twice"),
        ({2: {b"a": 3, b"b": 3}, 3: {}}, "loops: the folder “/b” is met twice"),
        ({2: {b"a": 2}}, "loops: the folder “/a” is met twice"),
        ({2: {b"a": 3}, 3: {}, 9: {b"lost": 10}}, "1 folders that nothing leads to"),
        ({2: {b"a/b": 3}, 3: {}}, "impossible name “a/b”"),
        ({2: {b"": 3}, 3: {}}, "impossible name “”"),
        ({number: {b"d": number + 1} for number in range(2, 4_200)} | {4_200: {}}, "more than 4,096 folders"),
    ],
    ids=["loop", "two parents", "in itself", "orphan", "slash", "empty", "too deep"],
)
def test_what_cannot_be_a_tree_is_refused_in_words(folders: dict[int, dict[bytes, int]], said: str) -> None:
    with pytest.raises(HistoryUnusable, match=said):
        paths_of(of_names(folders))


def test_folders_that_were_deleted_since_the_full_are_no_orphans() -> None:
    full = of_names({2: {b"a": 3}, 3: {b"b": 4}, 4: {b"f": 5}}, 5)
    assert paths_of(full, of_names({2: {}})) == {b"/v": "d"}
    assert paths_of(full, of_names({2: {b"a": 3}}, 3)) == {b"/v": "d", b"/v/a": "f"}, "a file has its number now"


def test_whole_paths_are_put_over_each_other_and_never_go() -> None:
    full = of_paths("/a/b/c", "/a-b", "/gone", "/was a file", folders=("/", "/a"))
    later = of_paths("a/b/new", "was a file/inner")
    assert paths_of(full, later) == {
        b"/v": "d",
        b"/v/a": "d",
        b"/v/a/b": "d",
        b"/v/a/b/c": "f",
        b"/v/a/b/new": "f",
        b"/v/a-b": "f",
        b"/v/gone": "f",
        b"/v/was a file": "d",
        b"/v/was a file/inner": "f",
    }
    assert paths_of(full, of_paths("/a")) == {
        b"/v": "d",
        b"/v/a": "f",
        b"/v/a-b": "f",
        b"/v/gone": "f",
        b"/v/was a file": "f",
    }
    with ExitStack() as stack:
        chain = chain_of(stack, full, later)
        assert not chain.shows_deletions
        assert [(one.dump, one.path) for one in chain.wanted([b"a", b"was a file"])] == [
            (0, b"a"),
            (0, b"a/b/c"),
            (1, b"a/b/new"),
            (1, b"was a file/inner"),
        ]
        assert chain.holds(b"a/b")
        assert not chain.holds(b"a/x")
        with pytest.raises(NotInCopy):
            list(chain.wanted([b"a/x"]))
        assert chain_of(stack, full).shows_deletions, "a full alone is exact"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.dictionaries(st.text("ab/", min_size=1, max_size=5), st.booleans(), max_size=6), min_size=1, max_size=4)
)
def test_whole_paths_of_any_dumps_make_a_tree(dumps: list[dict[str, bool]]) -> None:
    lists = [
        of_paths(
            *(path for path, is_file in dump.items() if is_file),
            folders=tuple(p for p, file in dump.items() if not file),
        )
        for dump in dumps
    ]
    if not any(dumps):
        return
    found = paths_of(*lists)
    for path, kind in found.items():
        assert kind == "d" or not any(other.startswith(path + b"/") for other in found)
    for name, is_file in dumps[-1].items():
        others = [other for other in dumps[-1] if other != name]
        if is_file and not any(same_or_below(other, name) or same_or_below(name, other) for other in others):
            plain = b"/".join([b"/v", *filter(None, name.encode().split(b"/"))])
            assert found[plain] == ("f" if plain != b"/v" else "d")
    with ExitStack() as stack:
        chain = chain_of(stack, *lists)
        everything = {one.path for one in chain.wanted([b""])}
        for path in found:
            if path != b"/v":
                relative = path[3:]
                expected = {one for one in everything if same_or_below(one.decode(), relative.decode())}
                assert {one.path for one in chain.wanted([relative])} == expected


def same_or_below(path: str, folder: str) -> bool:
    parts, above = [list(filter(None, one.split("/"))) for one in (path, folder)]
    return parts[: len(above)] == above


def test_lists_that_do_not_belong_together_are_refused() -> None:
    with ExitStack() as stack:
        chain = chain_of(stack, of_names({2: {}}))
        with pytest.raises(HistoryUnusable, match="two different ways"):
            chain.add([of_paths("/a")])
    with ExitStack() as stack, pytest.raises(HistoryUnusable, match="empty"):
        chain_of(stack, of_paths()).holds(b"a")


@pytest.mark.parametrize(
    "line",
    [
        b'["d",1]',
        b'["n",1,"f","x"]',
        b'["d",1,null,"a"]',
        b"7",
        b"[]",
        b'["d",1,2,"\\ud800"]',
        b'["n",1,null,1,1,1,1,1,1]',
    ],
)
def test_records_that_make_no_sense_are_refused(line: bytes) -> None:
    with DumpChain() as chain, pytest.raises(HistoryUnusable):
        chain.add([b'{"v":1,"form":"nodes","root":2}\n', line, b"\n"])
