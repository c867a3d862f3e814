"""A fake HTTP server that says exactly what a test wrote, for what no server here does: lies, cuts, refusals."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def scripted(answers: Sequence[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """(its address, the heads of the requests it got): an answer per connection, in turn; the last one again and again.

    It closes each connection after its answer, without having said so: the next request finds a dead one.
    """
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=_serve, args=(listening, answers, heads), daemon=True)
        server.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", heads
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            server.join()


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    """An answer with its length; header names have _ for -."""
    told = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def _serve(listening: socket.socket, answers: Sequence[bytes], heads: list[bytes]) -> None:
    number = 0
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            if not (head := _request(connection)):
                continue
            heads.append(head)
            connection.sendall(answers[min(number, len(answers) - 1)])
            number += 1


def _request(connection: socket.socket) -> bytes:
    """The head of a request, once its body has come, too: a close before that would reset the answer away."""
    got = b""
    while b"\r\n\r\n" not in got and (more := connection.recv(65536)):
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0 and (more := connection.recv(min(missing, 65536))):
        missing -= len(more)
    return head
