"""Where a backup's file history waits until the image is whole: lines of :mod:`.history_file` in a file of the node.

Memory stays the same whatever comes. The file has no name, so nothing is left when the process dies.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Self

from ..errors import NoSpace, SourceUnavailable
from .history import DirectoryRecord, FileRecord, NodeRecord
from .history_file import Form, Header, directory_line, file_line, header_line, node_line

_BUFFER_BYTES: Final = 1 << 20


class HistorySpool:
    """A :class:`~.history.HistorySink`; ``records`` counts what was kept. Used by one thread at a time, then closed.

    The history has the form of names and nodes as soon as a single name in a folder came: whole paths beside them say
    nothing more. ``folder`` None = the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.records = 0
        self._root: int | None = None
        self._form: Form | None = None
        self._folder = folder or Path(tempfile.gettempdir())
        self._file = tempfile.TemporaryFile(buffering=_BUFFER_BYTES, dir=self._folder)  # noqa: SIM115 - closed by close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what was not written is not wanted any more
            self._file.close()

    def files(self, records: list[FileRecord]) -> None:
        self._form = self._form or Form.PATHS
        self._keep(map(file_line, records), len(records))

    def directories(self, records: list[DirectoryRecord]) -> None:
        self._form = Form.NODES
        if self._root is None:
            self._root = next((node for name, node, parent in records if name == b"." and node == parent), None)
        self._keep(map(directory_line, records), len(records))

    def nodes(self, records: list[NodeRecord]) -> None:
        self._form = self._form or Form.NODES
        self._keep(map(node_line, records), len(records))

    def write_to(self, write: Callable[[bytes], object]) -> None:
        """Hand over the whole file, header first, in pieces of up to a mebibyte. Can be done again.

        Raises NoSpace, SourceUnavailable, and what ``write`` raises.
        """
        with self._failures():
            self._file.seek(0)
        write(header_line(Header(form=self._form or Form.NODES, root=self._root)))
        while piece := self._file.read(_BUFFER_BYTES):
            write(piece)
        self._file.seek(0, 2)

    def _keep(self, lines: Iterable[bytes], count: int) -> None:
        with self._failures():
            self._file.write(b"".join(lines))
        self.records += count

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """What the file system refuses, in words; the backup ends with it."""
        try:
            yield
        except OSError as error:
            where = f"the list of files in {self._folder} on the access node"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise NoSpace(
                    f"There is no room for {where} after {self.records:,} entries.",
                    hint="Free space there, or let TMPDIR of the node’s service name another folder.",
                ) from error
            raise SourceUnavailable(f"Cannot write {where}: {os.strerror(error.errno or 0)}.") from error
