"""How stock restic gets by its own backends to where each driver of the contract suite writes."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jobs.engine.media.azure import stock_azure
from jobs.engine.media.gcs import stock_gcs
from jobs.engine.media.s3 import stock_s3
from tests import azurite_server, google_cloud, object_servers, rclone_servers, ssh_server
from tests.contracts.media_drivers import AZURE, GCS, S3
from tests.host_proxy import play_hosts

from .restic import Restic


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Its repository for a place, and what its backend needs besides."""

    repository: Callable[[Path], str]
    options: Callable[[], tuple[str, ...]] = tuple
    environment: Callable[[], Mapping[str, str]] = dict

    def restic(self, place: Path, *, password: str) -> Restic:
        return Restic(
            address=self.repository(place),
            password=password,
            options=self.options(),
            environment=self.environment(),
        )


def _rest(place: Path) -> str:
    host = rclone_servers.with_password().removeprefix("http://")
    return f"rest:http://{rclone_servers.USER}:{quote(rclone_servers.PASSWORD)}@{host}{place}/"


def _azure() -> Mapping[str, str]:
    """It knows no address but the account's own."""
    host = f"{azurite_server.ACCOUNT}.blob.core.windows.net"
    return play_hosts((host, azurite_server.serve_azurite().url)).environment | {
        "AZURE_ACCOUNT_NAME": azurite_server.ACCOUNT,
        "AZURE_ACCOUNT_KEY": azurite_server.ACCOUNT_KEY,
    }


def _google() -> Mapping[str, str]:
    """Likewise; only the login is where the key file says."""
    return play_hosts(("storage.googleapis.com", google_cloud.serve_google().url)).environment | {
        "GOOGLE_PROJECT_ID": google_cloud.PROJECT,
        "GOOGLE_APPLICATION_CREDENTIALS": str(google_cloud.key_path()),
    }


WAYS: Final = {
    "rest": Way(repository=_rest),
    "sftp": Way(
        repository=lambda place: f"sftp:{getpass.getuser()}@127.0.0.1:{place}",
        options=lambda: ("-o", f"sftp.command={ssh_server.server().stock_command()}"),
    ),
    "rclone": Way(
        repository=lambda place: f"rclone:here:{place}",
        options=lambda: ("-o", f"rclone.program=env RCLONE_CONFIG_HERE_TYPE=local {rclone_servers.RCLONE}"),
    ),
    "s3": Way(
        repository=lambda place: stock_s3(S3.values(place)),
        environment=lambda: {
            "AWS_ACCESS_KEY_ID": object_servers.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": object_servers.SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        },
    ),
    "azure": Way(repository=lambda place: stock_azure(AZURE.values(place)), environment=_azure),
    "gcs": Way(repository=lambda place: stock_gcs(GCS.values(place)), environment=_google),
}
