"""Any store of objects as a medium, inside a host. A put is one request and visible whole or not at all.

OpenDAL is told nothing of retries: those are a wrapper's. What it returns is never trusted about its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import opendal
from opendal import exceptions
from opendal.layers import TimeoutLayer

from ...errors import EngineError, MediaUnavailable, RepositoryDamaged
from ..base import Buffer, TestReport, Usage
from ..names import checked_name, checked_prefix
from ..probe import run_probe
from .errors import is_about_length, is_missing, is_too_much, object_error, says_why
from .settings import CONTROL_SECONDS, TRANSFER_SECONDS, StoreSettings


class ObjectStore:
    """One bucket or container, or a folder in it. Thread-safe. Never forked: see :mod:`jobs.engine.hosted`."""

    def __init__(self, settings: StoreSettings) -> None:
        """Talks to nobody yet. Raises InvalidOptions."""
        self._settings = settings
        try:
            self._made = self._operator_with()
        except Exception as error:
            raise self._error(error, "open", "/") from error

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        """See :class:`~jobs.engine.media.base.Media`. Raises NoSpace, MediaRefused, InvalidOptions."""
        checked_name(name)
        try:
            self._write(name, _joined(pieces))
        except Exception as error:
            raise self._error(error, "write", name) from error

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See :class:`~jobs.engine.media.base.Media`. Raises FileMissing, or RepositoryDamaged if it is too short."""
        checked_name(name)
        if length == 0:
            self.size(name)
            return b""
        try:
            data = self._read(name, offset, length)
        except Exception as error:
            if is_about_length(error):
                self._require_length(name, offset, length)
            raise self._error(error, "read", name) from error
        if length is not None and len(data) != length:
            self._require_length(name, offset, length)
            raise MediaUnavailable(f"{self} sent {len(data)} bytes of “{name}” where {length} were asked for.")
        return data

    def size(self, name: str) -> int:
        """Bytes of a stored file. Raises FileMissing."""
        checked_name(name)
        try:
            found = self._operator.stat(name)
            if found.is_file:
                return found.content_length
            raise exceptions.NotFound("a folder")
        except Exception as error:
            raise self._error(error, "read", name) from error

    def exists(self, name: str) -> bool:
        checked_name(name)
        try:
            return self._operator.stat(name).is_file
        except Exception as error:
            if is_missing(error):
                return False
            raise self._error(error, "look up", name) from error

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See :class:`~jobs.engine.media.base.Media`. A folder that does not exist is empty."""
        folder = checked_prefix(prefix)
        try:
            yield from self._rows(f"{folder}/" if folder else "")
        except Exception as error:
            if self._settings.has_folders and is_missing(error):
                return
            raise self._error(error, "list", prefix or "/") from error

    def delete(self, name: str) -> None:
        """See :class:`~jobs.engine.media.base.Media`."""
        checked_name(name)
        try:
            self._operator.delete(name)
        except Exception as error:
            if is_missing(error):
                return
            raise self._error(error, "delete", name) from error

    def usage(self) -> Usage:
        """No such service tells how much it can take."""
        return Usage(total_bytes=None, free_bytes=None)

    def test(self) -> TestReport:
        """See :class:`~jobs.engine.media.base.Media`. A listing comes first: only its refusal says what is wrong."""
        return run_probe(self, prepare=self._reach, place=str(self))

    def close(self) -> None:
        """The host's end closes what is open."""

    def __str__(self) -> str:
        return self._settings.place

    @property
    def _operator(self) -> opendal.Operator:
        return self._made

    def _operator_with(self, **more: str) -> opendal.Operator:
        config = self._settings.plain_config() | more
        layer = TimeoutLayer(timeout=CONTROL_SECONDS, io_timeout=TRANSFER_SECONDS)
        return opendal.Operator(self._settings.scheme, **config).layer(layer)

    def _read(self, name: str, offset: int, length: int | None) -> bytes:
        """A part as the server sends it; out of the whole file where the server knows no ranges."""
        if length is None:
            return self._operator.read(name, offset=offset) if offset else self._operator.read(name)
        try:
            return self._operator.read(name, offset=offset, size=length)
        except exceptions.Unexpected as error:
            if not is_too_much(error):
                raise
        return self._operator.read(name)[offset : offset + length]

    def _write(self, name: str, body: bytes) -> None:
        self._operator.write(name, body)

    def _rows(self, folder: str) -> Iterator[tuple[str, int]]:
        for entry in self._operator.list(folder, recursive=True):
            if entry.metadata.is_file:
                yield entry.path, entry.metadata.content_length

    def _reach(self) -> None:
        try:
            next(iter(self._operator.list("", limit=1)), None)
        except Exception as error:
            if self._settings.has_folders and is_missing(error):
                return
            raise self._error(error, "list", "/") from error

    def _require_length(self, name: str, offset: int, length: int | None) -> None:
        """Raise RepositoryDamaged if the file ends before what was asked for, FileMissing if there is none."""
        size = self.size(name)
        if offset + (length or 0) > size:
            raise RepositoryDamaged(
                f"“{name}” on {self} ends after {size} bytes; {offset + (length or 0)} were expected.", name=name
            )

    def _error(self, error: Exception, action: str, name: str) -> Exception:
        """A refusal without a reason is asked again in a way that is answered with one."""
        if isinstance(error, EngineError):
            return error
        if isinstance(error, exceptions.PermissionDenied) and not says_why(error):
            try:
                next(iter(self._operator.list("", limit=1)), None)
            except Exception as reason:  # noqa: BLE001 - the library's errors have no root of their own
                error = reason
        return object_error(error, action=action, name=name, settings=self._settings)


def _joined(pieces: Sequence[Buffer]) -> bytes:
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return pieces[0]
    return b"".join(pieces)
