"""Starting and ending a host: a freshly executed Python that nothing was forked into.

What it needs to know, secrets too, goes through a pipe, never through arguments or the environment. The pipe stays
open: when whoever started the host ends, however that happens, the host reads its end and is gone. Of the
environment it gets only what it cannot do without, so that settings of the machine never become settings of a medium.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import secrets
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import wire

_SERVER: Final = f"{__package__}.server"
_SOURCE: Final = Path(__file__).resolve().parents[3]
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_ALLOCATION: Final = (
    ("MALLOC_ARENA_MAX", "2"),
    ("MALLOC_MMAP_THRESHOLD_", str(64 << 20)),
    ("MALLOC_TRIM_THRESHOLD_", str(128 << 20)),
)
"""glibc's (mallopt(3)): a host's threads take turns with buffers of MiB. Used again from two heaps they cost less time
and memory than mapped and unmapped for every call."""
_END_SECONDS: Final = 5.0
_WAITING: Final = 64
"""Connections that may wait until the host has started or takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What runs in the host: ``factory`` “package.module:Name” is called with ``settings`` and gives a
    Media, or another object whose methods are to be called.

    ``environment`` is added to what every host gets, such as the file of a private certificate authority.
    """

    factory: str
    settings: Any
    environment: tuple[tuple[str, str], ...] = ()
    calls_at_once: int = 16


class Host:
    """A running host. ``connect`` works in every process that inherited this; ``end`` only where it was started."""

    __slots__ = ("_address", "_child", "_pid")

    def __init__(self, driver: Driver) -> None:
        """Returns before it has started; connections wait for it. Raises OSError."""
        self._pid = os.getpid()
        self._address = b"\0snapcopy-" + secrets.token_hex(16).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(self._address)
            listener.listen(_WAITING)
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", _SERVER, str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=(listener.fileno(),),
                env=_environment(driver),
                cwd="/",
                start_new_session=True,
            )
        with contextlib.suppress(BrokenPipeError):
            pipe = self._pipe()
            pipe.write(pickle.dumps(driver, protocol=5))
            pipe.flush()

    def connect(self, timeout_seconds: float) -> socket.socket:
        """A connection of one's own. Raises OSError if the host is gone, or somebody else sits at its address."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            wire.set_timeout(connection, timeout_seconds)
            connection.connect(self._address)
            if not wire.peer_is_us(connection):
                raise ConnectionRefusedError("the process at this address is not ours")
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def is_ours(self) -> bool:
        """Whether this process started it."""
        return self._pid == os.getpid()

    def end(self) -> None:
        """End it now, whatever it does. No effect in a forked child: the host belongs to who started it."""
        if not self.is_ours:
            return
        self._child.kill()
        with contextlib.suppress(OSError):
            self._pipe().close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_SECONDS)

    def _pipe(self) -> Any:
        return self._child.stdin


def _environment(driver: Driver) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.lower() in _PROXIES}
    return kept | {"PYTHONPATH": str(_SOURCE)} | dict(_ALLOCATION) | dict(driver.environment)
