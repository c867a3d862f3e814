"""Google Cloud Storage: its settings. The store itself is in :mod:`.object`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..errors import InvalidOptions
from ..plan import Secret
from .hosted import HostedMedia
from .object.place import checked_container, checked_endpoint, checked_folder, described
from .object.settings import GOOGLE_STORE, FieldNames, StoreSettings, hosted

_WHOLE_FILE: Final = "Create a key of type JSON for the service account, and paste the whole file."
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
    endpoint: str = field(
        default="",
        metadata={
            "label": "Endpoint",
            "help": "Empty: https://storage.googleapis.com. Regional and private endpoints differ.",
        },
    )

    def __post_init__(self) -> None:
        checked_container(self.bucket, field="bucket", label="Bucket")
        checked_folder(self.prefix, field="prefix", label="Folder in the bucket")
        if self.endpoint:
            checked_endpoint(self.endpoint, field="endpoint", label="Endpoint")
        _checked_account(self.service_account)


def open_gcs(options: GcsOptions) -> HostedMedia:
    """The medium; talks to nobody yet."""
    folder = checked_folder(options.prefix, field="prefix", label="Folder in the bucket")
    config: dict[str, str | Secret] = {
        "bucket": options.bucket,
        "root": f"/{folder}",
        "endpoint": options.endpoint.rstrip("/"),
        "service_account": options.service_account,
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
    return hosted(settings, store=GOOGLE_STORE)


def _checked_account(secret: Secret) -> None:
    try:
        account = json.loads(secret.reveal())
    except ValueError:
        account = None
    if not isinstance(account, dict) or not {"client_email", "private_key"} <= set(account):
        raise InvalidOptions(
            "The service account is not the JSON file of a key.",
            field="service_account",
            hint=_WHOLE_FILE,
        )
    if account.get("token_uri"):
        checked_endpoint(
            str(account["token_uri"]), field="service_account", label="The token_uri of the service account"
        )
    try:
        key = load_pem_private_key(str(account["private_key"]).encode(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise InvalidOptions(
            "The private key in the service account's file cannot be read.", field="service_account", hint=_WHOLE_FILE
        )


def stock_gcs(options: Mapping[str, object]) -> str:
    """What ``restic -r`` takes; the path of the key file goes into its environment."""
    return f"gs:{options.get('bucket', '')}:/{options.get('prefix', '')}"
