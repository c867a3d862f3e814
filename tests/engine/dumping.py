"""Dumps in tests: a plan for a file server, a repository to dump into, and what lies in it afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.engine.clock import SystemClock
from jobs.engine.events import Control, FreeRun
from jobs.engine.ids import FileId
from jobs.engine.media.base import Media
from jobs.engine.ndmp.dump_source import DumpSource
from jobs.engine.ndmp.history import DirectoryRecord, FileRecord, NodeRecord
from jobs.engine.ndmp.login import Server
from jobs.engine.ndmp.profiles import GENERIC, Profile
from jobs.engine.ndmp.session import Waits
from jobs.engine.operations import dump
from jobs.engine.operations.browse import Browser
from jobs.engine.operations.dumping.plan import DumpPlan, DumpResult
from jobs.engine.plan import CopySettings, Secret
from jobs.engine.repository.stored_file import StoredFile

from .copying import Recorder
from .ndmp.clients import PATIENT
from .ndmp.filer import HOME
from .ndmp.filer import PASSWORD as FILER_PASSWORD
from .repositories import PASSWORD, disk_at, new_repository

TAKEN_NS = 1_700_000_000_000_000_000


class MemoryHistory:
    """Stands in for the spool: keeps everything in memory, and remembers whether it was closed."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.records = 0
        self.is_closed = False

    def files(self, records: list[FileRecord]) -> None:
        self._keep("f", records)

    def directories(self, records: list[DirectoryRecord]) -> None:
        self._keep("d", records)

    def nodes(self, records: list[NodeRecord]) -> None:
        self._keep("n", records)

    def write_to(self, write: Callable[[bytes], object]) -> None:
        write(b'{"v":1}\n')
        for line in self.lines:
            write(line)

    def close(self) -> None:
        self.is_closed = True

    def _keep(self, letter: str, records: list[Any]) -> None:
        self.records += len(records)
        self.lines += [json.dumps([letter, repr(record)]).encode() + b"\n" for record in records]


class DumpPlace:
    """A new repository, and dumps into it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "repository"
        self.repository = new_repository(self.path)
        self.sink = Recorder()
        self.begun: list[str] = []
        self.histories: list[MemoryHistory] = []

    def run(
        self,
        plan: DumpPlan,
        *,
        media: Media | None = None,
        password: Secret = PASSWORD,
        control: Control | None = None,
    ) -> DumpResult:
        self.sink = Recorder()

        def new_history() -> MemoryHistory:
            self.histories.append(MemoryHistory())
            return self.histories[-1]

        return dump.run(
            plan,
            media or disk_at(self.path),
            password,
            self.sink,
            control or FreeRun(),
            SystemClock(),
            new_history=new_history,
            before_dump=self.begun.append,
        )

    def names(self, folder: str) -> list[str]:
        """Files in one of the repository's folders, like ``locks``."""
        return sorted(os.listdir(self.path / folder)) if (self.path / folder).exists() else []

    def stored(self, snapshot_file_id: FileId, path: bytes) -> StoredFile:
        browser = Browser.open(self.repository, snapshot_file_id)
        node = browser.node(path)
        assert node is not None
        return StoredFile(browser.reader, node)

    def whole(self, snapshot_file_id: FileId, path: bytes) -> bytes:
        file = self.stored(snapshot_file_id, path)
        return file.read(0, file.size_bytes)


def source_at(
    port: int, *, profile: Profile = GENERIC, account: str = "ndmp", password: str = FILER_PASSWORD
) -> DumpSource:
    server = Server(host=HOME, port=port, account=account, password=Secret(password))
    return DumpSource(server=server, profile=profile)


def plan_of(
    source: DumpSource,
    *file_systems: str,
    level: int = 0,
    waits: Waits = PATIENT,
    pack_bytes: int = 1 << 20,
    **more: Any,
) -> DumpPlan:
    return DumpPlan(
        source=source,
        file_systems=file_systems or ("/vol/vol1",),
        level=level,
        base_tokens=more.pop("base_tokens", None),
        hostname="filer",
        username="tester",
        taken_at_ns=TAKEN_NS,
        tags=("a tag",),
        settings=CopySettings(pack_bytes=pack_bytes),
        waits=waits,
        **more,
    )
