"""Looking into a snapshot on its storage: the entries of one directory, as they would be in a backup copy of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ..errors import SourceUnavailable
from ..plan import SourceRoot
from .browse import Entry
from .restoring.from_snapshot import OpenedSnapshot
from .restoring.selection import split_path
from .restoring.source import UnreadError


def list_snapshot(roots: Sequence[SourceRoot], path: bytes) -> list[Entry]:
    """Sorted by raw name; ``b"/"`` is the directory above all roots. No link is followed.

    Raises NotInCopy if there is no such directory, SourceUnavailable if it cannot be read.
    """
    with contextlib.closing(OpenedSnapshot(roots)) as snapshot:
        snapshot.check_directory(path)
        try:
            listing = snapshot.listing_of(b"".join(b"/" + part for part in split_path(path)))
        except UnreadError as error:
            raise SourceUnavailable(f"The folder cannot be listed: {error.unread.error}.") from error
    return [Entry.of_node(node) for node in listing.nodes]
