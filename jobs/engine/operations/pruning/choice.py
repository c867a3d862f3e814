"""What to do with each pack: keep it, remove it, or write its needed blobs anew. Decides only; nothing is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from ...ids import FileId
from ...repository.index import Flags, Index
from ...repository.layout import BlobKind, FileKind, damaged, file_name
from ..pack_table import PackTable
from .needs import Needed

_SMALL_PART: Final = 5
"""A pack below a fifth of the wanted size is small."""
_ENOUGH_SMALL: Final = 10
"""So many small packs are worth being written into fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """See ``PrunePlan``."""

    max_unused_percent: float
    max_repack_bytes: int | None
    pack_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """``removed`` hold nothing that is needed; ``repacked`` go after their needed blobs were written anew.

    ``repack_numbers`` are the numbers of ``repacked`` in the pack table. ``vanished`` are packs that index files
    name, that are not there, and that nobody needs. ``rewritten_bytes`` is about what repacking writes.
    """

    unreferenced: tuple[FileId, ...]
    removed: tuple[FileId, ...]
    repacked: tuple[FileId, ...]
    repack_numbers: tuple[int, ...]
    vanished: tuple[FileId, ...]
    rewritten_bytes: int
    unused_bytes_left: int


def choose(index: Index, packs: PackTable, needed: Needed, stored: Mapping[FileId, int], limits: Limits) -> Choice:
    """Raises RepositoryDamaged if a needed pack is missing or not of the size the index expects."""
    used = needed.used_bytes
    unused = packs.blob_bytes - used
    removed = [number for number in np.flatnonzero(used == 0).tolist() if packs.ids[number] in stored]
    vanished = [number for number in np.flatnonzero(used == 0).tolist() if packs.ids[number] not in stored]
    wanted = np.flatnonzero(used > 0).tolist()
    for number in wanted:
        _require_whole(packs.ids[number], stored.get(packs.ids[number]), int(packs.stored_bytes[number]))
    must = _must_rewrite(index, packs, needed)
    small = [n for n in wanted if not unused[n] and packs.stored_bytes[n] * _SMALL_PART < limits.pack_bytes]
    if len(small) >= _ENOUGH_SMALL:
        must[small] = True
    candidates = [number for number in wanted if unused[number] or must[number]]
    unused_part = unused / np.maximum(packs.blob_bytes, 1)
    candidates.sort(key=lambda number: (not must[number], -unused_part[number]))
    left = int(unused[wanted].sum())
    allowed = int(used.sum() * limits.max_unused_percent / 100)
    rewritten = 0
    repack: list[int] = []
    for number in candidates:
        size = int(packs.blob_bytes[number])
        if limits.max_repack_bytes is not None and rewritten + size > limits.max_repack_bytes:
            continue
        if left <= allowed and not must[number]:
            continue
        repack.append(number)
        rewritten += size
        left -= int(unused[number])
    known = set(packs.ids)
    return Choice(
        unreferenced=tuple(pack for pack in stored if pack not in known),
        removed=tuple(packs.ids[number] for number in removed),
        repacked=tuple(packs.ids[number] for number in repack),
        repack_numbers=tuple(repack),
        vanished=tuple(packs.ids[number] for number in vanished),
        rewritten_bytes=int(used[repack].sum()),
        unused_bytes_left=left,
    )


def _must_rewrite(index: Index, packs: PackTable, needed: Needed) -> Flags:
    """Packs rewritten whatever they waste: trees with waste beside them, trees not compressed, trees beside data."""
    trees = _packs_with(index, packs, BlobKind.TREE, compressed=None)
    data = _packs_with(index, packs, BlobKind.DATA, compressed=None)
    plain_trees = _packs_with(index, packs, BlobKind.TREE, compressed=False)
    wasteful = packs.blob_bytes > needed.used_bytes
    must: Flags = (trees & wasteful) | (trees & data) | plain_trees
    return must


def _packs_with(index: Index, packs: PackTable, kind: BlobKind, *, compressed: bool | None) -> Flags:
    found = np.zeros(len(packs), dtype=np.bool_)
    for (_, table), numbers in zip(index.tables(kind), packs.row_packs(kind), strict=True):
        rows = numbers >= 0
        if compressed is not None:
            rows &= (table.places[:, 3] > 0) == compressed
        found[numbers[rows]] = True
    return found


def _require_whole(pack: FileId, size: int | None, expected: int) -> None:
    name = file_name(FileKind.PACK, pack)
    hint = "Nothing was removed. Run a check of the medium, then repair the repository."
    if size is None:
        raise damaged(name, "it is missing, and blobs in it are needed", hint=hint)
    if size != expected:
        raise damaged(name, f"it has {size} bytes where the index expects {expected}", hint=hint)
