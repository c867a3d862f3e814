"""Files of a snapshot on its storage, streamed from a node that sees it to the process that answers a browser.

The node says first what comes, so that whatever is wrong is told on a page; then come the bytes. A stream that ends too
early is cut off for the browser, too.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from jobs import queues
from jobs.engine.errors import EngineError, NotInCopy, SourceUnavailable
from jobs.engine.events import FreeRun
from jobs.engine.operations.archive import ArchiveFormat, stream
from jobs.engine.operations.archiving.in_snapshot import InSnapshot
from jobs.engine.operations.restoring.from_snapshot import OpenedSnapshot
from jobs.engine.plan import StoredPath
from jobs.engine.repository.tree import NodeKind
from jobs.engine.snapshots.channel import MOST_BYTES, Channel, raise_failure
from jobs.models import Snapshot, SnapshotReplica
from jobs.runner import meeting
from jobs.runner.answering import asked_about
from jobs.runner.references import source_roots
from jobs.services.asking import node_for

logger = logging.getLogger(__name__)

_CONTROL: Final = FreeRun()
_PATIENCE_SECONDS: Final = 600.0
"""A browser may pause a download."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """``size`` in bytes; None for an archive, which nobody knows before its end. ``pieces`` must be closed."""

    size: int | None
    pieces: Pieces


class Pieces(Iterator[bytes]):
    """The bytes as they come. Raises SourceUnavailable if they end too early."""

    def __init__(self, channel: Channel, kept: contextlib.ExitStack) -> None:
        self._channel = channel
        self._kept = kept

    def __next__(self) -> bytes:
        piece = self._channel.read()
        if not piece:
            self.close()
            raise StopIteration
        return piece

    def close(self) -> None:
        """Hang up; the node ends its work at once."""
        self._kept.close()


def fetch(
    snapshot: Snapshot, replica: SnapshotReplica | None, paths: list[bytes], kind: ArchiveFormat | None
) -> Stream:
    """``kind`` None: the one regular file ``paths`` names, as it is.

    Raises NodeSilent, SourceUnavailable, and what the storage raises.
    """
    node = node_for(snapshot, replica)
    values = {
        "snapshot": snapshot.pk,
        "replica": replica.pk if replica is not None else None,
        "paths": [path.hex() for path in paths],
        "kind": kind.value if kind is not None else "",
    }
    with contextlib.ExitStack() as stack:
        channel = stack.enter_context(meeting.ordered(node, queues.SEND_FILES, values, _CONTROL))
        comes = channel.hear()
        raise_failure(comes)
        return Stream(size=comes.get("size"), pieces=Pieces(channel, stack.pop_all()))


def send(values: dict[str, Any], key: str) -> None:
    """The node's side. What fails is told to the other side and logged."""
    try:
        engine, ref = asked_about(values)
        with (
            engine.open(ref) as opened,
            meeting.awaited(key, _CONTROL) as channel,
            contextlib.closing(OpenedSnapshot(source_roots(opened))) as snapshot,
        ):
            _send(channel, InSnapshot(snapshot), values)
    except EngineError as error:
        logger.warning("Files of a snapshot were not sent: %s", error.sentence)
        meeting.tell_failure(key, error)


def _send(channel: Channel, holding: InSnapshot, values: dict[str, Any]) -> None:
    paths = [StoredPath(bytes.fromhex(path)) for path in values["paths"]]
    try:
        if values["kind"]:
            size, pieces = None, stream(holding, paths, ArchiveFormat(values["kind"]))
        else:
            size, pieces = _plain_file(holding, paths[0])
    except EngineError as error:
        channel.tell(failed=error.code, sentence=error.sentence, hint=error.hint)
        channel.drain()
        raise
    channel.silence_seconds = _PATIENCE_SECONDS
    channel.tell(size=size)
    for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), MOST_BYTES):
            channel.write(view[start : start + MOST_BYTES])
    channel.end()
    channel.drain()


def _plain_file(holding: InSnapshot, path: StoredPath) -> tuple[int, Iterator[bytes]]:
    node = holding.node(path)
    if node is None or node.kind is not NodeKind.FILE:
        raise NotInCopy("This is no regular file.", hint="Download it within an archive.")
    left_out: list[str] = []
    member = next(holding.members([(path, node)], lambda _path, why: left_out.append(why)), None)
    if member is None:
        raise SourceUnavailable(f"The file cannot be downloaded: {'; '.join(left_out)}.")
    return member.size, member.pieces if member.pieces is not None else iter((member.whole or b"",))
