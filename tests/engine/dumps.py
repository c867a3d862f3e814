"""Dumps of a real NDMP server in a repository, and trees that are compared with what came back."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.engine.clock import SystemClock
from jobs.engine.events import FreeRun
from jobs.engine.ids import FileId
from jobs.engine.ndmp.dump_source import DumpSource
from jobs.engine.ndmp.history_spool import HistorySpool
from jobs.engine.ndmp.login import AuthWay, Server
from jobs.engine.ndmp.profiles import GENERIC, HistoryWish
from jobs.engine.ndmp.session import Waits
from jobs.engine.ndmp.values import Pair
from jobs.engine.operations import dump
from jobs.engine.operations.dumping.plan import DumpPlan
from jobs.engine.plan import Secret, SourceRoot, StoredPath
from tests.ndmp_server import ACCOUNT, PORT, NdmpHost

from .copying import Copier, Recorder
from .repositories import PASSWORD, disk_at

SERVER = Server(host="127.0.0.1", port=PORT, account=ACCOUNT, password=Secret(ACCOUNT), auth=AuthWay.MD5)
WAITS = Waits(connect=60, answer=60, data_connect=60, idle=60, probe=60, halt=60, abort=60)


@dataclass
class Dumper:
    """Makes a chain of dumps of a server's volume, one snapshot file each, in a repository below ``base``."""

    host: NdmpHost
    base: Path
    files: list[FileId] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.copier = Copier(self.base, at_top=False)

    @property
    def content(self) -> StoredPath:
        return StoredPath(os.fsencode(self.host.root))

    def dump(self, level: int = 0, *, wish: HistoryWish = HistoryWish.ITS_CHOICE) -> FileId:
        """Call it on the server's thread."""
        plan = DumpPlan(
            source=DumpSource(server=SERVER, profile=GENERIC, history=wish),
            file_systems=(str(self.host.root),),
            level=level,
            base_tokens=None,
            hostname="filer",
            username="tester",
            taken_at_ns=1_700_000_000_000_000_000,
            waits=WAITS,
        )
        media = disk_at(self.copier.path)
        done = dump.run(plan, media, PASSWORD, Recorder(), FreeRun(), SystemClock(), new_history=HistorySpool)
        self.files.append(done.copy.snapshot_file_id)
        return done.copy.snapshot_file_id


def keep(
    copier: Copier,
    content: bytes,
    *,
    image: bytes,
    history: str | None,
    level: int = 0,
    environment: Sequence[Pair] = (),
    profile: str = "generic",
    kind: str = "dump",
) -> FileId:
    """One dump into the repository, as a snapshot file of its own."""
    with tempfile.TemporaryDirectory(dir=copier.path.parent) as made:
        folder = Path(made)
        (folder / f"{level}.image").write_bytes(image)
        about = {
            "type": kind,
            "level": level,
            "profile": profile,
            "file_system": os.fsdecode(content),
            "environment": [[pair.name, pair.value] for pair in environment],
        }
        (folder / f"{level}.env.json").write_text(json.dumps(about))
        if history is not None:
            (folder / f"{level}.history").write_text(history)
        root = SourceRoot(directory=folder, stored_as=StoredPath(b"/ndmp" + content))
        return copier.run(copier.plan(root)).snapshot_file_id


Picture = dict[str, tuple[object, ...]]


def picture(folder: Path) -> Picture:
    """Everything that a restore must give back of each path: kind, mode, owner, time, content, links."""
    found: Picture = {}
    first: dict[int, str] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status, name = path.lstat(), str(path.relative_to(folder))
        one = first.setdefault(status.st_ino, name)
        owner = (stat.filemode(status.st_mode), status.st_uid, status.st_gid, int(status.st_mtime))
        if path.is_symlink():
            found[name] = (*owner, os.readlink(path))
        elif path.is_file():
            found[name] = (*owner, status.st_size, hash(path.read_bytes()), one)
        else:
            found[name] = owner
    return found
