"""RULES L6: full, differential and incrementals put over each other give the tree of that moment, file by file."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rules.chains import ChainBroken, Dump, merge
from jobs.rules.levels import RunLevel, copy_level, restore_chain

ROOT = 2


@dataclass
class FileSystem:
    """Nodes with the moment they last changed, as a dump looks at them; numbers are used again when they are free."""

    moment: int = 1
    directories: dict[int, dict[bytes, int]] = field(default_factory=lambda: {ROOT: {}})
    files: dict[int, int] = field(default_factory=dict)
    changed: dict[int, int] = field(default_factory=lambda: {ROOT: 1})

    def new(self, parent: int, name: bytes, *, is_directory: bool) -> None:
        node = next(
            number for number in range(ROOT, 999) if number not in self.directories and number not in self.files
        )
        if is_directory:
            self.directories[node] = {}
        else:
            self.files[node] = self.moment
        self.directories[parent][name] = node
        self.changed[node] = self.changed[parent] = self.moment

    def write(self, node: int) -> None:
        self.files[node] = self.changed[node] = self.moment

    def move(self, parent: int, name: bytes, target: int, new_name: bytes) -> None:
        """As rename does: what is below keeps its nodes, and none of that changed."""
        node = self.directories[parent].pop(name)
        self.directories[target][new_name] = node
        self.changed[parent] = self.changed[target] = self.moment

    def remove(self, parent: int, name: bytes) -> None:
        node = self.directories[parent].pop(name)
        self.changed[parent] = self.moment
        for child in list(self.directories.get(node, {})):
            self.remove(node, child)
        if not any(node in names.values() for names in self.directories.values()):
            self.directories.pop(node, None)
            self.files.pop(node, None)
            self.changed.pop(node)

    def dump(self, number: int, since: int) -> Dump:
        """What changed after ``since``; a dump holds every directory on the way to that, too."""
        held = {node for node, at in self.changed.items() if at > since}
        grown = True
        while grown:
            above = {node for node, names in self.directories.items() if held & set(names.values())}
            grown = not above <= held
            held |= above
        return Dump(
            id=number,
            root=ROOT,
            directories={node: dict(names) for node, names in self.directories.items() if node in held},
            files=frozenset(held & set(self.files)),
        )

    def paths(self, node: int = ROOT, above: bytes = b"") -> dict[bytes, int]:
        """Every path with its node."""
        found = {above or b"/": node}
        for name, child in self.directories.get(node, {}).items():
            found |= self.paths(child, above + b"/" + name)
        return found


def live(files: FileSystem, chance: random.Random) -> None:
    """A few changes."""
    files.moment += 1
    for _ in range(chance.randint(0, 4)):
        folder = chance.choice(sorted(files.directories))
        names = sorted(files.directories[folder])
        what = chance.choice(["file", "folder", "write", "remove", "move", "link"])
        free = next(name for name in (b"%c" % letter for letter in range(97, 123)) if name not in names)
        if what in {"file", "folder"}:
            files.new(folder, free, is_directory=what == "folder")
        elif what == "write" and files.files:
            files.write(chance.choice(sorted(files.files)))
        elif what == "remove" and names:
            files.remove(folder, chance.choice(names))
        elif what == "link" and files.files:
            node = chance.choice(sorted(files.files))
            files.directories[folder][free] = node
            files.changed[node] = files.changed[folder] = files.moment
        elif what == "move" and names:
            name = chance.choice(names)
            node = files.directories[folder][name]
            below = set(files.paths(node).values())
            target = chance.choice(sorted(set(files.directories) - below))
            if name not in files.directories[target]:
                files.move(folder, name, target, name)


@given(asked=st.text(alphabet="FDI", min_size=1, max_size=14), seed=st.integers(0, 10**6), data=st.data())
def test_l6_any_dump_of_any_life_gives_its_moment_back(asked: str, seed: int, data: st.DataObject) -> None:
    chance, files = random.Random(seed), FileSystem()
    numbers: list[int] = []
    moments: list[int] = []
    dumps: list[Dump] = []
    truths: list[dict[bytes, tuple[bool, int]]] = []
    for letter in asked:
        live(files, chance)
        level = {"F": RunLevel.FULL, "D": RunLevel.DIFFERENTIAL, "I": RunLevel.INCREMENTAL}[letter]
        last = numbers[-1] if numbers else None
        number = copy_level(snapshot_level=level, has_base=bool(numbers), base_number=last, limit=4).number
        since = max((at for at, lower in zip(moments, numbers, strict=True) if lower < number), default=0)
        dumps.append(files.dump(len(dumps), since if number else 0))
        numbers.append(number)
        moments.append(files.moment)
        truths.append({path: (node in files.files, files.changed[node]) for path, node in files.paths().items()})
    index = data.draw(st.integers(0, len(dumps) - 1))
    chain = restore_chain(numbers, index)
    merged = merge([dumps[place] for place in chain])
    sources = merged.sources()
    assert set(sources) == set(truths[index])
    for path, source in sources.items():
        assert source in chain
        assert merged.source_of(path) == source
        is_file, changed = truths[index][path]
        newest = [place for place in chain if changed <= moments[place]]
        if is_file:
            assert source == newest[0], "the first of the chain that saw its last change holds the newest content"
    assert merged.source_of(b"/never there") is None


def test_l6_job_12_of_the_first_example_comes_from_three_streams_and_job_10_from_ten() -> None:
    numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3]
    files, dumps = FileSystem(), []
    files.new(ROOT, b"at-0", is_directory=False)
    moments = [1]
    dumps.append(files.dump(0, 0))
    for job in range(1, 13):
        files.moment += 1
        files.new(ROOT, b"at-%d" % job, is_directory=False)
        since = 1 if numbers[job] == 1 else moments[-1]
        dumps.append(files.dump(job, since))
        moments.append(files.moment)
    job_12 = merge([dumps[place] for place in restore_chain(numbers, 11)])
    assert job_12.sources()[b"/at-0"] == 0
    assert {job_12.source_of(b"/at-%d" % job) for job in range(1, 11)} == {10}, "the differential has them all"
    assert (job_12.source_of(b"/at-11"), job_12.source_of(b"/at-12")) == (11, None)
    job_10 = merge([dumps[place] for place in restore_chain(numbers, 9)])
    assert [job_10.source_of(b"/at-%d" % job) for job in range(10)] == list(range(10))
    assert set(job_10.sources().values()) == set(range(10)), "ten streams"


def test_l6_a_partial_one_is_no_link_of_a_chain() -> None:
    assert restore_chain([0, 1, 2, 2, 3], 4, without=[2]) == [0, 1, 3, 4]
    assert restore_chain([0, 1, 2, 2], 2, without=[2]) == [0, 1, 2], "it may be restored itself"
    assert restore_chain([0, 1, 0, 2], 3, without=[2]) == [0, 1, 3], "a full that failed in parts begins no chain"


def test_l6_a_dump_that_is_missing_is_found_out() -> None:
    with pytest.raises(ChainBroken, match="no dump"):
        merge([])
    alone = merge([Dump(id=7, root=ROOT, directories={ROOT: {b"here": 3, b"older": 4}}, files=frozenset({3}))])
    assert alone.source_of(b"/here") == 7
    assert alone.source_of(b"/here/below") is None
    for ask in (alone.sources, lambda: alone.source_of(b"/older")):
        with pytest.raises(ChainBroken, match="/older is in none of the dumps"):
            ask()
    with pytest.raises(ChainBroken):
        merge([Dump(id=1, root=ROOT, directories={}, files=frozenset())]).source_of(b"/")
