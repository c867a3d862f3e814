"""Which part of a copy's tree is wanted: whole subtrees, found through the directories above them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ...errors import InvalidOptions
from ...plan import StoredPath


@dataclass(slots=True)
class Selection:
    """One directory of the way: it is wanted whole, or only the named children are."""

    is_whole: bool = False
    children: dict[bytes, Selection] = field(default_factory=dict)

    def below(self, name: bytes) -> Selection | None:
        """The selection inside a child, or None if the child is not wanted."""
        return self if self.is_whole else self.children.get(name)


def split_path(path: bytes) -> tuple[bytes, ...]:
    """The names of a stored path; ``b""`` and ``b"/"`` have none. Raises InvalidOptions for ``.`` and ``..``."""
    parts = tuple(part for part in path.split(b"/") if part)
    if any(part in {b".", b".."} or b"\0" in part for part in parts):
        raise InvalidOptions(f"“{path!r}” is not a path inside a backup copy.", field="paths")
    return parts


def select(paths: Iterable[StoredPath], *, below: tuple[bytes, ...] = ()) -> Selection:
    """The selection of ``paths``, seen from the directory ``below``; no paths = everything.

    Raises InvalidOptions for a path that is not inside ``below``.
    """
    root = Selection()
    wanted = [split_path(path) for path in paths]
    for parts in wanted or [below]:
        if parts[: len(below)] != below:
            raise InvalidOptions(
                f"“{display(parts)}” is not below “{display(below)}”, the part to strip.", field="strip_prefix"
            )
        at = root
        for name in parts[len(below) :]:
            at = at.children.setdefault(name, Selection())
        at.is_whole = True
    return root


def display(parts: tuple[bytes, ...]) -> str:
    """A stored path for people."""
    return "/" + b"/".join(parts).decode("utf-8", "backslashreplace")
