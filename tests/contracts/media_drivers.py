"""The media that the contract suite drives: one entry per driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from jobs.engine.media.base import Media
from jobs.engine.media.registry import MEDIA
from jobs.engine.options import parse_options
from jobs.engine.plan import Secret
from tests import azurite_server, google_cloud, object_servers, rclone_servers, ssh_server

Secrets = Mapping[str, Secret]


def _no_file(place: Path, name: str) -> Path:
    raise AssertionError(f"The server keeps {name} of {place} as no file here.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """How to open a driver over a fresh place, and where its files lie here, so that a test can damage them.

    A server that keeps no files here has ``upload`` instead of ``file``: it stores contents by name, past the driver.
    ``wrong_secrets`` do not open it, None = it has none. ``elsewhere`` are values that lead to where nobody listens,
    None = it is no server. ``notice`` tells a server that remembers folders that its files were changed past it.
    ``address`` is the option that holds a URL.
    """

    name: str
    values: Callable[[Path], dict[str, object]]
    file: Callable[[Path, str], Path] = _no_file
    upload: Callable[[Path, Mapping[str, bytes]], None] | None = None
    secrets: Callable[[], Secrets] = field(default=dict)
    wrong_secrets: Callable[[], Secrets] | None = None
    elsewhere: Callable[[], Mapping[str, object]] | None = None
    notice: Callable[[], None] = lambda: None
    address: str = ""

    def open(self, place: Path, *, values: Mapping[str, object] | None = None, secrets: Secrets | None = None) -> Media:
        """``values`` are laid over those of the place; ``secrets`` replace the right ones."""
        kind = MEDIA[self.name]
        given = self.values(place) | dict(values or {})
        return kind.build(parse_options(kind.options, given, self.secrets() if secrets is None else secrets))

    def port(self, place: Path) -> int:
        """Where its server listens."""
        return urlsplit(str(self.values(place)[self.address])).port or 0

    def open_through(self, place: Path, port: int) -> Media:
        """As ``open``, by way of a proxy that listens here."""
        url = urlsplit(str(self.values(place)[self.address]))._replace(netloc=f"127.0.0.1:{port}")
        return self.open(place, values={self.address: urlunsplit(url)})

    def fill(self, place: Path, contents: Mapping[str, bytes]) -> None:
        """Put files there, past the driver, also over what is there."""
        if self.upload is not None:
            self.upload(place, contents)
            return
        for name, content in contents.items():
            path = self.file(place, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.notice()


def _s3(place: Path) -> dict[str, object]:
    return {
        "endpoint": object_servers.serve_s3().url,
        "bucket": object_servers.BUCKET,
        "prefix": place.name,
        "access_key": object_servers.ACCESS_KEY,
    }


def _webdav(place: Path) -> dict[str, object]:
    return {"endpoint": object_servers.serve_webdav().url, "root": place.name, "user": object_servers.USER}


def _azure(place: Path) -> dict[str, object]:
    return {
        "account": azurite_server.ACCOUNT,
        "container": azurite_server.CONTAINER,
        "prefix": place.name,
        "endpoint": azurite_server.serve_azurite().endpoint,
    }


def _upload_to_azure(place: Path, contents: Mapping[str, bytes]) -> None:
    azurite_server.serve_azurite().upload({f"{place.name}/{name}": content for name, content in contents.items()})


def _gcs(place: Path) -> dict[str, object]:
    return {"bucket": google_cloud.BUCKET, "prefix": place.name, "endpoint": google_cloud.serve_google().url}


def _upload_to_google(place: Path, contents: Mapping[str, bytes]) -> None:
    google_cloud.serve_google().upload({f"{place.name}/{name}": content for name, content in contents.items()})


DISK = Driver(name="disk", values=lambda place: {"path": str(place)}, file=lambda place, name: place / name)
REST = Driver(
    name="rest",
    values=lambda place: {"url": f"{rclone_servers.with_password()}{place}/", "user": rclone_servers.USER},
    file=lambda place, name: place / name,
    secrets=lambda: {"password": Secret(rclone_servers.PASSWORD)},
    wrong_secrets=lambda: {"password": Secret("wrong one")},
    elsewhere=lambda: {"url": "http://127.0.0.1:1/"},
    address="url",
)
SFTP = Driver(
    name="sftp",
    values=ssh_server.values,
    file=lambda place, name: place / name,
    secrets=ssh_server.secrets,
    wrong_secrets=lambda: {"private_key": Secret(ssh_server.server().stranger.read_text())},
    elsewhere=lambda: {"port": 1},
)
RCLONE = Driver(
    name="rclone",
    values=lambda place: {"remote": "here", "path": str(place)},
    file=lambda place, name: place / name,
    secrets=lambda: {"config": Secret("[here]\ntype = local\n")},
    wrong_secrets=lambda: {"config": Secret(ssh_server.strangers_remote("here"))},
)
S3 = Driver(
    name="s3",
    values=_s3,
    file=lambda place, name: object_servers.serve_s3().root / object_servers.BUCKET / place.name / name,
    secrets=lambda: {"secret_key": Secret(object_servers.SECRET_KEY)},
    wrong_secrets=lambda: {"secret_key": Secret("another-secret-0000")},
    elsewhere=lambda: {"endpoint": "http://127.0.0.1:1"},
    address="endpoint",
)
WEBDAV = Driver(
    name="webdav",
    values=_webdav,
    file=lambda place, name: object_servers.serve_webdav().root / place.name / name,
    secrets=lambda: {"password": Secret(object_servers.PASSWORD)},
    wrong_secrets=lambda: {"password": Secret("another-password")},
    elsewhere=lambda: {"endpoint": "http://127.0.0.1:1"},
    notice=lambda: object_servers.serve_webdav().forget(),
)
AZURE = Driver(
    name="azure",
    values=_azure,
    upload=_upload_to_azure,
    secrets=lambda: {"account_key": Secret(azurite_server.ACCOUNT_KEY)},
    wrong_secrets=lambda: {"account_key": Secret(azurite_server.ANOTHER_KEY)},
    elsewhere=lambda: {"endpoint": "http://127.0.0.1:1"},
    address="endpoint",
)
GCS = Driver(
    name="gcs",
    values=_gcs,
    upload=_upload_to_google,
    secrets=lambda: {"service_account": Secret(google_cloud.key_file())},
    wrong_secrets=lambda: {"service_account": Secret(google_cloud.strangers_key_file())},
    elsewhere=lambda: {"endpoint": "http://127.0.0.1:1"},
    address="endpoint",
)

DRIVERS = (DISK, REST, SFTP, RCLONE, S3, WEBDAV, AZURE, GCS)
WITHOUT_SERVER = frozenset({"b2"})
"""Kinds for which nothing that speaks their protocol runs here; their documentation says so."""
