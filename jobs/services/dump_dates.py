"""What is kept of the dumps that file servers were asked for; see :mod:`jobs.rules.dump_dates`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from django.db import transaction

from jobs.models import BackupCopy, DumpDate
from jobs.rules import dump_dates
from policies.models import FileServer


def begin_dump(file_server: FileServer, *, address: str, path: str, level: int, row: BackupCopy) -> None:
    """A dump is asked for right after this: from now on it may count at the file server. Durable when it returns."""
    with transaction.atomic():
        DumpDate.objects.filter(file_server=file_server, address=address, path=path, level=level).delete()
        DumpDate.objects.create(file_server=file_server, address=address, path=path, level=level, backup_copy=row)


def commit_dumps(row: BackupCopy, *, level: int) -> None:
    """Its dumps are on media. Within the transaction that marks the backup copy *copied* (RULES L4)."""
    DumpDate.objects.filter(backup_copy=row, level=level).update(is_committed=True)


def dates_of(
    file_server: FileServer, *, address: str, paths: Collection[str]
) -> Mapping[str, Sequence[dump_dates.DumpDate]]:
    """By content path, in the order in which the dumps began."""
    found: dict[str, list[dump_dates.DumpDate]] = {path: [] for path in paths}
    for row in DumpDate.objects.filter(file_server=file_server, address=address, path__in=paths).order_by("pk"):
        date = dump_dates.DumpDate(level=row.level, copy_id=row.backup_copy_id, is_committed=row.is_committed)
        found[row.path].append(date)
    return found
