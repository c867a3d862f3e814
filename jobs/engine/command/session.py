"""What every ``repo`` command shares: the place, the password, the local cache, and where events go."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..clock import Clock, SystemClock
from ..errors import InvalidOptions
from ..events import Sink
from ..media.base import Media
from ..media.disk import DiskMedia, DiskOptions
from ..plan import Secret
from ..repository.repository import Repository
from .console import Interrupts, JsonSink, TerminalSink

PASSWORD_VARIABLE: Final = "SNAPCOPY_REPO_PASSWORD"  # noqa: S105 - the variable's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """``cache`` holds what makes the next run quick; None with ``--no-cache``."""

    media: Media
    password: Secret
    sink: Sink
    control: Interrupts
    clock: Clock
    cache: Path | None
    as_json: bool

    def open(self) -> Repository:
        """The repository, for reading without a lock."""
        return Repository.open(self.media, self.password, clock=self.clock)


@contextmanager
def session(arguments: Namespace, *, create: bool = False) -> Iterator[Session]:
    """The session of one command; ``create`` makes the directory of the medium and asks for the password twice."""
    media = DiskMedia(DiskOptions(path=Path(arguments.repo).absolute(), create_directory=create))
    terminal = TerminalSink()
    with Interrupts() as control:
        try:
            yield Session(
                media=media,
                password=_password(arguments, twice=create),
                sink=JsonSink() if arguments.json else terminal,
                control=control,
                clock=SystemClock(),
                cache=None if arguments.no_cache else _cache(),
                as_json=arguments.json,
            )
        finally:
            terminal.close()
            media.close()


def _cache() -> Path | None:
    """The user's cache directory; None where none can be made, which costs time only."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    directory = Path(base) / "snapcopy"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return directory


def _password(arguments: Namespace, *, twice: bool) -> Secret:
    if arguments.password_file is not None:
        return _from_file(Path(arguments.password_file))
    given = os.environ.get(PASSWORD_VARIABLE)
    if given is not None:
        return _checked(given, "password")
    if not sys.stdin.isatty():
        raise InvalidOptions(
            "No repository password is given.",
            field="password",
            hint=f"Set {PASSWORD_VARIABLE} or give --password-file FILE.",
        )
    text = getpass.getpass("Repository password: ")
    if twice and getpass.getpass("Once more: ") != text:
        raise InvalidOptions("The two passwords differ.", field="password", hint="Type it again.")
    return _checked(text, "password")


def _from_file(path: Path) -> Secret:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidOptions(f"The password file {path} cannot be read: {reason}.", field="password-file") from error
    return _checked(lines[0] if lines else "", "password-file")


def _checked(text: str, field: str) -> Secret:
    if not text:
        raise InvalidOptions("The repository password is empty.", field=field, hint="Give one that is not.")
    return Secret(text)
