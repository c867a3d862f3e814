"""The source roots of a copy, and the chain of parent directories above them, which restic stores as trees, too."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...errors import InvalidOptions, SourceMissing, SourceUnavailable
from ...ids import BlobId
from ...plan import SourceRoot
from ...repository.gojson import name_body
from ...repository.tree import join_tree
from ...snapshots.origins import Origins
from ...source.node import attributes_of, subtree_suffix
from ...source.status import Status, source_status
from .context import RootContext
from .reuse import Reuse

FIELD: Final = "content_paths"


@dataclass(slots=True)
class _Level:
    """A directory of the chain: those below it by raw name, and the number of the root it is, if it is one."""

    root: int | None = None
    below: dict[bytes, _Level] = field(default_factory=dict)


def resolve_roots(roots: Sequence[SourceRoot]) -> tuple[RootContext, ...]:
    """The roots as they are now. A root inside another one, at the same place there, is left out.

    Raises SourceMissing, SourceUnavailable, SnapshotMissing (its table of origins is gone), and InvalidOptions (field
    ``content_paths``) for paths that clash.
    """
    if not roots:
        raise InvalidOptions("There is nothing to copy: no content path is given.", field=FIELD)
    found = [_resolve(root) for root in sorted(roots, key=lambda root: root.stored_as)]
    kept: list[RootContext] = []
    for root in found:
        outer = next((other for other in kept if _is_inside(root.stored_as, other.stored_as)), None)
        if outer is None:
            kept.append(root)
        elif os.path.realpath(outer.directory + root.stored_as[len(outer.stored_as) :]) != os.path.realpath(
            root.directory
        ):
            raise InvalidOptions(
                f"“{root.stored_as or '/'}” lies inside “{outer.stored_as or '/'}” but is read from another place.",
                field=FIELD,
                hint="Give it a subclient of its own.",
            )
    return tuple(kept)


def _is_inside(path: str, outer: str) -> bool:
    return path == outer or path.startswith(outer + "/")


def _resolve(root: SourceRoot) -> RootContext:
    shown = os.fsdecode(root.stored_as)
    parts = root.stored_as.split(b"/")
    if parts[0] or any(part in {b".", b".."} for part in parts):
        raise InvalidOptions(f"“{shown}” is not an absolute path.", field=FIELD)
    directory = os.path.abspath(root.directory)
    try:
        st = os.stat(directory)
    except FileNotFoundError as error:
        raise SourceMissing(f"“{shown}” does not exist.") from error
    except OSError as error:
        raise SourceUnavailable(f"“{shown}” cannot be read: {error.strerror}.") from error
    if not stat.S_ISDIR(st.st_mode):
        raise InvalidOptions(f"“{shown}” is not a directory.", field=FIELD, hint="Give the directory that holds it.")
    stored = b"".join(b"/" + part for part in parts if part)
    return RootContext(
        directory="" if directory == "/" else os.path.realpath(directory),
        stored_as=os.fsdecode(stored),
        device=st.st_dev,
        origins=Origins(root.origins) if root.origins is not None else None,
        previous=os.path.realpath(root.previous) if root.previous is not None else None,
    )


def save_chain(
    roots: Sequence[RootContext],
    trees: Sequence[BlobId],
    *,
    reuse: Sequence[Reuse],
    old_nodes: Mapping[bytes, str],
    save_tree: Callable[[bytes], BlobId],
) -> BlobId:
    """Store the directories above the roots; returns the tree of the whole copy.

    Their metadata are those of the live directories of these paths, or the root's where there is none here.
    ``reuse`` holds one rule per root; ``old_nodes`` are the parent's nodes by stored path.
    """
    top = _Level()
    for number, root in enumerate(roots):
        level = top
        for part in os.fsencode(root.stored_as).split(b"/")[1:]:
            level = level.below.setdefault(part, _Level())
        level.root = number

    def metadata(level: _Level, path: bytes) -> tuple[bytes, Status]:
        number = level.root
        if number is None:
            try:
                st = os.stat(path)
                if stat.S_ISDIR(st.st_mode):
                    return path, st
            except OSError:
                pass
            number = _first_root(level)
        where = os.fsencode(roots[number].directory) or b"/"
        return where, source_status(os.stat(where), roots[number].origins)

    def save(level: _Level, path: bytes) -> BlobId:
        if level.root is not None:
            return trees[level.root]
        nodes = []
        for name, below in sorted(level.below.items()):
            stored = path + b"/" + name
            where, st = metadata(below, stored)
            prefix = reuse[_first_root(below)].prefix(name_body(os.fsdecode(name)), st, 0, old_nodes.get(stored))
            nodes.append(prefix + attributes_of(where) + subtree_suffix(save(below, stored)))
        return save_tree(join_tree(nodes))

    return save(top, b"")


def _first_root(level: _Level) -> int:
    while level.root is None:
        level = next(iter(level.below.values()))
    return level.root
