"""Whatever a file server sends, a backup ends soon: whole, or with an error in words. Streams cut off and distorted."""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobs.engine.errors import EngineError
from jobs.engine.ndmp import history_values as h
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.backup import BackupOrder, back_up
from jobs.engine.ndmp.history import HistoryDecoder
from jobs.engine.ndmp.history_tree import HistoryTree
from jobs.engine.ndmp.login import capabilities
from jobs.engine.ndmp.profiles import GENERIC
from jobs.engine.ndmp.session import Waits
from jobs.engine.ndmp.values import LogKind

from .clients import MemoryImage, visit
from .filer import Script, filer, log

HASTY = Waits(connect=0.15, answer=0.15, data_connect=0.15, idle=0.3, probe=0.1, halt=0.15, abort=0.1)
STATUS = h.FileStatus(0, 0, h.EntryKind.FILE, 5, 6, 7, 0, 0, 0o644, 6, 1)
POSTS: list[tuple[m.Post[Any], object]] = [
    log("phase IV", LogKind.NORMAL),
    (m.FH_ADD_DIR, h.DirectoryHistory((h.DirectoryEntry((h.UnixName(b"."), h.NtName(b".", b".")), 64, 64),))),
    (m.FH_ADD_DIR, h.DirectoryHistory((h.DirectoryEntry((h.UnixName(b"a.txt"),), 70, 64),) * 3)),
    (m.FH_ADD_NODE, h.NodeHistory((h.NodeEntry((STATUS,), 70, 512), h.NodeEntry((), 71, 0)))),
    (m.FH_ADD_FILE, h.FileHistory((h.FileEntry((h.OtherName(b"b"),), (STATUS, STATUS), 70, 512),))),
]
ODD_WORDS = (0, 1, 2, 5, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 24)


def distorted(record: bytes, source: random.Random) -> bytes:
    """One thing in it is different: a bit, a word, its end, its length, or the whole of it."""
    at = source.randrange(len(record))
    word = at - at % 4
    distortions: tuple[Callable[[], bytes], ...] = (
        lambda: record[:at] + bytes([record[at] ^ 1 << source.randrange(8)]) + record[at + 1 :],
        lambda: record[:word] + struct.pack(">I", source.choice(ODD_WORDS)) + record[word + 4 :],
        lambda: record[:at],
        lambda: record[:word] + record[word + 4 :],
        lambda: record[:at] + source.randbytes(source.randrange(1, 40)) + record[at:],
        lambda: record * 2,
        lambda: b"",
        lambda: source.randbytes(len(record)),
    )
    return source.choice(distortions)()


@pytest.mark.parametrize("seed", range(30))
def test_a_distorted_session_ends_whole_or_in_words(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.engine.ndmp.login._SHORT_SECONDS", HASTY.answer)
    source = random.Random(seed)
    victims = {source.randrange(16) for _ in range(source.choice((1, 1, 2)))}
    count = iter(range(1 << 30))

    def tamper(record: bytes) -> bytes:
        return distorted(record, source) if next(count) in victims else record

    script = Script(posts=POSTS, tamper=tamper)
    order = BackupOrder(type="dump", environment=GENERIC.backup_environment("/vol/vol1"))
    image, tree = MemoryImage(), HistoryTree()
    threads = set(threading.enumerate())
    failure: EngineError | None = None
    with filer(script) as server:
        try:
            with visit(server, waits=HASTY) as session:
                capabilities(session)
                result = back_up(session, order, image, history=HistoryDecoder(tree))
            list(tree.entries())
        except EngineError as error:
            failure = error
    if failure is None:
        assert bytes(image.content) == script.image
        assert result.image_bytes == len(script.image)
    else:
        assert failure.sentence[0].isupper()
        assert failure.sentence.isprintable()
    assert set(threading.enumerate()) <= threads, "none is left of these"
