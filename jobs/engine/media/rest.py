"""A restic REST server as a medium: rest-server, ``rclone serve restic``, and what speaks like them.

The protocol has no rename: a file is whole when the server says so, and what was cut off in the middle is overwritten
by the next attempt. An append-only server keeps everything but locks.
"""

from __future__ import annotations

import base64
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from ..errors import DeletionRefused, FileMissing, InvalidOptions, MediaRefused, MediaUnavailable
from ..plan import Secret
from .base import Buffer, TestReport, Usage
from .http_pool import HttpPool, HttpServer
from .names import checked_name, checked_prefix
from .per_process import PerProcess
from .pieces import total_bytes
from .probe import run_probe
from .rest_client import RestClient
from .rest_names import FOLDERS

_LOCKS: Final = "locks/"
_SETTLE_SECONDS: Final = 0.5
_SETTLE_TURNS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOptions:
    """Where the server is, who we are there, and what it allows."""

    url: str = field(
        metadata={
            "label": "Address",
            "help": "Of the repository on the REST server: https://backup.example.com:8000/snapcopy/",
        }
    )
    user: str | None = field(default=None, metadata={"label": "User", "help": "Empty if the server asks for none."})
    password: Secret | None = field(default=None, metadata={"label": "Password", "help": "Of this user at the server."})
    ca_file: Path | None = field(
        default=None,
        metadata={
            "label": "CA file",
            "help": "Certificate of the authority that signed the server's, on the access nodes. Empty: the system's.",
        },
    )
    append_only: bool = field(
        default=False,
        metadata={
            "label": "Append-only",
            "help": "The server keeps what was written. Nothing but locks is deleted, and no prune is attempted.",
        },
    )

    def __post_init__(self) -> None:
        parts = _split(self.url)
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidOptions("Address must look like https://backup.example.com:8000/snapcopy/.", field="url")
        if parts.username is not None or parts.query or parts.fragment:
            raise InvalidOptions(
                "Address must not hold a user, a query or a fragment; there are fields for the user.", field="url"
            )
        if self.password is not None and not self.user:
            raise InvalidOptions("A password needs a user.", field="user")
        if self.user and ":" in self.user:
            raise InvalidOptions("User must not hold a colon.", field="user")


class RestMedia:
    """One repository on a REST server. Thread-safe; safe after ``fork``."""

    def __init__(self, options: RestOptions) -> None:
        """Opens no connection. Raises InvalidOptions for a CA file that cannot be read."""
        parts = urlsplit(options.url)
        label = f"REST server {options.url}"
        tls = _trust(options) if parts.scheme == "https" else None
        pool = HttpPool(HttpServer(label=label, host=parts.hostname or "", port=parts.port, tls=tls))
        base = quote(parts.path.rstrip("/") + "/", safe="/%")
        self._setup(pool, base=base, label=label, append_only=options.append_only, authorization=_basic(options))

    @classmethod
    def over(cls, pool: HttpPool, *, label: str) -> RestMedia:
        """The same protocol through connections that somebody else makes."""
        media = cls.__new__(cls)
        media._setup(pool, base="/", label=label, append_only=False, authorization="")
        return media

    def _setup(self, pool: HttpPool, *, base: str, label: str, append_only: bool, authorization: str) -> None:
        self._pool = pool
        self._label = label
        self._append_only = append_only
        self._client = RestClient(pool, base=base, label=label, authorization=authorization)
        self._writers: PerProcess[_Writers] = PerProcess(_Writers)

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        """See :class:`~jobs.engine.media.base.Media`. Raises NoSpace, DeletionRefused if the server keeps another."""
        checked_name(name)
        writers = self._writers.get()
        with writers.only(name):
            try:
                if not self._store(name, pieces):
                    self._replace(name, pieces)
                if name in writers.cut:
                    self._settle(name, pieces)
            except MediaUnavailable:
                writers.cut.add(name)
                raise
            writers.cut.discard(name)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See :class:`~jobs.engine.media.base.Media`. Raises FileMissing, or RepositoryDamaged if it is too short."""
        if length == 0:
            self._client.size(name)
            return b""
        return self._client.read(name, offset, length)

    def size(self, name: str) -> int:
        """Bytes of a stored file. Raises FileMissing."""
        return self._client.size(name)

    def exists(self, name: str) -> bool:
        try:
            self._client.size(name)
        except FileMissing:
            return False
        return True

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See :class:`~jobs.engine.media.base.Media`. The protocol only lists whole folders."""
        asked = checked_prefix(prefix)
        if not asked and self.exists("config"):
            yield "config", self.size("config")
        for folder in FOLDERS:
            if not asked or asked.partition("/")[0] == folder:
                for name, size in self._client.list(folder):
                    if not asked or name.startswith(f"{asked}/"):
                        yield name, size

    def delete(self, name: str) -> None:
        """See :class:`~jobs.engine.media.base.Media`. Raises DeletionRefused on an append-only server."""
        checked_name(name)
        if self._append_only and not name.startswith(_LOCKS):
            raise DeletionRefused(f"{self._label} is append-only: “{name}” stays.")
        self._client.delete(name)

    def usage(self) -> Usage:
        """The protocol does not tell."""
        return Usage(total_bytes=None, free_bytes=None)

    def test(self) -> TestReport:
        """See :class:`~jobs.engine.media.base.Media`. On an append-only server the probe file is small and stays."""
        return run_probe(self, prepare=lambda: self.exists("config"), place=self._label, keeps_files=self._append_only)

    def close(self) -> None:
        self._pool.close()

    def __str__(self) -> str:
        return self._label

    def _store(self, name: str, pieces: Sequence[Buffer]) -> bool:
        """A server that does not know the repository yet is asked to make it."""
        try:
            return self._client.store(name, pieces)
        except MediaRefused:
            if self.exists("config"):
                raise
            self._client.create()
        return self._client.store(name, pieces)

    def _settle(self, name: str, pieces: Sequence[Buffer]) -> None:
        """After an attempt that was cut off: rclone removes its half when it notices, and with it the whole file."""
        length = total_bytes(pieces)
        for _ in range(_SETTLE_TURNS):
            time.sleep(_SETTLE_SECONDS)
            if not self.exists(name) or self.size(name) != length:
                self._store(name, pieces)

    def _replace(self, name: str, pieces: Sequence[Buffer]) -> None:
        """The server refused. If it holds these bytes already, an answer was lost; else the old file must go first."""
        try:
            held = self._client.read(name, 0, None)
        except FileMissing:
            raise MediaRefused(
                f"{self._label} denies writing “{name}”.",
                hint="Give this user the right to write there at the server.",
            ) from None
        if held == b"".join(pieces):
            return
        if name == "config":
            raise DeletionRefused(f"{self._label} keeps the “config” that is there; it is not replaced.")
        self.delete(name)
        if not self._client.store(name, pieces):
            raise DeletionRefused(f"{self._label} keeps the “{name}” that is there; it is not replaced.")


class _Writers:
    """One writer at a time for each name: servers write into the final file, and two at once would be mixed."""

    def __init__(self) -> None:
        self.cut: set[str] = set()
        self._guard = threading.Lock()
        self._busy: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def only(self, name: str) -> Iterator[None]:
        with self._guard:
            lock, users = self._busy.get(name, (threading.Lock(), 0))
            self._busy[name] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                _, users = self._busy[name]
                if users == 1:
                    del self._busy[name]
                else:
                    self._busy[name] = lock, users - 1


def stock_rest(options: Mapping[str, object]) -> str:
    """What ``restic -r`` takes; a password is to be typed in by whoever runs it."""
    parts = urlsplit(str(options.get("url", "")))
    user = f"{quote(str(options['user']), safe='')}:PASSWORD@" if options.get("user") else ""
    return f"rest:{parts.scheme}://{user}{parts.netloc}{parts.path.rstrip('/')}/"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def _trust(options: RestOptions) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=options.ca_file)
    except OSError as error:
        raise InvalidOptions(
            f"The CA file {options.ca_file} cannot be used: {error.strerror or 'it holds no certificate'}.",
            field="ca_file",
        ) from error


def _basic(options: RestOptions) -> str:
    if not options.user:
        return ""
    password = options.password.reveal() if options.password else ""
    return "Basic " + base64.b64encode(f"{options.user}:{password}".encode()).decode()
