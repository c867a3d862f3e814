"""A stand-in for services that do not run here: an S3 service that keeps objects in memory and can be made odd.

It checks no signature. Real servers judge the driver; this one only shows what is sent, and answers as servers with a
fault do: ignoring ranges, sending too little, another status.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True, kw_only=True)
class OddS3:
    """``ranges``: “honest”, “ignored” (200 and the whole object) or “short” (a byte less than asked).

    ``status`` and ``body`` answer every request instead.
    """

    url: str = ""
    ranges: str = "honest"
    status: int = 0
    body: bytes = b""
    objects: dict[str, bytes] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def odd_s3() -> Iterator[OddS3]:
    """One service on loopback."""
    state = OddS3()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: Any) -> None:
            pass

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            state.headers.append(dict(self.headers))
            if not self._is_odd():
                state.objects[self.path] = content
                self._answer(200, b"")

        def do_DELETE(self) -> None:
            if not self._is_odd():
                state.objects.pop(self.path, None)
                self._answer(204, b"")

        def do_HEAD(self) -> None:
            if not self._is_odd():
                found = state.objects.get(self.path)
                self._answer(404 if found is None else 200, found or b"")

        def do_GET(self) -> None:
            if self._is_odd():
                return
            found = state.objects.get(self.path)
            if found is None:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                return
            wanted = self.headers.get("Range")
            if wanted is None or state.ranges == "ignored":
                self._answer(200, found)
                return
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            part = found[int(first) : int(last or len(found)) + 1]
            part = part[: len(part) - (state.ranges == "short")]
            self._answer(206, part, f"bytes {first}-{int(first) + len(part) - 1}/{len(found)}")

        def _is_odd(self) -> bool:
            if state.status:
                self._answer(state.status, state.body)
            return bool(state.status)

        def _answer(self, status: int, body: bytes, content_range: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if content_range:
                self.send_header("Content-Range", content_range)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
