"""One value for each process: what drivers keep open, such as connections, never crosses a ``fork``.

After a fork the child makes a value of its own on first use. The parent's stays referenced there and is never touched:
to close it would say goodbye on sockets that the parent is still using.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")


class _Process:
    """Which process this is; unlike a process id it never comes again."""

    identity: object = object()

    @classmethod
    def renew(cls) -> None:
        cls.identity = object()


os.register_at_fork(after_in_child=_Process.renew)


class PerProcess(Generic[Value]):
    """Makes the value of this process on first use. Thread-safe without a lock: one held during a fork never opens."""

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make: Final = make
        self._values: Final[dict[object, Value]] = {}

    def get(self) -> Value:
        """This process's value. Where two threads are first at once, one value is dropped: ``make`` opens nothing."""
        found = self._values.get(_Process.identity)
        return found if found is not None else self._values.setdefault(_Process.identity, self._make())

    def take(self) -> Value | None:
        """This process's value if there is one, for closing it; the next ``get`` makes another."""
        return self._values.pop(_Process.identity, None)

    def inherited(self) -> Value | None:
        """What the process that forked this one had, for what may be shared between the two; None = nothing."""
        others = [value for identity, value in self._values.items() if identity is not _Process.identity]
        return others[-1] if others else None
