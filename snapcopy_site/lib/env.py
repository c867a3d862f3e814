"""The environment, read in one place and typed.

Only ``settings.py`` and the processes that start before Django (``cli``, ``supervisor``, ``embedded``) come here.
What a variable means is documented in ``/docs/settings/``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})


class InvalidEnvironment(ValueError):
    """A variable holds something SnapCopy cannot use. ``str(error)`` is a sentence that names the variable."""


def text(name: str, default: str = "") -> str:
    """The variable without surrounding blanks; an empty one counts as not set."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, *, default: bool = False) -> bool:
    """True for 1, true, yes, on; False for 0, false, no, off. Raises InvalidEnvironment for anything else."""
    value = text(name).lower()
    if not value:
        return default
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise InvalidEnvironment(f"{name} must be 1 or 0, not “{value}”.")


def integer(name: str, default: int) -> int:
    """A whole number. Raises InvalidEnvironment."""
    value = text(name)
    if not value:
        return default
    try:
        return int(value)
    except ValueError:
        raise InvalidEnvironment(f"{name} must be a whole number, not “{value}”.") from None


def ports(name: str) -> range:
    """``first-last`` or one number; not set = port 0, any that is free. Raises InvalidEnvironment."""
    first, _, last = text(name, "0").partition("-")
    try:
        found = range(int(first), int(last or first) + 1)
    except ValueError:
        found = range(0)
    if not found or found.start < 0 or found.stop > 65_536:
        raise InvalidEnvironment(f"{name} must be a port or a range like 41000-41007, not “{text(name)}”.")
    return found


def words(name: str) -> list[str]:
    """Values separated by commas or blanks."""
    return text(name).replace(",", " ").split()


def put(name: str, value: str) -> None:
    """Set a variable for this process and its children; the command line wins over the environment by it."""
    os.environ[name] = value


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAddress:
    """Where PostgreSQL is. ``host`` is a name, an address, or the absolute folder of a socket."""

    name: str
    user: str = ""
    password: str = ""
    host: str = ""
    port: str = ""
    options: dict[str, str]

    def __repr__(self) -> str:
        return f"DatabaseAddress(name={self.name!r}, host={self.host!r})"


def database_address(url: str) -> DatabaseAddress:
    """``postgresql://USER:PASSWORD@HOST:PORT/NAME?sslmode=require``; ``?host=/folder`` names a socket folder.

    Everything after ``?`` except ``host`` and ``port`` goes to libpq. Raises InvalidEnvironment, without the password.
    """
    parts = urlsplit(url)
    name = unquote(parts.path.lstrip("/"))
    if parts.scheme not in {"postgres", "postgresql"} or not name:
        raise InvalidEnvironment("SNAPCOPY_DATABASE_URL must look like postgresql://USER:PASSWORD@HOST:PORT/NAME.")
    options = dict(parse_qsl(parts.query))
    try:
        port = str(parts.port or "")
    except ValueError:
        raise InvalidEnvironment("SNAPCOPY_DATABASE_URL holds a port that is not a number below 65536.") from None
    return DatabaseAddress(
        name=name,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        host=options.pop("host", unquote(parts.hostname or "")),
        port=options.pop("port", port),
        options=options,
    )


def machine_time_zone() -> str:
    """The time zone the machine is set to, by its IANA name; UTC when it cannot be told."""
    zone = text("SNAPCOPY_TIME_ZONE")
    if zone:
        return zone
    target = os.path.realpath("/etc/localtime")
    _, found, name = target.partition("/zoneinfo/")
    return name if found and Path(target).is_file() else "UTC"
