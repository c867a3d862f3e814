"""What is looked at again and again while a job runs, on the thread that owns it: no other may use its database."""

from __future__ import annotations

from collections.abc import Callable

Look = Callable[[], None]


class Rounds:
    """Looks that the guard makes about twice a second. May be added and removed from any thread."""

    def __init__(self) -> None:
        self._looks: tuple[Look, ...] = ()

    def add(self, look: Look) -> None:
        self._looks = (*self._looks, look)

    def remove(self, look: Look) -> None:
        self._looks = tuple(other for other in self._looks if other != look)

    def make(self) -> None:
        """Raises what a look raises, such as DatabaseError."""
        for look in self._looks:
            look()
