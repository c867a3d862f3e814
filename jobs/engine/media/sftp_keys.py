"""Keys of SFTP: the private key we log in with, and the host key that the server must show."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import Final

import asyncssh

from ..errors import InvalidOptions
from ..plan import Secret

_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedKey:
    """The host key that is trusted. ``algorithm`` is known when a whole key was pinned; '' = the server may choose."""

    fingerprint: str
    algorithm: str = ""

    def is_shown(self, key: asyncssh.SSHKey) -> bool:
        return hmac.compare_digest(self.fingerprint, key.get_fingerprint())


def pinned_key(text: str) -> PinnedKey:
    """From ``SHA256:…``, or a public key as ``ssh-keyscan`` or a ``known_hosts`` file gives it.

    Raises InvalidOptions.
    """
    words = text.split()
    found = next((word for word in words if _FINGERPRINT.match(word)), None)
    if found:
        return PinnedKey(fingerprint=found)
    starts = next((number for number, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-"))), None)
    try:
        key = asyncssh.import_public_key(" ".join(words[starts:]) if starts is not None else text)
    except asyncssh.KeyImportError as error:
        raise InvalidOptions(
            "Host key must be a fingerprint like SHA256:… or a whole key like “ssh-ed25519 AAAA…”.", field="host_key"
        ) from error
    return PinnedKey(fingerprint=key.get_fingerprint(), algorithm=key.get_algorithm())


def login_key(private_key: Secret, passphrase: Secret | None) -> asyncssh.SSHKey:
    """The private key to log in with. Raises InvalidOptions naming the field."""
    text = private_key.reveal().replace("\r\n", "\n").strip() + "\n"
    try:
        return asyncssh.import_private_key(text, passphrase.reveal() if passphrase else None)
    except asyncssh.KeyEncryptionError as error:
        raise InvalidOptions(
            "The passphrase does not open the private key.", field="passphrase", hint="Type the key's passphrase again."
        ) from error
    except (asyncssh.KeyImportError, ValueError) as error:
        if passphrase is None and "passphrase" in str(error).lower():
            raise InvalidOptions("The private key needs its passphrase.", field="passphrase") from error
        raise InvalidOptions(
            "This is no private key in a format of OpenSSH or PEM.",
            field="private_key",
            hint="Paste the whole file, with its first and last line; not the one that ends in .pub.",
        ) from error
