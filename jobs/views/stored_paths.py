"""Paths inside a backup copy in addresses and forms: raw bytes, since a file name need not be UTF-8.

An address shows them readable (``?path=/srv/data/%FF``); a form carries them as hexadecimal digits.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, quote_from_bytes

from django.http import HttpRequest


def path_of_query(request: HttpRequest) -> bytes:
    """``path`` of the address, normalised; Django's own QueryDict would replace bytes that are not UTF-8."""
    query = parse_qsl(request.META.get("QUERY_STRING", ""), errors="surrogateescape")
    return normalised(os.fsencode(dict(query).get("path", "/")))


def asked_path(request: HttpRequest) -> bytes | None:
    """``path`` of the address, or ``folder`` in digits, as forms carry it; None when there is neither."""
    if "path" in request.GET:
        return path_of_query(request)
    return next(iter(paths_of_form([request.GET["folder"]])), None) if "folder" in request.GET else None


def query_of_path(path: bytes) -> str:
    """``?path=…`` for an address."""
    return f"?path={quote_from_bytes(path, safe='/')}"


def normalised(path: bytes) -> bytes:
    """Absolute, no empty parts, no trailing slash; the root is ``/``. Dots are names like any other in a copy."""
    return b"/" + b"/".join(part for part in path.split(b"/") if part)


def paths_of_form(digits: Iterable[str]) -> list[bytes]:
    """The chosen paths, each once, in order; what is no path is left out."""
    found: dict[bytes, None] = {}
    for text in digits:
        try:
            found[normalised(bytes.fromhex(text))] = None
        except ValueError:
            continue
    return list(found)


def parent(path: bytes) -> bytes:
    """The folder a path lies in; the root lies in itself."""
    return path.rpartition(b"/")[0] or b"/"


def common_folder(paths: Sequence[bytes]) -> bytes:
    """The deepest folder that holds all of the paths."""
    return os.path.commonpath([parent(path) for path in paths]) if paths else b"/"


def display(path: bytes) -> str:
    """For people: UTF-8, other bytes as ``\\xNN``."""
    return path.decode("utf-8", "backslashreplace")


def crumbs(path: bytes) -> list[tuple[str, str]]:
    """(name, query) of each folder on the way to the path, without the root."""
    parts = [part for part in path.split(b"/") if part]
    return [(display(part), query_of_path(b"/" + b"/".join(parts[: number + 1]))) for number, part in enumerate(parts)]
