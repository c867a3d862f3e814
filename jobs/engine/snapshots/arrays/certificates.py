"""The certificate of an array's management address: what it shows, and what a setting may say of it."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from pathlib import Path
from typing import Final

from ...errors import InvalidOptions

_HEX: Final = re.compile(r"[0-9a-f]{64}\Z")
_SHOWN: Final = 2


def checked_fingerprint(text: str | None, *, field: str = "fingerprint") -> str:
    """A SHA-256 fingerprint as 64 hexadecimal digits, however it was written; empty = none. Raises InvalidOptions."""
    digits = re.sub(r"[\s:-]", "", text or "").lower()
    if digits and not _HEX.match(digits):
        raise InvalidOptions(
            "The fingerprint is no SHA-256 fingerprint of a certificate.",
            field=field,
            hint="It has 64 hexadecimal digits, with or without colons.",
        )
    return digits


def checked_authority(path: Path | None, *, field: str = "ca_file") -> Path | None:
    """A file with certificates that are trusted, on this node. Raises InvalidOptions."""
    if path is None:
        return None
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise InvalidOptions(
            f"“{path}” on this node holds no certificates in PEM format.",
            field=field,
            hint="Every access node of this file server needs the file at the same path.",
        ) from error
    return path


def presented_fingerprint(host: str, port: int, *, seconds: float) -> str:
    """What the address shows to anybody who asks, “AB:CD:…”; empty where it shows nothing. Nothing is sent to it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=seconds) as link, context.wrap_socket(link) as secured:
            shown = secured.getpeercert(binary_form=True)
    except OSError:
        return ""
    return spaced(hashlib.sha256(shown).hexdigest()) if shown else ""


def spaced(digits: str) -> str:
    """As the arrays and browsers write it: “AB:CD:…”."""
    return ":".join(digits[at : at + _SHOWN] for at in range(0, len(digits), _SHOWN)).upper()
