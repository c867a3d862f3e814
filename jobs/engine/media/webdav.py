"""WebDAV servers, Nextcloud among them: their settings. The store itself is in :mod:`.object`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..errors import InvalidOptions
from ..plan import Secret
from .hosted import HostedMedia
from .object.place import checked_ca_file, checked_endpoint, checked_folder
from .object.settings import WEBDAV_STORE, FieldNames, StoreSettings, hosted

_FIELDS: Final = FieldNames(container="root", login="user and password", limited_login="token")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebDavOptions:
    """One folder of a server, and who may write there."""

    endpoint: str = field(
        metadata={
            "label": "Address",
            "help": "Of the server's WebDAV, like https://cloud.example.org/remote.php/dav/files/backup.",
        }
    )
    root: str = field(
        default="",
        metadata={"label": "Folder", "help": "Below the address; it is created. Empty: the address itself."},
    )
    user: str = field(
        default="", metadata={"label": "User", "help": "Empty if the server asks for none, or a token is given."}
    )
    password: Secret | None = field(
        default=None, metadata={"label": "Password", "help": "An app password, where the server has them."}
    )
    token: Secret | None = field(
        default=None, metadata={"label": "Token", "help": "Sent as “Bearer”, instead of user and password."}
    )
    ca_file: Path | None = field(
        default=None,
        metadata={"label": "CA file", "help": "On the access nodes: certificates (PEM) of a private authority."},
    )

    def __post_init__(self) -> None:
        checked_endpoint(self.endpoint, field="endpoint", label="Address")
        checked_folder(self.root, field="root", label="Folder")
        if self.token is not None and (self.password is not None or self.user):
            raise InvalidOptions("Give either a token, or user and password.", field="token")
        if (self.password is None) != (self.user == ""):
            raise InvalidOptions("Give user and password together.", field="password" if self.user else "user")
        checked_ca_file(self.ca_file)


def open_webdav(options: WebDavOptions) -> HostedMedia:
    """The medium; talks to nobody yet."""
    folder = checked_folder(options.root, field="root", label="Folder")
    config: dict[str, str | Secret] = {
        "endpoint": checked_endpoint(options.endpoint, field="endpoint", label="Address"),
        "root": f"/{folder}",
        "username": options.user,
        "password": options.password or "",
        "token": options.token or "",
        "disable_create_dir": "true",
    }
    settings = StoreSettings(
        scheme="webdav",
        config=config,
        place=f"WebDAV {options.endpoint.rstrip('/')}/{folder}".rstrip("/"),
        fields=_FIELDS,
        has_folders=True,
    )
    return hosted(settings, store=WEBDAV_STORE, ca_file=options.ca_file)
