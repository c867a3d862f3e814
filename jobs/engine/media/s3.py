"""Amazon S3 and everything that speaks its protocol: its settings. The store itself is in :mod:`.object`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from ..errors import InvalidOptions
from ..plan import Secret
from .hosted import HostedMedia
from .object.place import checked_ca_file, checked_container, checked_endpoint, checked_folder, described
from .object.settings import LOCKING_STORE, STORE, FieldNames, StoreSettings, hosted

_FIELDS: Final = FieldNames(
    container="bucket",
    region="region",
    login="access key and secret key",
    limited_login="session token",
    lock="object_lock",
)


class Addressing(StrEnum):
    """Where the bucket stands in an address."""

    PATH = "path"
    VIRTUAL = "virtual"


class Encryption(StrEnum):
    """What the service is asked to encrypt with, besides the repository's own encryption."""

    NONE = "none"
    S3 = "AES256"
    KMS = "aws:kms"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """One bucket, or a folder in it, and who may write there."""

    endpoint: str = field(
        default="",
        metadata={"label": "Endpoint", "help": "Like https://s3.example.org:9000. Empty: Amazon S3 in the region."},
    )
    region: str = field(
        default="us-east-1",
        metadata={"label": "Region", "help": "The bucket's region. Most other services take any."},
    )
    bucket: str = field(metadata={"label": "Bucket", "help": "It must exist; SnapCopy does not create it."})
    prefix: str = field(
        default="", metadata={"label": "Folder in the bucket", "help": "Empty: the repository is the whole bucket."}
    )
    access_key: str = field(
        metadata={"label": "Access key", "help": "Its account needs to list, read, write and delete in the bucket."}
    )
    secret_key: Secret = field(metadata={"label": "Secret key", "help": "The one that belongs to the access key."})
    session_token: Secret | None = field(
        default=None, metadata={"label": "Session token", "help": "Only with temporary credentials. They end."}
    )
    addressing: Addressing = field(
        default=Addressing.PATH,
        metadata={
            "label": "Address style",
            "help": "How the bucket is named in requests. Nearly every service takes the path.",
            "choice_labels": {"path": "Path: https://host/bucket", "virtual": "Virtual host: https://bucket.host"},
        },
    )
    storage_class: str = field(
        default="",
        metadata={
            "label": "Storage class",
            "help": "Like STANDARD_IA. Empty: the bucket's own. Classes that must be thawed first cannot be used.",
        },
    )
    encryption: Encryption = field(
        default=Encryption.NONE,
        metadata={
            "label": "Encryption by the service",
            "help": "The repository is always encrypted by SnapCopy; some providers demand theirs too.",
            "choice_labels": {"none": "What the bucket says", "AES256": "Keys of S3", "aws:kms": "Keys of KMS"},
        },
    )
    kms_key: str = field(default="", metadata={"label": "KMS key", "help": "Empty: the account's default key."})
    role_arn: str = field(
        default="",
        metadata={"label": "Role to assume", "help": "ARN of a role that the access key may take. Usually empty."},
    )
    object_lock: bool = field(
        default=False,
        metadata={
            "label": "The bucket has Object Lock",
            "help": "Send the checksum that such buckets demand, and delete nothing before its lock ends: the bucket's "
            "default says when.",
        },
    )
    ca_file: Path | None = field(
        default=None,
        metadata={"label": "CA file", "help": "On the access nodes: certificates (PEM) of a private authority."},
    )

    def __post_init__(self) -> None:
        if self.endpoint:
            checked_endpoint(self.endpoint, field="endpoint", label="Endpoint")
        checked_container(self.bucket, field="bucket", label="Bucket")
        checked_folder(self.prefix, field="prefix", label="Folder in the bucket")
        checked_storage_class(self.storage_class)
        checked_ca_file(self.ca_file)


def checked_storage_class(name: str) -> None:
    """Refuse classes whose files cannot be read at once: nothing could be verified or restored."""
    if name.upper() in ("GLACIER", "DEEP_ARCHIVE", "ARCHIVE"):
        raise InvalidOptions(
            "Files of this storage class must be thawed before they are read.",
            field="storage_class",
            hint="Use a class with immediate access, such as STANDARD_IA or GLACIER_IR.",
        )


def open_s3(options: S3Options) -> HostedMedia:
    """The medium; talks to nobody yet."""
    folder = checked_folder(options.prefix, field="prefix", label="Folder in the bucket")
    has_kms = options.encryption is Encryption.KMS
    config: dict[str, str | Secret] = {
        "bucket": options.bucket,
        "root": f"/{folder}",
        "region": options.region,
        "endpoint": options.endpoint or f"https://s3.{options.region}.amazonaws.com",
        "access_key_id": options.access_key,
        "secret_access_key": options.secret_key,
        "session_token": options.session_token or "",
        "enable_virtual_host_style": "true" if options.addressing is Addressing.VIRTUAL else "",
        "default_storage_class": options.storage_class,
        "server_side_encryption": "" if options.encryption is Encryption.NONE else options.encryption.value,
        "server_side_encryption_aws_kms_key_id": options.kms_key if has_kms else "",
        "role_arn": options.role_arn,
        "checksum_algorithm": "md5" if options.object_lock else "",
        "enable_versioning": "true" if options.object_lock else "",
        "disable_config_load": "true",
        "disable_ec2_metadata": "true",
    }
    settings = StoreSettings(
        scheme="s3",
        config=config,
        place=described("S3", options.bucket, folder),
        fields=_FIELDS,
    )
    return hosted(settings, store=LOCKING_STORE if options.object_lock else STORE, ca_file=options.ca_file)


def stock_s3(options: Mapping[str, object]) -> str:
    """What ``restic -r`` takes; the keys go into its environment."""
    endpoint = options.get("endpoint") or "https://s3.amazonaws.com"
    return f"s3:{str(endpoint).rstrip('/')}/{options.get('bucket', '')}/{options.get('prefix', '')}".rstrip("/")
