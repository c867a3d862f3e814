"""The contract of every medium: what a driver must do, and nothing of how.

Names are those of the repository layout: ``config``, ``keys/<id>``, ``data/<2 hex>/<id>`` ...; always relative, ``/``
separated. Every method raises the Media* and NoSpace errors of :mod:`jobs.engine.errors`, never a bare OSError.
Drivers are thread-safe, hold no connection across ``fork`` and are built inside the process that uses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Bytes of the medium; None where it cannot tell."""

    total_bytes: int | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestStep:
    """One step of a Test with what it measured, for people: ``name`` “write”, ``detail`` “1 MiB in 3 ms”."""

    __test__ = False

    name: str
    ok: bool
    seconds: float
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReport:
    """What pressing **Test** found. ``ok`` only if every step is.

    ``facts`` are what forms and pages may offer afterwards, JSON-compatible, each driver's own; ``warnings`` are
    sentences about what works and is still worth knowing.
    """

    __test__ = False

    steps: tuple[TestStep, ...]
    usage: Usage | None = None
    facts: dict[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)


Buffer = bytes | bytearray | memoryview


class Media(Protocol):
    """One medium. See the module docstring for names, errors and threads."""

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        """Store the concatenated pieces; visible whole or not at all, durable when it returns. Overwrites."""

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Exactly ``length`` bytes from ``offset`` (None = to the end); a short answer is an error."""

    def size(self, name: str) -> int:
        """Bytes of a stored file."""

    def exists(self, name: str) -> bool: ...

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(name on the medium, bytes) of every file below ``prefix`` (a folder); unordered; temp files hidden."""

    def delete(self, name: str) -> None:
        """Remove a file; a missing one is no error."""

    def usage(self) -> Usage: ...

    def test(self) -> TestReport:
        """Write, read back, list and delete a probe object; measures latency; never raises for a failed step."""

    def close(self) -> None: ...
