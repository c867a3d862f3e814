"""Which backup copies hold the dumps that give one point back, the full first (RULES L1, L6)."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from django.db.models import Q

from jobs.engine.errors import NotInCopy
from jobs.models import BackupCopy, CopyState
from jobs.rules.levels import restore_chain
from jobs.rules.states import ON_MEDIA
from policies.models import Copy

_WAS_DUMPED: Final = (*ON_MEDIA, CopyState.AGED)


def dump_chain(row: BackupCopy) -> list[BackupCopy]:
    """The copies, on the medium of ``row``, whose dumps put over each other are its point; ``row`` itself is the last.

    ``row`` may say more than its stored state: its copy is committed and the job about to end. What was dumped on what
    only the copy that dumped knows; one that is fed from it holds the same dumps, or not all of them. Raises NotInCopy
    if one that is needed is on this medium no more.
    """
    links = _links(row)
    held = {
        link.snapshot_id: link
        for link in BackupCopy.objects.filter(
            Q(state__in=ON_MEDIA) | Q(state=CopyState.AGED, forgotten_at=None),
            copy=row.copy_id,
            media=row.media_id,
            snapshot__in=[link.snapshot_id for link in links],
        ).select_related("media", "snapshot")
    } | {row.snapshot_id: row}
    for link in links:
        if link.snapshot_id not in held:
            raise NotInCopy(
                f"{row.snapshot.name} was dumped on top of {link.snapshot.name}, which is not on {row.media.name}.",
                hint="Choose another backup copy of this point, or another point.",
            )
    return [held[link.snapshot_id] for link in links]


def _links(row: BackupCopy) -> list[BackupCopy]:
    """The chain as it was dumped, by the rows of the copy that dumped. Raises NotInCopy."""
    rows = BackupCopy.objects.filter(
        copy=_dumping_copy(row.copy), snapshot__subclient=row.snapshot.subclient_id, state__in=_WAS_DUMPED
    ).exclude(level_number=None)
    before = rows.filter(
        Q(snapshot__taken_at__lt=row.snapshot.taken_at)
        | Q(snapshot__taken_at=row.snapshot.taken_at, snapshot__lt=row.snapshot_id)
    ).select_related("snapshot")
    dumped = list(before.order_by("snapshot__taken_at", "snapshot_id"))
    numbers = [*(one.level_number or 0 for one in dumped), _number(row)]
    partial = [index for index, one in enumerate(dumped) if one.exceptions]
    try:
        chain = restore_chain(numbers, len(dumped), without=partial)
    except ValueError as error:
        raise NotInCopy(
            f"The full dump that {row.snapshot.name} was built on is not known any more.",
            hint="Choose another point: the next full backup copy begins a new chain.",
        ) from error
    links = [[*dumped, row][index] for index in chain]
    for older, newer in pairwise(links):
        if newer.parent_id not in {None, older.pk}:
            raise NotInCopy(
                f"What {newer.snapshot.name} was dumped on top of is not known any more.",
                hint="Choose another point: the next full backup copy begins a new chain.",
            )
    return links


def _dumping_copy(copy: Copy) -> Copy:
    """What feeds a copy in the end."""
    while copy.source is not None and copy.source.is_backup:
        copy = copy.source
    return copy


def _number(row: BackupCopy) -> int:
    if row.level_number is None:
        raise NotInCopy(
            f"It is not known what {row.snapshot.name} was dumped on top of.",
            hint="Choose another point, or fetch the images of this one with restic.",
        )
    return row.level_number
