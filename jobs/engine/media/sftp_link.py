"""One SSH connection with an SFTP session on it, for one caller at a time, and the links that are kept for the next.

A link has an event loop of its own that only runs during a call: no thread stays behind, so that a fork finds no lock
held. While it runs, keepalives tell a dead server; a link that was idle for long is asked first whether it still lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import asyncssh

from .per_process import PerProcess
from .sftp_keys import PinnedKey

Result = TypeVar("Result")
Action = Callable[[asyncssh.SFTPClient], Awaitable[Result]]

CONNECT_SECONDS: Final = 20
KEEPALIVE_SECONDS: Final = 15
_KEEPALIVES_MISSED: Final = 3
_IDLE_SECONDS: Final = 30
_PROBE_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 2
_ATTEMPTS: Final = 3
"""OpenSSH drops some of many connections that log in at once (MaxStartups)."""
_KEPT: Final = 8
_QUICK_FIRST: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com")

asyncssh.set_log_level("WARNING")  # it tells every connection and its end otherwise

_BROKEN: Final = (OSError, asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)
"""The link is of no use any more. TimeoutError is an OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where and as whom. ``pinned`` None = no host key is trusted yet: the server's is told in the refusal."""

    host: str
    port: int
    user: str
    password: str | None
    key: asyncssh.SSHKey | None
    pinned: PinnedKey | None


class HostKeyRefused(Exception):
    """The server showed a key that is not the pinned one; nothing was told to it."""

    def __init__(self, shown: asyncssh.SSHKey) -> None:
        super().__init__(shown.get_fingerprint())
        self.fingerprint = shown.get_fingerprint()
        self.algorithm = shown.get_algorithm()


class _Client(asyncssh.SSHClient):
    def __init__(self, pinned: PinnedKey | None) -> None:
        self._pinned = pinned
        self.refused: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        if self._pinned is not None and self._pinned.is_shown(key):
            return True
        self.refused = key
        return False


class Link:
    """Opened by the constructor. Raises HostKeyRefused, asyncssh's errors, OSError."""

    def __init__(self, login: Login) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection: asyncssh.SSHClientConnection | None = None
        try:
            self._connection, self._client = self._until(_connected(login))
        except BaseException:
            self.close()
            raise
        self.used_at = time.monotonic()

    def run(self, action: Action[Result], *, seconds: float) -> Result:
        """Run to its end, for at most that long. After any other error than SFTP's own the link must be closed."""
        result = self._until(_within(action(self._client), seconds))
        self.used_at = time.monotonic()
        return result

    def is_alive(self) -> bool:
        """Whether the server still answers; only asked after the link was idle."""
        if time.monotonic() - self.used_at < _IDLE_SECONDS:
            return True
        try:
            self.run(lambda client: client.realpath("."), seconds=_PROBE_SECONDS)
        except (*_BROKEN, asyncssh.SFTPError):
            return False
        return True

    def close(self) -> None:
        """Say goodbye, for two seconds at most."""
        goodbye = _closed(self._connection)
        with contextlib.suppress(*_BROKEN, asyncssh.Error, RuntimeError), contextlib.closing(goodbye):
            self._until(goodbye)
        self._loop.close()

    def _until(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run it on this thread, or on one of its own where this one is busy with a loop of somebody else's."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._loop.run_until_complete(work)
        with ThreadPoolExecutor(max_workers=1) as other:
            return other.submit(self._loop.run_until_complete, work).result()


class Links:
    """The links of each process: one for each call in flight, kept for the next. Thread-safe, safe after ``fork``."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._idle: Final[PerProcess[list[Link]]] = PerProcess(list)

    def run(self, action: Action[Result], *, seconds: float) -> Result:
        """Run an action that may be run twice: a kept link that proves cut is replaced, once.

        Raises SFTPError as the server sent it; HostKeyRefused, OSError and asyncssh's errors where there is no link.
        """
        link, is_fresh = self._taken()
        try:
            try:
                result = link.run(action, seconds=seconds)
            except _BROKEN as error:
                if is_fresh or isinstance(error, TimeoutError):
                    raise
                link.close()
                link = Link(self._login)
                result = link.run(action, seconds=seconds)
        except asyncssh.SFTPError as error:
            if isinstance(error, _BROKEN):
                link.close()
            else:
                self._keep(link)
            raise
        except BaseException:
            link.close()
            raise
        self._keep(link)
        return result

    def close(self) -> None:
        for link in self._idle.take() or ():
            link.close()

    def _taken(self) -> tuple[Link, bool]:
        idle = self._idle.get()
        while True:
            try:
                link = idle.pop()
            except IndexError:
                return Link(self._login), True
            if link.is_alive():
                return link, False
            link.close()

    def _keep(self, link: Link) -> None:
        idle = self._idle.get()
        if len(idle) < _KEPT:
            idle.append(link)
        else:
            link.close()


async def _within(action: Awaitable[Result], seconds: float) -> Result:
    async with asyncio.timeout(seconds):
        return await action


async def _connected(login: Login) -> tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await _logged_in(login)
                return connection, await _session(connection)
        except (asyncssh.ConnectionLost, ConnectionResetError):
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(attempt * random.uniform(0.1, 0.4))  # noqa: S311 - only to not come again together
    raise AssertionError


async def _session(connection: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
    """A connection that is lost at this moment looks like a session that is refused."""
    try:
        return await connection.start_sftp_client()
    except asyncssh.ChannelOpenError as error:
        if connection.is_closed():
            raise ConnectionResetError(error.reason) from error
        connection.abort()
        raise
    except BaseException:
        connection.abort()
        raise


async def _logged_in(login: Login) -> asyncssh.SSHClientConnection:
    """Nothing of the account's own SSH settings is used: no agent, no keys, no known hosts, no configuration."""
    client = _Client(login.pinned)
    algorithm = login.pinned.algorithm if login.pinned else ""
    try:
        connection, _ = await asyncssh.create_connection(
            lambda: client,
            login.host,
            login.port,
            username=login.user,
            password=login.password,
            client_keys=[login.key] if login.key else None,
            known_hosts=([], [], []),
            server_host_key_algs=[algorithm] if algorithm and algorithm != "ssh-rsa" else (),
            encryption_algs=[*_QUICK_FIRST, "aes128-ctr", "aes256-ctr"],
            compression_algs=["none"],
            agent_path=None,
            config=None,
            gss_host=None,
            x509_trusted_certs=None,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=_KEEPALIVES_MISSED,
        )
    except asyncssh.HostKeyNotVerifiable:
        if client.refused is not None:
            raise HostKeyRefused(client.refused) from None
        raise
    return connection


async def _closed(connection: asyncssh.SSHClientConnection | None) -> None:
    """Calls that were given up must end before their loop does."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=_CLOSE_SECONDS)
    if connection is not None:
        connection.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await connection.wait_closed()
        except TimeoutError:
            connection.abort()
            await asyncio.sleep(0)
