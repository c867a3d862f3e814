"""Google Cloud Storage: its settings. The store itself is in :mod:`.object`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..errors import InvalidOptions
from ..plan import Secret
from .hosted.client import HostedMedia
from .object.place import checked_container, checked_folder, described
from .object.settings import FieldNames, StoreSettings, hosted

_FIELDS: Final = FieldNames(container="bucket", login="the service account's key")


@dataclass(frozen=True, slots=True, kw_only=True)
class GcsOptions:
    """One bucket, or a folder in it, and the service account that may write there."""

    bucket: str = field(metadata={"label": "Bucket", "help": "It must exist; SnapCopy does not create it."})
    prefix: str = field(
        default="", metadata={"label": "Folder in the bucket", "help": "Empty: the repository is the whole bucket."}
    )
    service_account: Secret = field(
        metadata={
            "label": "Service account (JSON)",
            "help": "The whole key file of a service account that may create, read, list and delete objects there.",
            "multiline": True,
        }
    )
    storage_class: str = field(
        default="", metadata={"label": "Storage class", "help": "Like NEARLINE. Empty: the bucket's own."}
    )

    def __post_init__(self) -> None:
        checked_container(self.bucket, field="bucket", label="Bucket")
        checked_folder(self.prefix, field="prefix", label="Folder in the bucket")
        _checked_account(self.service_account)


def open_gcs(options: GcsOptions) -> HostedMedia:
    """The medium; talks to nobody yet."""
    folder = checked_folder(options.prefix, field="prefix", label="Folder in the bucket")
    credential = base64.b64encode(options.service_account.reveal().encode()).decode()
    config: dict[str, str | Secret] = {
        "bucket": options.bucket,
        "root": f"/{folder}",
        "credential": Secret(credential),
        "default_storage_class": options.storage_class,
        "disable_config_load": "true",
        "disable_vm_metadata": "true",
    }
    settings = StoreSettings(
        scheme="gcs",
        config=config,
        place=described("Google Cloud Storage", options.bucket, folder),
        fields=_FIELDS,
    )
    return hosted(settings)


def _checked_account(secret: Secret) -> None:
    try:
        account = json.loads(secret.reveal())
    except ValueError:
        account = None
    if not isinstance(account, dict) or not {"client_email", "private_key"} <= set(account):
        raise InvalidOptions(
            "The service account is not the JSON file of a key.",
            field="service_account",
            hint="Create a key of type JSON for the service account, and paste the whole file.",
        )


def stock_gcs(options: Mapping[str, object]) -> str:
    """What ``restic -r`` takes; the path of the key file goes into its environment."""
    return f"gs:{options.get('bucket', '')}:/{options.get('prefix', '')}"
