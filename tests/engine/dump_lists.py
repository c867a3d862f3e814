"""File lists of dumps for tests: made from the rules' dumps, from a tree of names, or from a file server's records."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.engine.ndmp.history import DirectoryRecord, FileRecord, HistoryDecoder, NodeRecord, Status
from jobs.engine.ndmp.history_spool import HistorySpool
from jobs.engine.ndmp.history_values import EntryKind, NameKind
from jobs.rules.chains import Dump

PLAIN = Status(0, NameKind.UNIX, EntryKind.FILE, 1_700_000_000, 1, 2, 1000, 100, 0o640, 5, 1)
FOLDER = PLAIN._replace(kind=EntryKind.DIRECTORY, attributes=0o755)


def content(spool: HistorySpool) -> bytes:
    """What lies in the repository."""
    pieces: list[bytes] = []
    spool.write_to(pieces.append)
    return b"".join(pieces)


def of_dump(dump: Dump, *, place: int = 0) -> bytes:
    """As a file server tells a dump of the rules; ``fh_info`` of a node is ``place`` + its number."""
    with HistorySpool() as spool:
        for folder, names in dump.directories.items():
            dots = [DirectoryRecord(b".", folder, folder), DirectoryRecord(b"..", 1, folder)]
            spool.directories([*(dots if folder != dump.root else dots[:1]), *records(folder, names.items())])
            spool.nodes([NodeRecord(FOLDER, folder, place + folder)])
        spool.nodes([NodeRecord(PLAIN, node, place + node) for node in sorted(dump.files)])
        found = content(spool)
    return found.replace(b'"root":null', b'"root":%d' % dump.root)


def records(folder: int, names: Iterable[tuple[bytes, int]]) -> list[DirectoryRecord]:
    return [DirectoryRecord(name, node, folder) for name, node in names]


def of_names(folders: dict[int, dict[bytes, int]], *files: int, say_dots: bool = True) -> bytes:
    """Inode 2 is the root; ``files`` are the inodes that are in the dump and no folders."""
    with HistorySpool() as spool:
        for folder, names in folders.items():
            dots = [DirectoryRecord(b".", folder, folder)] if say_dots else []
            spool.directories([*dots, *records(folder, names.items())])
            spool.nodes([NodeRecord(FOLDER, folder, 0)])
        spool.nodes([NodeRecord(PLAIN, node, node * 512) for node in files])
        return content(spool)


def of_paths(*paths: str, folders: tuple[str, ...] = ()) -> bytes:
    with HistorySpool() as spool:
        spool.files([FileRecord(path.encode(), FOLDER, 1, 0) for path in folders])
        spool.files([FileRecord(path.encode(), PLAIN, 2, 512) for path in paths])
        return content(spool)


class Spooled:
    """A decoder to back up with, and what it kept."""

    def __init__(self) -> None:
        self.spool = HistorySpool()
        self.decoder = HistoryDecoder(self.spool)
