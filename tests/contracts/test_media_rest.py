"""REST servers that keep everything, cut, lie or refuse, and the certificate they show."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jobs.engine.clock import SystemClock
from jobs.engine.errors import (
    DeletionRefused,
    EngineError,
    FileMissing,
    MediaRefused,
    MediaUnavailable,
    NoSpace,
    RepositoryDamaged,
)
from jobs.engine.events import FreeRun, NullSink
from jobs.engine.media import http_pool
from jobs.engine.media.rest import RestMedia, RestOptions, stock_rest
from jobs.engine.operations import prune
from jobs.engine.options import option_problems
from jobs.engine.plan import Secret
from jobs.engine.repository.repository import Repository
from tests import rclone_servers
from tests.scripted_http import answer, scripted

CONTENT = b"0123456789"
PACK = f"data/{hashlib.sha256(CONTENT).hexdigest()[:2]}/{hashlib.sha256(CONTENT).hexdigest()}"


@contextmanager
def told(*answers: bytes) -> Iterator[RestMedia]:
    with scripted(answers) as (address, _):
        medium = RestMedia(RestOptions(url=address))
        yield medium
        medium.close()


def test_a_server_that_answers_a_range_with_everything_is_cut_to_size() -> None:
    with told(answer("200 OK", CONTENT)) as medium:
        assert medium.get(PACK, offset=3, length=4) == b"3456"
        assert medium.get(PACK, offset=7) == b"789"
        with pytest.raises(RepositoryDamaged, match="ends after 10 bytes"):
            medium.get(PACK, offset=8, length=4)


@pytest.mark.parametrize(
    ("lie", "kind"),
    [
        (answer("206 Partial Content", b"4567", Content_Range="bytes 4-7/10"), MediaUnavailable),
        (answer("206 Partial Content", b"3456"), MediaUnavailable),
        (answer("206 Partial Content", b"34567", Content_Range="bytes 3-6/10"), MediaUnavailable),
        (answer("206 Partial Content", b"34", Content_Range="bytes 3-6/10", Content_Length="4"), MediaUnavailable),
        (answer("206 Partial Content", b"345", Content_Range="bytes 3-5/6"), RepositoryDamaged),
        (answer("416 Range Not Satisfiable", Content_Range="bytes */5"), RepositoryDamaged),
        (answer("200 OK", b"0123", Content_Length="10"), MediaUnavailable),
        (b"SSH-2.0-OpenSSH_9.2\r\n", MediaUnavailable),
        (b"", MediaUnavailable),
    ],
    ids=["other-part", "no-range", "more", "cut", "short-file", "past-end", "cut-whole", "no-http", "nothing"],
)
def test_a_lie_about_a_range_is_never_data(lie: bytes, kind: type[EngineError]) -> None:
    with told(lie) as medium, pytest.raises(kind):
        medium.get(PACK, offset=3, length=4)


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        (answer("401 Unauthorized"), MediaRefused, "user and password"),
        (answer("403 Forbidden"), MediaRefused, "denies"),
        (answer("404 Not Found"), MediaRefused, "404"),
        (answer("405 Method Not Allowed", b"<html>"), MediaRefused, "405"),
        (answer("413 Request Entity Too Large", b"maximum size reached"), NoSpace, "maximum size reached"),
        (answer("500 Internal Server Error", b"write: no space left on device"), NoSpace, "no space left"),
        (answer("503 Service Unavailable", b"later"), MediaUnavailable, "503 (later)"),
        (answer("507 Insufficient Storage"), NoSpace, "space"),
        (answer("301 Moved Permanently", Location="https://elsewhere/"), MediaRefused, "301"),
    ],
    ids=lambda value: value.split()[1].decode() if isinstance(value, bytes) else None,
)
def test_each_refusal_of_a_put_has_its_place_in_the_tree(refusal: bytes, kind: type[EngineError], words: str) -> None:
    missing = answer("404 Not Found")
    answers = (refusal, missing, missing) if b" 403 " in refusal else (refusal,)
    with told(*answers) as medium, pytest.raises(kind) as caught:
        medium.put(PACK, [CONTENT])
    assert type(caught.value) is kind
    assert words in caught.value.sentence
    assert caught.value.hint


def test_what_is_no_list_is_not_an_empty_one() -> None:
    for body in (b"<html>hello</html>", b'{"name": 1}', b'[{"size": 3}]', b"[1]"):
        with told(answer("200 OK", body)) as medium, pytest.raises(MediaUnavailable, match="not a list"):
            list(medium.list("index"))
    half = answer("200 OK", b"[", Content_Length="50")
    with told(half) as medium, pytest.raises(MediaUnavailable):
        list(medium.list("index"))


def test_an_old_server_that_lists_names_only_is_asked_for_sizes() -> None:
    with told(answer("200 OK", b'["aa", "bb"]'), answer("200 OK", b"", Content_Length="7")) as medium:
        assert list(medium.list("index")) == [("index/aa", 7), ("index/bb", 7)]


def test_a_server_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_pool, "STALL_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        medium = RestMedia(RestOptions(url=f"http://127.0.0.1:{silent.getsockname()[1]}/"))
        with pytest.raises(MediaUnavailable, match="in time"):
            medium.get(PACK)


def test_an_append_only_server_keeps_everything_but_locks(tmp_path: Path) -> None:
    medium = RestMedia(RestOptions(url=f"{rclone_servers.append_only()}{tmp_path}/"))
    medium.put(PACK, [CONTENT])
    medium.put(PACK, [CONTENT])
    medium.put("locks/aa", [b"x"])
    medium.delete("locks/aa")
    with pytest.raises(DeletionRefused) as caught:
        medium.delete(PACK)
    assert isinstance(caught.value, MediaRefused)
    assert caught.value.hint
    with pytest.raises(DeletionRefused):
        medium.put(PACK, [b"other"])
    assert medium.get(PACK) == CONTENT
    assert list(medium.list("locks")) == []
    medium.close()


def test_a_medium_said_to_be_append_only_is_never_asked_to_delete(tmp_path: Path) -> None:
    medium = RestMedia(RestOptions(url=f"{rclone_servers.rest_server()}{tmp_path}/", append_only=True))
    reports = [medium.test(), medium.test()]
    assert all(report.ok for report in reports)
    assert "keeps what was written" in reports[0].steps[4].detail
    ((probe, size),) = medium.list("data")
    assert size < 100
    with pytest.raises(DeletionRefused, match="append-only"):
        medium.delete(probe)
    medium.close()


class _Cut(list[bytes]):
    """Pieces of which a second reading breaks off: counted, then half sent."""

    readings = 0

    def __iter__(self) -> Iterator[bytes]:
        self.readings += 1
        yield from list.__iter__(self)
        if self.readings > 1:
            raise OSError(5, "cut")


def test_a_prune_of_a_medium_that_keeps_everything_changes_nothing(tmp_path: Path) -> None:
    medium = RestMedia(RestOptions(url=f"{rclone_servers.append_only()}{tmp_path}/"))
    Repository.create(medium, Secret("x"))
    medium.put(PACK, [CONTENT])
    before = sorted(medium.list(""))
    with pytest.raises(DeletionRefused, match="refuses to delete"):
        prune.run(prune.PrunePlan(), medium, Secret("x"), NullSink(), FreeRun(), SystemClock())
    assert sorted(medium.list("")) == before
    medium.close()


def test_a_put_that_was_cut_does_not_take_the_next_attempt_with_it(tmp_path: Path) -> None:
    """rclone writes into the final file and removes it when it notices a cut: that may be after the next attempt."""
    medium = RestMedia(RestOptions(url=f"{rclone_servers.rest_server()}{tmp_path}/"))
    with pytest.raises(MediaUnavailable):
        medium.put(PACK, _Cut([b"x" * 2**21, b"y" * 10]))
    ends_at = time.monotonic() + 60
    while True:
        try:
            medium.put(PACK, [CONTENT])
            break
        except MediaUnavailable:  # it is still busy with the removal, and says 500
            assert time.monotonic() < ends_at
    assert medium.get(PACK) == CONTENT
    medium.close()


def test_a_private_authority_is_trusted_only_through_its_file(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    address = rclone_servers.rest_server("--cert", str(certificate), "--key", str(key)) + f"{tmp_path}/r/"
    trusting = RestMedia(RestOptions(url=address, ca_file=certificate))
    trusting.put(PACK, [CONTENT])
    assert trusting.get(PACK, offset=1, length=2) == b"12"
    trusting.close()
    with pytest.raises(MediaRefused, match="not trusted") as caught:
        RestMedia(RestOptions(url=address)).exists("config")
    assert "CA file" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"url": "backup.example.com"}, "url"),
        ({"url": "ftp://backup.example.com/"}, "url"),
        ({"url": "https://me:secret@backup.example.com/"}, "url"),
        ({"url": "https://backup.example.com:99999/"}, "url"),
        ({"url": "https://backup.example.com/?x"}, "url"),
        ({"url": "https://backup.example.com/", "user": "a:b"}, "user"),
    ],
    ids=["no-scheme", "ftp", "user", "port", "query", "colon"],
)
def test_an_address_that_cannot_be_one_is_refused_in_the_form(values: dict[str, object], field: str) -> None:
    assert [problem.field for problem in option_problems(RestOptions, values)] == [field]


def test_a_password_needs_a_user_and_stock_restic_gets_no_password() -> None:
    url = "https://backup.example.com/r"
    (problem,) = option_problems(RestOptions, {"url": url}, {"password": Secret("x")})
    assert problem.field == "user"
    assert stock_rest({"url": url, "user": "me"}) == "rest:https://me:PASSWORD@backup.example.com/r/"


def test_a_file_that_is_gone_between_list_and_read_is_named() -> None:
    with told(answer("404 Not Found", b"gone")) as medium, pytest.raises(FileMissing) as caught:
        medium.get(PACK)
    assert caught.value.name == PACK


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private
