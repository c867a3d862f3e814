"""What a failed call over SFTP means: wait, change something, free space, or trust a key."""

from __future__ import annotations

import os
import socket

import asyncssh

from ..errors import EngineError, FileMissing, MediaRefused, MediaUnavailable, NoSpace
from .sftp_link import HostKeyRefused, Login

SftpFault = OSError | asyncssh.Error | HostKeyRefused

_DENIED = (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect, asyncssh.SFTPCannotDelete)
_FULL = (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)
_MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory)
_CUT = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)


def file_error(error: asyncssh.SFTPError, *, action: str, name: str, label: str) -> EngineError:
    """The error for one file. The protocol's “Failure” says nothing; its caller looks for the reason."""
    what = f"“{name}” on {label}"
    match error:
        case _ if isinstance(error, _CUT):
            return MediaUnavailable(f"{label} closed the connection in the middle of “{name}”.")
        case _ if isinstance(error, _MISSING):
            if action == "write":
                return MediaUnavailable(f"Cannot write {what}: its folder disappeared.")
            return FileMissing(f"There is no file {what}.", name=name)
        case _ if isinstance(error, _DENIED):
            return MediaRefused(
                f"Cannot {action} {what}: permission denied.",
                hint="Give the user of this medium the right to write there, on the server.",
            )
        case _ if isinstance(error, _FULL):
            return NoSpace(f"There is no space left to {action} {what}.")
        case _:
            reason = (error.reason or "no reason was told").strip().rstrip(".")
            return MediaUnavailable(f"Cannot {action} {what}: the server says “{reason}”.")


def link_error(error: SftpFault, login: Login, label: str) -> EngineError:
    """The error where there is no connection."""
    match error:
        case HostKeyRefused():
            return _host_key(error, login, label)
        case asyncssh.PermissionDenied():
            ways = " and ".join(
                way for way, given in (("private key", login.key), ("password", login.password)) if given is not None
            )
            return MediaRefused(
                f"{label} does not let “{login.user}” in with this {ways}.",
                hint="Correct the user and the key or password on the medium's form, or the authorized_keys there.",
            )
        case asyncssh.KeyExchangeFailed():
            return MediaRefused(f"{label} and SnapCopy have no way of encryption in common: {error.reason}.")
        case socket.gaierror():
            return MediaUnavailable(f"There is no address for the host of {label}.", hint="Correct the host.")
        case TimeoutError():
            return MediaUnavailable(f"{label} did not answer in time.")
        case ConnectionRefusedError():
            return MediaUnavailable(f"{label} refuses the connection: nothing listens there.")
        case asyncssh.ChannelOpenError():
            return MediaRefused(
                f"{label} lets “{login.user}” in, and offers no SFTP.", hint="Allow the SFTP subsystem to this user."
            )
        case ConnectionError() | asyncssh.ConnectionLost():
            return MediaUnavailable(f"{label} closed the connection.")
        case asyncssh.Error():
            return MediaUnavailable(f"{label} ended the connection: {error.reason.strip().rstrip('.')}.")
        case _:
            return MediaUnavailable(f"{label} cannot be reached: {os.strerror(error.errno or 0).lower()}.")


def _host_key(error: HostKeyRefused, login: Login, label: str) -> MediaRefused:
    shown = f"{error.algorithm} {error.fingerprint}"
    if login.pinned is None:
        return MediaRefused(
            f"The host key of {label} is not pinned yet. It showed {shown}.",
            hint=f"Compare it with “ssh-keygen -lf” of the key files on the server; then put {error.fingerprint} "
            "into “Host key”.",
        )
    return MediaRefused(
        f"{label} showed another host key than the pinned one: {shown}.",
        hint="Nothing was told to it. If the server got a new key, compare it there and pin it; else somebody is in "
        "between.",
    )
