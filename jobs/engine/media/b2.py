"""Backblaze B2 through its own protocol: its settings. The store itself is in :mod:`.object`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..plan import Secret
from .hosted import HostedMedia
from .object.place import checked_container, checked_folder, described
from .object.settings import FieldNames, StoreSettings, hosted

_FIELDS: Final = FieldNames(container="bucket", login="key ID and application key", limited_login="application key")


@dataclass(frozen=True, slots=True, kw_only=True)
class B2Options:
    """One bucket, or a folder in it, and the application key that may write there."""

    bucket: str = field(metadata={"label": "Bucket", "help": "It must exist; SnapCopy does not create it."})
    bucket_id: str = field(metadata={"label": "Bucket ID", "help": "24 characters; shown beside the bucket's name."})
    prefix: str = field(
        default="", metadata={"label": "Folder in the bucket", "help": "Empty: the repository is the whole bucket."}
    )
    key_id: str = field(
        metadata={"label": "Key ID", "help": "Of an application key that may read, write and list the bucket."}
    )
    application_key: Secret = field(metadata={"label": "Application key", "help": "Shown once, when the key is made."})

    def __post_init__(self) -> None:
        checked_container(self.bucket, field="bucket", label="Bucket")
        checked_container(self.bucket_id, field="bucket_id", label="Bucket ID")
        checked_folder(self.prefix, field="prefix", label="Folder in the bucket")


def open_b2(options: B2Options) -> HostedMedia:
    """The medium; talks to nobody yet."""
    folder = checked_folder(options.prefix, field="prefix", label="Folder in the bucket")
    config: dict[str, str | Secret] = {
        "bucket": options.bucket,
        "bucket_id": options.bucket_id,
        "root": f"/{folder}",
        "application_key_id": options.key_id,
        "application_key": options.application_key,
    }
    settings = StoreSettings(
        scheme="b2",
        config=config,
        place=described("B2", options.bucket, folder),
        fields=_FIELDS,
    )
    return hosted(settings)


def stock_b2(options: Mapping[str, object]) -> str:
    """What ``restic -r`` takes; the keys go into its environment."""
    return f"b2:{options.get('bucket', '')}:{options.get('prefix', '')}"
