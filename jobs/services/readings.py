"""What was read back of a medium, kept as few rows: the ledger of verifications, written while they run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.utils import timezone

from jobs.engine.ids import FileId
from jobs.engine.operations.rotation import Entry, History, keys_of
from jobs.models import MediumReading, PackReading
from policies.models import Media

logger = logging.getLogger(__name__)

GRAIN_SECONDS: Final = 3600
"""Moments are kept to the hour, rounded down, when a verification is over: so there are at most as many rows."""


class MediumLedger:
    """The :class:`jobs.engine.operations.rotation.Ledger` of one medium. Used by one verification, on its thread.

    What cannot be written for now, since the database does not answer, is written with the next.
    """

    def __init__(self, media: Media) -> None:
        self._media = media
        self._row = MediumReading.objects.get_or_create(media=media)[0]
        self._sizes: dict[FileId, int] = {}
        self._unwritten: list[FileId] = []
        self._read: list[FileId] = []

    @property
    def turn(self) -> int:
        return self._row.turn

    def open(self, packs: Sequence[FileId], stored_bytes: Sequence[int]) -> History:
        """Packs that nobody knows are noted as seen now."""
        self._sizes = dict(zip(packs, stored_bytes, strict=True))
        history = History(_entries(self._media))
        known = np.isin(keys_of(packs), history.keys)
        new = [pack for pack, is_known in zip(packs, known.tolist(), strict=True) if not is_known]
        if new:
            self._note(new, was_read=False)
        return history

    def read(self, packs: Sequence[FileId]) -> None:
        self._unwritten += packs
        self._read += packs
        try:
            self._note(self._unwritten, was_read=True)
            self._unwritten = []
        except DatabaseError as error:
            logger.warning("What was read is noted later: %s", str(error).strip())
            connection.close()

    def settle(self, *, is_complete: bool) -> None:
        """Put the rows together, without the packs that are gone. ``is_complete``: it read all it should, so it was a
        turn."""
        if self._unwritten:
            self._note(self._unwritten, was_read=True)
        turn = self._row.turn + is_complete
        with transaction.atomic():
            MediumReading.objects.select_for_update().get(pk=self._row.pk)
            rows = self._settled(History(_entries(self._media)), turn=turn)
            PackReading.objects.filter(media=self._media).delete()
            PackReading.objects.bulk_create(rows)
            MediumReading.objects.filter(pk=self._row.pk).update(
                turn=turn, packs=len(self._sizes), packs_bytes=sum(self._sizes.values())
            )

    def _settled(self, history: History, *, turn: int) -> list[PackReading]:
        """One row for each hour, turn and kind; packs that were read now count from ``turn`` on."""
        packs = list(self._sizes)
        if not packs:
            return []
        keys = keys_of(packs)
        sizes = np.array(list(self._sizes.values()), dtype=np.int64)
        standing = history.of(keys, now=int(timezone.now().timestamp()), turn=turn)
        turns = np.where(np.isin(keys, keys_of(self._read)), turn, standing.turn)
        groups = np.column_stack((standing.at // GRAIN_SECONDS * GRAIN_SECONDS, turns, standing.was_read))
        values, members = np.unique(groups, axis=0, return_inverse=True)
        members = members.ravel()
        rows = []
        for group, (at, number, was_read) in enumerate(values.tolist()):
            own = members == group
            row = PackReading(
                media=self._media,
                at=datetime.fromtimestamp(at, UTC),
                turn=number,
                was_read=bool(was_read),
                is_settled=True,
                packs=int(own.sum()),
                stored_bytes=int(sizes[own].sum()),
                keys=keys[own].tobytes(),
            )
            rows.append(row)
        return rows

    def _note(self, packs: Sequence[FileId], *, was_read: bool) -> None:
        PackReading.objects.create(
            media=self._media,
            at=timezone.now(),
            turn=self._row.turn,
            was_read=was_read,
            packs=len(packs),
            stored_bytes=sum(self._sizes[pack] for pack in packs),
            keys=keys_of(packs).tobytes(),
        )


def _entries(media: Media) -> list[Entry]:
    rows = PackReading.objects.filter(media=media)
    return [
        Entry(at=int(row.at.timestamp()), turn=row.turn, was_read=row.was_read, keys=bytes(row.keys))
        for row in rows.iterator(chunk_size=200)
    ]
