"""Checking what people type to name a place in the network. Raises InvalidOptions naming the field."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from ...errors import InvalidOptions
from ...plan import Secret


def checked_endpoint(text: str, *, field: str, label: str) -> str:
    """An address like https://host:9000 or with a path, without trailing slash."""
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidOptions(f"{label} is no address: {error}.", field=field) from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidOptions(f"{label} must be an address like https://storage.example.org.", field=field)
    if parts.username is not None or parts.password is not None:
        raise InvalidOptions(f"{label} must not hold a user or password: they have fields of their own.", field=field)
    if parts.query or parts.fragment:
        raise InvalidOptions(f"{label} must not hold “?” or “#”.", field=field)
    return text.rstrip("/")


def checked_folder(text: str, *, field: str, label: str) -> str:
    """A prefix below a bucket, without slashes around it; "" = the bucket itself."""
    folder = text.strip("/")
    if any(part in ("", ".", "..") for part in folder.split("/")) and folder:
        raise InvalidOptions(f"{label} must not hold “//”, “.” or “..”.", field=field)
    if any(sign in folder for sign in "\\?#%*"):
        raise InvalidOptions(f"{label} must not hold any of \\ ? # % *.", field=field)
    return folder


def checked_container(text: str, *, field: str, label: str) -> str:
    """A bucket or container: one name, no address and no path."""
    if "/" in text or ":" in text or " " in text:
        raise InvalidOptions(f"{label} must be a name, without address and folder.", field=field)
    return text


def exactly_one(first: Secret | None, second: Secret | None, *, field: str, sentence: str) -> None:
    """Two ways to log in, of which one must be given."""
    if (first is None) == (second is None):
        raise InvalidOptions(sentence, field=field)


def checked_ca_file(path: Path | None, *, field: str = "ca_file") -> None:
    """Only its form: it lies on the access nodes, not where the form is filled in."""
    if path is not None and path.suffix.lower() in (".key", ".p12", ".pfx"):
        raise InvalidOptions("The CA file must hold certificates (PEM), not a key.", field=field)


def described(kind: str, container: str, folder: str) -> str:
    """The medium's name in errors: “S3 bucket/prefix”."""
    return f"{kind} {container}/{folder}" if folder else f"{kind} {container}"
