"""How stock restic gets by its own backends to where each driver of the contract suite writes."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jobs.engine.media.s3 import stock_s3
from tests import object_servers, rclone_servers, ssh_server
from tests.contracts.media_drivers import S3

from .restic import Restic


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Its repository for a place, and what its backend needs besides."""

    repository: Callable[[Path], str]
    options: Callable[[], tuple[str, ...]] = tuple
    environment: Mapping[str, str] | None = None

    def restic(self, place: Path, *, password: str) -> Restic:
        return Restic(
            address=self.repository(place),
            password=password,
            options=self.options(),
            environment=self.environment or {},
        )


def _rest(place: Path) -> str:
    host = rclone_servers.with_password().removeprefix("http://")
    return f"rest:http://{rclone_servers.USER}:{quote(rclone_servers.PASSWORD)}@{host}{place}/"


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
        environment={
            "AWS_ACCESS_KEY_ID": object_servers.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": object_servers.SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        },
    ),
}
