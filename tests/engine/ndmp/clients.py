"""What the NDMP tests share on our side: short waits, an image in memory, and how to come to a server."""

from __future__ import annotations

from jobs.engine.events import Control, FreeRun
from jobs.engine.ndmp.login import AuthWay, Server, connect
from jobs.engine.ndmp.session import Session, Waits
from jobs.engine.plan import Secret

from .filer import HOME, PASSWORD, Filer

PATIENT = Waits(connect=60, answer=60, data_connect=60, idle=60, probe=60, halt=60, abort=60)
"""For what answers: a busy machine changes nothing."""
HASTY = Waits(connect=0.3, answer=60, data_connect=0.3, idle=60, probe=60, halt=0.3, abort=60)
"""For who never speaks, brings no data, or does not say how it went. What is asked is answered."""


class MemoryImage:
    """Keeps the image; a reader and a writer."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.reads: list[tuple[int, int]] = []
        self._room = memoryview(bytearray(1 << 16))

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    def room(self) -> memoryview:
        return self._room

    def took(self, count: int) -> None:
        self.content += self._room[:count]

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        piece = bytes(self.content[offset : offset + length])
        assert len(piece) == length
        return piece


def visit(
    server: Filer,
    *,
    password: str = PASSWORD,
    auth: AuthWay = AuthWay.SAFEST,
    waits: Waits = PATIENT,
    control: Control | None = None,
) -> Session:
    where = Server(host=HOME, port=server.port, password=Secret(password), auth=auth)
    return connect(where, control or FreeRun(), waits=waits)
