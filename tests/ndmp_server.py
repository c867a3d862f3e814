"""pytest plugin: a real NDMP server, Amanda's ``ndmjob``, in a network and a pid namespace of its own.

Fixtures: ``ndmp_host``, a fresh server for one test, with a folder that it protects; ``ndmp_filer``, the same with a
cable to this machine, for jobs of the product: its ``address`` answers here, and data comes back the same way.

It listens on every address, its password is known to everybody and it hands what it gets to a shell. So it runs where
nobody else is, and whoever talks to it does so on a thread that is in there too: :meth:`NdmpHost.run`.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final, TypeVar

import pytest

from tests.ndmp_link import CannotLink, linked

T = TypeVar("T")
NDMJOB: Final = Path("/usr/lib/amanda/ndmjob")
FORMATTER: Final = Path(__file__).with_name("ndmp_formatter.py")
PORT: Final = 10_000
ACCOUNT: Final = "ndmp"
CLONE_NEWNET: Final = 0x40000000
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 1
READY_SECONDS: Final = 60
CONFIGURATION: Final = """\
[butype dump]
v4attr 0x0E7E
default_env LEVEL 0

[fs {root}]
fs_type tree
fs_physical_device disk
fs_status online
"""


class CannotServe(Exception):
    """Why this machine cannot run the server."""


class NdmpHost:
    """One server and its thread. ``root`` is the folder that it protects; ``address`` is where it answers."""

    def __init__(self, folder: Path) -> None:
        self.address = "127.0.0.1"
        """Only on its own thread, unless there is a cable."""
        self.root = folder / "volume"
        self.state = folder / "state"
        self.root.mkdir()
        self.state.mkdir()
        self.log = folder / "ndmjob.log"
        wrap = folder / "wrap_dump"
        wrap.write_text(f'#!/bin/sh\nexec {sys.executable} -I {FORMATTER} "$@"\n')
        wrap.chmod(0o755)
        configuration = folder / "ndmjob.conf"
        configuration.write_text(CONFIGURATION.format(root=self.root))
        self._environment = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "NDMJOB_CONF": str(configuration),
            "NDMP_STATE": str(self.state),
            "HOME": str(folder),
        }
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._server: subprocess.Popen[bytes] | None = None
        self.run(self._enter)
        self.run(self.start)

    def run(self, work: Callable[[], T]) -> T:
        """Do ``work`` on the thread whose network is the server's; sockets made there stay there."""
        return self._thread.submit(work).result(timeout=240)

    @property
    def pid(self) -> int:
        """Of a process in its network namespace."""
        assert self._server is not None
        return self._server.pid

    def start(self) -> None:
        """On the thread. It ends with the thread, whatever becomes of the tests."""
        self._wait_until_nobody_answers()
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with open(self.log, "ab") as log:
            self._server = subprocess.Popen(
                [*command, NDMJOB, "-o", "daemon", "-p", str(PORT)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        give_up_at = time.monotonic() + READY_SECONDS
        while time.monotonic() < give_up_at:
            if _answers():
                return
            time.sleep(0.02)
        raise CannotServe(f"ndmjob does not answer: {self.log.read_text(errors='replace')[-500:]}")

    def kill(self) -> None:
        """End the server and whatever it runs, at once."""
        if self._server is not None:
            self._server.send_signal(signal.SIGKILL)
            self._server.wait(timeout=60)

    def _wait_until_nobody_answers(self) -> None:
        """One that was killed is waited for by what started it, and may itself die a moment later."""
        give_up_at = time.monotonic() + READY_SECONDS
        while _answers():
            if time.monotonic() > give_up_at:
                raise CannotServe("the ndmjob before it does not end")
            time.sleep(0.02)

    def close(self) -> None:
        self.kill()
        self._thread.shutdown()

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET):
            raise CannotServe(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            fcntl.ioctl(one, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP) + bytes(22))


def _answers() -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), timeout=1):
        return True
    return False


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[NdmpHost]:
    """Raises CannotServe with the reason."""
    if os.geteuid() != 0:
        raise CannotServe("namespaces need root")
    if not NDMJOB.exists():
        raise CannotServe("ndmjob is not installed (apt install amanda-server)")
    if shutil.which("unshare") is None or shutil.which("tar") is None:
        raise CannotServe("unshare or tar is not installed")
    host = NdmpHost(folder)
    try:
        yield host
    finally:
        host.close()


@contextlib.contextmanager
def reachable(folder: Path, *, gbit: float | None = None) -> Iterator[NdmpHost]:
    """The same with a cable to this machine, of so many Gbit/s. Raises CannotServe, CannotLink."""
    with serving(folder) as host, linked(host.pid, gbit=gbit) as host.address:
        yield host


@pytest.fixture
def ndmp_host(tmp_path: Path) -> Iterator[NdmpHost]:
    """A fresh server; where this machine cannot run one the test is skipped, and says why."""
    yield from _one(serving, tmp_path / "ndmp")


@pytest.fixture
def ndmp_filer(tmp_path: Path) -> Iterator[NdmpHost]:
    """A fresh server that jobs reach at ``address``, with account and password :data:`ACCOUNT`."""
    yield from _one(reachable, tmp_path / "ndmp")


def _one(way: Callable[[Path], AbstractContextManager[NdmpHost]], folder: Path) -> Iterator[NdmpHost]:
    folder.mkdir()
    with ExitStack() as stack:
        try:
            host = stack.enter_context(way(folder))
        except (CannotServe, CannotLink) as why:
            pytest.skip(str(why))
        yield host
