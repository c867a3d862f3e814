"""The folder that holds the state of one installation: which file lies where, and who may enter.

Pure names; ``embedded.py`` and ``supervisor.py`` create what they need.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import env

_SOCKET_PATH_BYTES: Final = 90
"""A Unix socket path may hold 107 bytes; the longest name we put below the run folder takes 17."""


def default_path() -> Path:
    """``SNAPCOPY_HOME``, else /var/lib/snapcopy for root and ~/.local/share/snapcopy for everybody else."""
    given = env.text("SNAPCOPY_HOME")
    if given:
        return Path(given).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/snapcopy")
    return Path("~/.local/share/snapcopy").expanduser()


@dataclass(frozen=True, slots=True)
class Home:
    """Every path below the home of one installation."""

    path: Path

    @classmethod
    def current(cls) -> Home:
        """The home this process works on."""
        return cls(default_path())

    @property
    def lock(self) -> Path:
        """Held (flock) by the supervisor and its servers for as long as one of them lives."""
        return self.path / "lock"

    @property
    def state(self) -> Path:
        """JSON of the running supervisor: pid, url, started_at."""
        return self.path / "running.json"

    @property
    def secret_key(self) -> Path:
        """Signs sessions and links; mode 0600."""
        return self.path / "secret-key"

    @property
    def keyring(self) -> Path:
        """Encrypts secrets at rest; mode 0600; see policies.secrets."""
        return self.path / "keyring"

    @property
    def logs(self) -> Path:
        return self.path / "log"

    @property
    def demo(self) -> Path:
        """Sample data of ``up --demo``."""
        return self.path / "demo"

    def index_cache(self, media_id: int) -> Path:
        """Local copy of the index of a medium's repository, for all that read it; safe to lose."""
        return self.path / "cache" / "index" / str(media_id)

    def media_cache(self, media_id: int) -> Path:
        """Local cache of trees and snapshot files of a remote medium; bounded, safe to lose."""
        return self.path / "cache" / "media" / str(media_id)

    @property
    def run(self) -> Path:
        """Sockets. A home whose path is too long for a socket gets a private folder in the temporary directory."""
        inside = self.path / "run"
        if len(os.fsencode(inside)) <= _SOCKET_PATH_BYTES:
            return inside
        short = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"snapcopy-{os.geteuid()}-{short}"

    @property
    def postgres_data(self) -> Path:
        return self.path / "postgres"

    @property
    def postgres_copy(self) -> Path:
        """PostgreSQL's programs, copied here when its account cannot reach the virtual environment."""
        return self.path / "pg"

    @property
    def postgres_socket_folder(self) -> Path:
        return self.run / "pg"

    @property
    def valkey_data(self) -> Path:
        return self.path / "valkey"

    @property
    def valkey_socket(self) -> Path:
        return self.run / "vk" / "valkey.sock"

    def database_url(self) -> str:
        """``SNAPCOPY_DATABASE_URL``, else the embedded server's socket."""
        return (
            env.text("SNAPCOPY_DATABASE_URL") or f"postgresql://snapcopy@/snapcopy?host={self.postgres_socket_folder}"
        )

    def redis_url(self) -> str:
        """``SNAPCOPY_REDIS_URL``, else the embedded server's socket."""
        return env.text("SNAPCOPY_REDIS_URL") or f"unix://{self.valkey_socket}"

    def read_secret_key(self) -> str:
        """``SNAPCOPY_SECRET_KEY``, else the file ``up`` wrote, else one that lives as long as this process."""
        given = env.text("SNAPCOPY_SECRET_KEY")
        if given:
            return given
        try:
            return self.secret_key.read_text(encoding="ascii").strip()
        except (FileNotFoundError, PermissionError):
            return secrets.token_urlsafe(50)
