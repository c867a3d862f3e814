"""How stock restic gets to each kind of medium: its environment, and files it wants. For the recovery kit.

By kind and option; a kind that is not here needs nothing but its place and the repository password. Variables:
https://restic.readthedocs.io/en/stable/040_backup.html#environment-variables
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..plan import Secret

VARIABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "s3": {
        "access_key": "AWS_ACCESS_KEY_ID",
        "secret_key": "AWS_SECRET_ACCESS_KEY",
        "session_token": "AWS_SESSION_TOKEN",
        "region": "AWS_DEFAULT_REGION",
    },
    "azure": {"account": "AZURE_ACCOUNT_NAME", "account_key": "AZURE_ACCOUNT_KEY", "sas_token": "AZURE_ACCOUNT_SAS"},
    "b2": {"key_id": "B2_ACCOUNT_ID", "application_key": "B2_ACCOUNT_KEY"},
}

FILES: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "gcs": {"service_account": ("GOOGLE_APPLICATION_CREDENTIALS", "service-account.json")},
}
"""Options that restic reads from a file: the variable that names it, and a name for it."""

NOTES: Final[Mapping[str, str]] = {
    "rest": "Where the server asks for a user, write the server's password in place of PASSWORD in the address.",
    "sftp": "restic starts ssh: the private key belongs into ~/.ssh, the server's host key into ~/.ssh/known_hosts.",
    "rclone": "restic starts rclone: the remote belongs into its configuration, ~/.config/rclone/rclone.conf.",
    "webdav": "restic has no way to WebDAV of its own. Set up a remote of rclone for it, and use rclone:REMOTE:FOLDER.",
    "disk": "Mount the disk or the share first, on any Linux.",
}

_TYPED: Final = "…"
"""Stands for a secret that is not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """``setup`` are shell lines that name the repository and its secrets, ``use`` what to do then.

    ``configuration`` brings back what is kept of the configuration; ``note`` is in words.
    """

    setup: tuple[str, ...]
    use: tuple[str, ...]
    note: str
    configuration: str


def access_of(
    kind: str,
    place: str,
    options: Mapping[str, object],
    *,
    password: Secret | None,
    secrets: Mapping[str, Secret] | None = None,
) -> Access:
    """The lines for one medium. ``place`` is what ``restic -r`` takes, '' = it has no way there.

    ``password`` and ``secrets`` None = not to be shown: a mark stands in their place.
    """
    given = {name: str(value) for name, value in options.items() if value not in (None, "")}
    lines = [_export("RESTIC_REPOSITORY", place or _TYPED)]
    for option, variable in VARIABLES.get(kind, {}).items():
        if (text := _text(option, given, secrets)) is not None:
            lines.append(_export(variable, text))
    for option, (variable, file) in FILES.get(kind, {}).items():
        text = _text(option, given, secrets) or _TYPED
        lines += [f"printf %s {shlex.quote(text)} > {file}", _export(variable, file)]
    lines.append(_export("RESTIC_PASSWORD", password.reveal() if password is not None else _TYPED))
    cacert = f" --cacert {shlex.quote(given['ca_file'])}" if "ca_file" in given else ""
    return Access(
        setup=tuple(lines),
        use=(
            f"restic{cacert} snapshots",
            f"restic{cacert} check --read-data",
            f"restic{cacert} ls latest",
            f"restic{cacert} restore latest --target /restore",
        ),
        note=NOTES.get(kind, ""),
        configuration=f"restic{cacert} restore latest --tag snapcopy-configuration --target /restore",
    )


def _text(option: str, given: Mapping[str, str], secrets: Mapping[str, Secret] | None) -> str | None:
    """None = it is not set. Without ``secrets`` nobody knows which are, so all of them are marked."""
    if option in given:
        return given[option]
    if secrets is None:
        return _TYPED
    return secrets[option].reveal() if option in secrets else None


def _export(variable: str, text: str) -> str:
    return f"export {variable}={shlex.quote(text)}"
