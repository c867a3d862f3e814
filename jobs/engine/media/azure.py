"""Azure Blob Storage: its settings. The store itself is in :mod:`.object`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from ..errors import InvalidOptions
from ..plan import Secret
from .hosted import HostedMedia
from .object.place import checked_ca_file, checked_container, checked_endpoint, checked_folder, described, exactly_one
from .object.settings import FieldNames, StoreSettings, hosted

_BY_KEY: Final = FieldNames(container="container", login="account and key")
_BY_TOKEN: Final = FieldNames(container="container", login="the SAS token", limited_login="SAS token")


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureOptions:
    """One container, or a folder in it, and the key or token that opens it."""

    account: str = field(metadata={"label": "Storage account", "help": "Its name, as in NAME.blob.core.windows.net."})
    container: str = field(metadata={"label": "Container", "help": "It must exist; SnapCopy does not create it."})
    prefix: str = field(
        default="",
        metadata={"label": "Folder in the container", "help": "Empty: the repository is the whole container."},
    )
    account_key: Secret | None = field(
        default=None, metadata={"label": "Account key", "help": "Either this or a SAS token."}
    )
    sas_token: Secret | None = field(
        default=None,
        metadata={
            "label": "SAS token",
            "help": "Of the container, with read, add, create, write, delete and list. It ends at its date.",
        },
    )
    endpoint: str = field(
        default="",
        metadata={"label": "Endpoint", "help": "Empty: https://ACCOUNT.blob.core.windows.net. Other clouds differ."},
    )
    ca_file: Path | None = field(
        default=None,
        metadata={"label": "CA file", "help": "On the access nodes: certificates (PEM) of a private authority."},
    )

    def __post_init__(self) -> None:
        checked_container(self.account, field="account", label="Storage account")
        checked_container(self.container, field="container", label="Container")
        checked_folder(self.prefix, field="prefix", label="Folder in the container")
        if self.endpoint:
            checked_endpoint(self.endpoint, field="endpoint", label="Endpoint")
        exactly_one(
            self.account_key,
            self.sas_token,
            field="account_key",
            sentence="Give either the account key or a SAS token.",
        )
        if self.account_key is not None:
            _checked_key(self.account_key)
        checked_ca_file(self.ca_file)


def open_azure(options: AzureOptions) -> HostedMedia:
    """The medium; talks to nobody yet."""
    folder = checked_folder(options.prefix, field="prefix", label="Folder in the container")
    token = options.sas_token
    config: dict[str, str | Secret] = {
        "container": options.container,
        "root": f"/{folder}",
        "endpoint": options.endpoint.rstrip("/") or f"https://{options.account}.blob.core.windows.net",
        "account_name": options.account if token is None else "",
        "account_key": options.account_key or "",
        "sas_token": Secret(token.reveal().removeprefix("?")) if token is not None else "",
    }
    settings = StoreSettings(
        scheme="azblob",
        config=config,
        place=described("Azure", f"{options.account}/{options.container}", folder),
        fields=_BY_KEY if token is None else _BY_TOKEN,
        login_ends_at=None if token is None else _end_of(token),
    )
    return hosted(settings, ca_file=options.ca_file)


def _checked_key(key: Secret) -> None:
    try:
        base64.b64decode(key.reveal(), validate=True)
    except ValueError:
        raise InvalidOptions(
            "The account key is not in Base64, as Azure shows it.",
            field="account_key",
            hint="Copy the key, not the connection string.",
        ) from None


def _end_of(token: Secret) -> float | None:
    """Its field ``se``, ISO 8601 in UTC (Microsoft, “Create a service SAS”). None = a stored policy says it, or it is
    written in another way."""
    fields = parse_qs(token.reveal().removeprefix("?"))
    try:
        ends_at = datetime.fromisoformat(fields["se"][0])
    except (KeyError, ValueError):
        return None
    return (ends_at if ends_at.tzinfo else ends_at.replace(tzinfo=UTC)).timestamp()


def stock_azure(options: Mapping[str, object]) -> str:
    """What ``restic -r`` takes; account and key go into its environment."""
    return f"azure:{options.get('container', '')}:/{options.get('prefix', '')}"
