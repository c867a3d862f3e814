"""restic's REST protocol: requests for files and folders, and what a server's refusal means. Speaks through a pool.

Source: restic's design document, "REST Backend". A server stores a file under its final name while it comes in; names
are hashes of the content, so that a half file is told from a whole one.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Final

from ..errors import (
    DeletionRefused,
    EngineError,
    FileMissing,
    MediaRefused,
    MediaUnavailable,
    NoSpace,
    RepositoryDamaged,
)
from .base import Buffer
from .http_pool import HttpPool, Request
from .pieces import portions, total_bytes
from .rest_names import listed_name, rest_path

_LISTING: Final = "application/vnd.x.restic.rest.v2"
_PORTION_BYTES: Final = 2**20
_REASON_BYTES: Final = 2000
_RANGE: Final = re.compile(r"bytes (-?\d+)-(-?\d+)/(\d+|\*)\Z")
"""Past the end of a file rclone answers ``bytes 7-4/5``, and ``bytes 0--1/0`` for an empty one."""
_UNSATISFIED: Final = re.compile(r"bytes \*/(\d+)\Z")
_FULL: Final = re.compile(r"no space left|quota|maximum (?:repository )?size", re.IGNORECASE)
_MOST_LISTED_BYTES: Final = 2**30


class RestClient:
    """Thread-safe. ``base`` is the path of the repository, with a slash at both ends; ``label`` names it in errors."""

    def __init__(self, pool: HttpPool, *, base: str, label: str, authorization: str = "") -> None:
        self._pool = pool
        self._base = base
        self._label = label
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "snapcopy"}
        if authorization:
            self._headers["Authorization"] = authorization

    def store(self, name: str, pieces: Sequence[Buffer]) -> bool:
        """Send a file; False if the server refuses because it keeps the one that is there."""
        request = self._request(
            "POST",
            rest_path(name),
            body=lambda: portions(pieces, at_least=_PORTION_BYTES),
            length=total_bytes(pieces),
            headers={"Content-Type": "application/octet-stream"},
        )
        with self._pool.answer(request) as response:
            reason = _reason(response)
            if response.status == HTTPStatus.FORBIDDEN:
                return False
            if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                raise self._refusal(response, reason, "write", name)
        return True

    def create(self) -> None:
        """Make the folders of a repository; no error if they are there."""
        with self._pool.answer(self._request("POST", "?create=true", body=lambda: (), length=0)) as response:
            reason = _reason(response)
            if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                raise self._refusal(response, reason, "create", "/")

    def read(self, name: str, offset: int, length: int | None) -> bytes:
        """Exactly that part of the file. Raises RepositoryDamaged where the file ends before."""
        headers = {}
        if offset or length is not None:
            last = "" if length is None else str(offset + length - 1)
            headers["Range"] = f"bytes={offset}-{last}"
        with self._pool.answer(self._request("GET", rest_path(name), headers=headers)) as response:
            match response.status:
                case HTTPStatus.PARTIAL_CONTENT:
                    return self._part(response, name, offset, length)
                case HTTPStatus.OK:
                    return self._cut_out(response, name, offset, length)
                case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    response.read()
                    found = _UNSATISFIED.match(response.headers.get("Content-Range", ""))
                    size = int(found[1]) if found else self.size(name)
                    raise self._too_short(name, size, offset, length)
                case _:
                    raise self._refusal(response, _reason(response), "read", name)

    def size(self, name: str) -> int:
        """Bytes of a file. Raises FileMissing."""
        with self._pool.answer(self._request("HEAD", rest_path(name))) as response:
            response.read()
            if response.status != HTTPStatus.OK:
                raise self._refusal(response, "", "look up", name)
            length = response.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise MediaUnavailable(f"{self._label} does not tell the size of “{name}”.")
        return int(length)

    def delete(self, name: str) -> None:
        """Remove a file; a missing one is no error. Raises DeletionRefused."""
        with self._pool.answer(self._request("DELETE", rest_path(name))) as response:
            reason = _reason(response)
            if response.status == HTTPStatus.FORBIDDEN:
                raise DeletionRefused(f"{self._label} refuses to delete “{name}”{_because(reason)}.")
            if response.status >= HTTPStatus.MULTIPLE_CHOICES and response.status != HTTPStatus.NOT_FOUND:
                raise self._refusal(response, reason, "delete", name)

    def list(self, folder: str) -> Iterator[tuple[str, int]]:
        """(name, bytes) of every file in one of the protocol's folders; one that is not there is empty."""
        with self._pool.answer(self._request("GET", f"{folder}/", headers={"Accept": _LISTING})) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                response.read()
                return
            if response.status != HTTPStatus.OK:
                raise self._refusal(response, _reason(response), "list", folder)
            text = self._body(response, folder)
        for base, size in self._rows(text, folder):
            name = listed_name(folder, base)
            if name is not None:
                yield name, self.size(name) if size is None else size

    def _rows(self, text: bytes, folder: str) -> Iterator[tuple[str, int | None]]:
        """Rows of version 2 hold name and size, those of version 1 only the name."""
        try:
            rows = json.loads(text or b"[]") or []
            if not isinstance(rows, list):
                raise self._no_listing(folder)
            for row in rows:
                yield (row, None) if isinstance(row, str) else (str(row["name"]), int(row["size"]))
        except (ValueError, KeyError, TypeError) as error:
            raise self._no_listing(folder) from error

    def _no_listing(self, folder: str) -> MediaUnavailable:
        hint = "Check that the address is that of a restic REST server and its repository."
        return MediaUnavailable(f"What {self._label} answers for “{folder}” is not a list of files.", hint=hint)

    def _body(self, response: http.client.HTTPResponse, name: str) -> bytes:
        text = response.read(_MOST_LISTED_BYTES)
        if not response.isclosed() and response.read(1):
            raise MediaUnavailable(f"The list of “{name}” on {self._label} is longer than a list can be.")
        if response.length:
            raise MediaUnavailable(f"{self._label} closed the connection in the middle of the list of “{name}”.")
        return text

    def _part(self, response: http.client.HTTPResponse, name: str, offset: int, length: int | None) -> bytes:
        """The body of a 206: it must say that it is the part that was asked for."""
        told = _RANGE.match(response.headers.get("Content-Range", ""))
        if told is not None and told[3].isdecimal() and offset + (length or 0) > int(told[3]):
            raise self._too_short(name, int(told[3]), offset, length)
        if told is None or int(told[1]) != offset:
            raise MediaUnavailable(f"{self._label} sent another part of “{name}” than was asked for.")
        count = max(0, int(told[2]) + 1 - offset)
        if length is not None and count < length:
            raise self._too_short(name, offset + count, offset, length)
        wanted = count if length is None else length
        data = response.read(wanted)
        self._require_whole(data, wanted, response, name)
        return data

    def _cut_out(self, response: http.client.HTTPResponse, name: str, offset: int, length: int | None) -> bytes:
        """Some servers answer a range with the whole file."""
        size = response.length
        if size is None:
            data = response.read()
            size = len(data)
        else:
            if offset + (length or 0) > size:
                raise self._too_short(name, size, offset, length)
            wanted = size if length is None else offset + length
            data = response.read(wanted)
            if len(data) != wanted:
                raise self._half(name)
        if offset + (length or 0) > size:
            raise self._too_short(name, size, offset, length)
        return data[offset:] if length is None else data[offset : offset + length]

    def _require_whole(self, data: bytes, wanted: int, response: http.client.HTTPResponse, name: str) -> None:
        if len(data) != wanted:
            raise self._half(name)
        if not response.isclosed() and response.read(1):
            raise MediaUnavailable(f"{self._label} sent more of “{name}” than was asked for.")

    def _half(self, name: str) -> MediaUnavailable:
        return MediaUnavailable(f"{self._label} closed the connection in the middle of “{name}”.")

    def _too_short(self, name: str, size: int, offset: int, length: int | None) -> RepositoryDamaged:
        expected = offset + (length or 0)
        return RepositoryDamaged(
            f"“{name}” on {self._label} ends after {size} bytes; {expected} were expected.", name=name
        )

    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: Callable[[], Iterator[Buffer] | tuple[()]] | None = None,
        length: int = 0,
    ) -> Request:
        return Request(
            method=method,
            target=self._base + path,
            headers=self._headers | (headers or {}),
            body=body,
            length=length,
        )

    def _refusal(self, response: http.client.HTTPResponse, reason: str, action: str, name: str) -> EngineError:
        status = response.status
        what = f"Cannot {action} “{name}” on {self._label}"
        match status:
            case HTTPStatus.UNAUTHORIZED:
                return MediaRefused(
                    f"{self._label} does not accept this user and password.", hint="Correct them on the medium's form."
                )
            case HTTPStatus.FORBIDDEN:
                return MediaRefused(
                    f"{what}: the server denies it{_because(reason)}.",
                    hint="Give this user the right to the repository at the server, or correct the address.",
                )
            case HTTPStatus.NOT_FOUND | HTTPStatus.GONE if action in {"read", "look up"}:
                return FileMissing(f"There is no file “{name}” on {self._label}.", name=name)
            case HTTPStatus.REQUEST_ENTITY_TOO_LARGE | HTTPStatus.INSUFFICIENT_STORAGE:
                return NoSpace(f"There is no space left to {action} “{name}” on {self._label}{_because(reason)}.")
            case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR and _FULL.search(reason):
                return NoSpace(f"There is no space left to {action} “{name}” on {self._label}{_because(reason)}.")
            case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in {
                HTTPStatus.REQUEST_TIMEOUT,
                HTTPStatus.TOO_MANY_REQUESTS,
            }:
                return MediaUnavailable(f"{what}: the server answered {status}{_because(reason)}.")
            case _:
                return MediaRefused(
                    f"{what}: the server answered {status}{_because(reason)}.",
                    hint="Check that the address is that of a restic REST server and its repository.",
                )


def _reason(response: http.client.HTTPResponse) -> str:
    """The first line of what the server says, for people; a page of HTML says nothing."""
    text = response.read(_REASON_BYTES).decode(errors="replace").strip()
    response.read()
    line = text.splitlines()[0].strip().rstrip(".") if text else ""
    if line.startswith("<") or line == http.client.responses.get(response.status):
        return ""
    return "".join(character for character in line if character.isprintable())[:200]


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
