"""A declared test engine: the directory engine, read by dumps of levels with tokens, as filers do (RULES L5).

The filer remembers what was in each snapshot, by the number in its tokens. A dump is one file: all names of every
directory, and the content of what changed since the base.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from jobs.engine.errors import InvalidOptions
from jobs.engine.ids import SnapshotName
from jobs.engine.snapshots import registry
from jobs.engine.snapshots.base import Capability, DumpOrder, OpenDump, SnapshotRef, SnapshotRoot
from jobs.engine.snapshots.directory import DirectoryEngine, DirectoryOptions
from jobs.rules.chains import Dump
from jobs.rules.tokens import HIGHEST_LEVEL, NO_BASE, DumpDate, decode, encode
from policies.models import Subclient

IMAGE: Final = "dump.image"
Content = dict[str, str]


@dataclass
class Incidents:
    """What goes wrong at the filer, and what it was asked."""

    while_reading: Callable[[SnapshotRoot], AbstractContextManager[object]] = nullcontext
    answer: Callable[[str], str] = str
    orders: list[DumpOrder] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpingOptions(DirectoryOptions):
    """The same settings."""


class DumpingEngine(DirectoryEngine):
    """RULES L5: an engine with ``DUMP_TOKENS``."""

    name = "dumping"
    label = "Dumps with tokens"
    capabilities = DirectoryEngine.capabilities | {Capability.DUMP_TOKENS}
    incidents: ClassVar[Incidents]

    @contextmanager
    def open_dump(self, ref: SnapshotRef, order: DumpOrder) -> Iterator[OpenDump]:
        self.incidents.orders.append(order)
        with tempfile.TemporaryDirectory() as folder, self.open(ref) as snapshot, ExitStack() as stack:
            roots = []
            for number, root in enumerate(snapshot):
                known = self._known(order, root.content_path)
                directory = Path(folder, str(number))
                directory.mkdir()
                (directory / IMAGE).write_text(json.dumps(_image(root.directory, known)))
                roots.append(SnapshotRoot(content_path=root.content_path, directory=directory))
                self._remember(ref.name, root)
                stack.enter_context(self.incidents.while_reading(roots[-1]))
            token = self.incidents.answer(encode(DumpDate(level=order.level, time=_number(ref.name))))
            yield OpenDump(roots=tuple(roots), dump_dates=lambda: dict.fromkeys(ref.content, token))

    def _known(self, order: DumpOrder, path: str) -> Content:
        base = order.base_dates[path]
        if (decode(base).level + 1 if base != NO_BASE else 0) != order.level:
            raise InvalidOptions(f"A dump of level {order.level} cannot be built on {base}.")
        if base == NO_BASE:
            return {}
        kept: Content = json.loads(self._memory(decode(base).time, path).read_text())
        return kept

    def _remember(self, name: SnapshotName, root: SnapshotRoot) -> None:
        memory = self._memory(_number(name), root.content_path)
        memory.parent.mkdir(exist_ok=True)
        memory.write_text(json.dumps({path: _digest(file) for path, file in _files(root.directory)}))

    def _memory(self, number: int, path: str) -> Path:
        return Path(self.area.path, ".memory", f"{number}-{zlib.crc32(path.encode())}")


KIND: Final = registry.EngineKind(
    name=DumpingEngine.name,
    label=DumpingEngine.label,
    summary=DumpingEngine.summary,
    capabilities=DumpingEngine.capabilities,
    options=DumpingOptions,
    build=DumpingEngine,
    max_incrementals=HIGHEST_LEVEL,
)


@contextmanager
def registered() -> Iterator[Incidents]:
    """The product knows the engine within the block."""
    registry.ENGINES[KIND.name] = KIND
    DumpingEngine.incidents = Incidents()
    try:
        yield DumpingEngine.incidents
    finally:
        del registry.ENGINES[KIND.name]


def use_it(subclient: Subclient) -> None:
    """Its file server is one of this engine."""
    subclient.file_server.engine = KIND.name
    subclient.file_server.save()


def read_image(id: int, text: bytes) -> tuple[Dump, dict[int, bytes]]:  # noqa: A002
    """A dump as it lies in a backup copy: its names, and the content of the files that are in it."""
    image = json.loads(text)
    dump = Dump(
        id=id,
        root=image["root"],
        directories={
            int(node): {name.encode(): below for name, below in names.items()}
            for node, names in image["directories"].items()
        },
        files=frozenset(int(node) for node in image["files"]),
    )
    return dump, {int(node): content.encode() for node, content in image["files"].items()}


def _image(directory: Path, known: Mapping[str, str]) -> dict[str, object]:
    folders = [directory, *(path for path in directory.rglob("*") if path.is_dir())]
    return {
        "root": _node(directory, directory),
        "directories": {
            _node(directory, folder): {one.name: _node(directory, one) for one in folder.iterdir()}
            for folder in folders
        },
        "files": {
            _node(directory, file): file.read_text()
            for path, file in _files(directory)
            if known.get(path) != _digest(file)
        },
    }


def _files(directory: Path) -> list[tuple[str, Path]]:
    return [(str(file.relative_to(directory)), file) for file in sorted(directory.rglob("*")) if file.is_file()]


def _node(root: Path, path: Path) -> int:
    return zlib.crc32(str(path.relative_to(root)).encode())


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _number(name: str) -> int:
    """The job's number in the name of its snapshot, which counts as the time."""
    return int(name.split("-")[2])
