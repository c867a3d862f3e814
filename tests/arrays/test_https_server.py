"""The HTTPS server that the emulators stand on: it is trusted as it should be, and fails as it is told."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPSConnection, RemoteDisconnected
from pathlib import Path

import pytest

from .certificates import certificate
from .https_server import HERE, Answer, Fault, HttpsServer, Request, anything, serving, to


def echo(request: Request) -> Answer:
    return Answer(status=201, body={"query": dict(request.query), "body": request.body}, headers={"X-Told": "yes"})


def ask(server: HttpsServer, path: str, *, trust: Path | None = None, method: str = "GET", body: str = "") -> object:
    context = ssl.create_default_context(cafile=trust or server.certificate.authority)
    link = HTTPSConnection(HERE, server.port, context=context, timeout=60)
    try:
        link.request(method, path, body)
        answer = link.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    finally:
        link.close()


def test_it_answers_over_tls_and_remembers_what_was_asked() -> None:
    with serving(echo) as server:
        told = ask(server, "/api/things?name=a*&fields=x%2Cy", method="POST", body='{"a": 1}')
        assert told == (201, {"query": {"name": "a*", "fields": "x,y"}, "body": {"a": 1}})
        assert server.asked() == ["POST /api/things"]


@pytest.mark.parametrize("shown", [certificate("other.example"), certificate(HERE, authority="foreign")])
def test_a_wrong_name_or_authority_is_distrusted(shown: object) -> None:
    with serving(echo, certified=shown) as server:  # type: ignore[arg-type]
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(server, "/", trust=certificate(HERE, "localhost").authority)
        assert server.asked() == []


def test_it_fails_as_told_and_then_no_more() -> None:
    with serving(echo) as server:
        server.fail(Fault(matches=to("GET", "/one"), answer=Answer(status=401)))
        server.fail(Fault(matches=anything, is_dropped=True))
        assert ask(server, "/one") == (401, None)
        with pytest.raises(RemoteDisconnected):
            ask(server, "/one")
        assert ask(server, "/one") == (201, {"query": {}, "body": None})


def test_a_slow_answer_does_not_keep_it_from_stopping() -> None:
    with serving(echo) as server:
        server.fail(Fault(matches=anything, seconds=3600))
        link = HTTPSConnection(HERE, server.port, context=ssl._create_unverified_context(), timeout=60)
        link.request("GET", "/")
        link.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            link.getresponse()
        link.close()
