"""Every kind of medium SnapCopy knows: one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .azure import AzureOptions, open_azure, stock_azure
from .b2 import B2Options, open_b2, stock_b2
from .base import Media
from .disk import DiskMedia, DiskOptions
from .gcs import GcsOptions, open_gcs, stock_gcs
from .rclone import RcloneMedia, RcloneOptions, stock_rclone
from .rest import RestMedia, RestOptions, stock_rest
from .s3 import S3Options, open_s3, stock_s3
from .sftp import SftpMedia, SftpOptions, stock_sftp
from .webdav import WebDavOptions, open_webdav


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaKind:
    """A kind of medium for forms and for whoever builds one. ``build`` takes an instance of ``options``.

    ``is_remote``: behind a network, so that operations are worth being tried again and done several at once.

    Build inside the process that uses the medium, never before a fork. ``place`` names the options that tell where the
    repository lies: two media with the same would be one. ``stock`` gives what ``restic -r`` takes for stored options;
    '' where stock restic has no way there.
    """

    name: str
    label: str
    summary: str
    options: type
    build: Callable[[Any], Media]
    place: tuple[str, ...] = ()
    stock: Callable[[Mapping[str, object]], str] = lambda _options: ""
    is_remote: bool = True


MEDIA: Final[dict[str, MediaKind]] = {
    kind.name: kind
    for kind in (
        MediaKind(
            name="disk",
            label="Disk",
            summary="A directory: local disk, NFS or SMB mount, LTFS. Written whole or not at all, synced to the disk.",
            options=DiskOptions,
            build=DiskMedia,
            is_remote=False,
            place=("path",),
            stock=lambda options: str(options.get("path", "")),
        ),
        MediaKind(
            name="sftp",
            label="SFTP",
            summary="A directory on an SSH server whose host key is pinned. Written whole or not at all, synced there.",
            options=SftpOptions,
            build=SftpMedia,
            place=("host", "port", "path"),
            stock=stock_sftp,
        ),
        MediaKind(
            name="rest",
            label="REST server",
            summary="A restic REST server, also an append-only one that keeps its copies from intruders.",
            options=RestOptions,
            build=RestMedia,
            place=("url",),
            stock=stock_rest,
        ),
        MediaKind(
            name="s3",
            label="S3",
            summary="A bucket of Amazon S3 or of anything that speaks its protocol: MinIO, Ceph, Wasabi, R2.",
            options=S3Options,
            build=open_s3,
            is_remote=True,
            place=("endpoint", "bucket", "prefix"),
            stock=stock_s3,
        ),
        MediaKind(
            name="azure",
            label="Azure Blob",
            summary="A container of Azure Blob Storage, opened by the account's key or a SAS token.",
            options=AzureOptions,
            build=open_azure,
            is_remote=True,
            place=("account", "container", "prefix"),
            stock=stock_azure,
        ),
        MediaKind(
            name="gcs",
            label="Google Cloud Storage",
            summary="A bucket of Google Cloud Storage. Not tested against the real service.",
            options=GcsOptions,
            build=open_gcs,
            is_remote=True,
            place=("bucket", "prefix"),
            stock=stock_gcs,
        ),
        MediaKind(
            name="b2",
            label="Backblaze B2",
            summary="A bucket of Backblaze B2 through its own protocol. Not tested against the real service.",
            options=B2Options,
            build=open_b2,
            is_remote=True,
            place=("bucket", "prefix"),
            stock=stock_b2,
        ),
        MediaKind(
            name="webdav",
            label="WebDAV",
            summary="A folder of a WebDAV server, such as Nextcloud. Files are moved into place when they are whole.",
            options=WebDavOptions,
            build=open_webdav,
            is_remote=True,
            place=("endpoint", "root"),
        ),
        MediaKind(
            name="rclone",
            label="rclone",
            summary="Any of the about 70 services that rclone reaches, through a child process.",
            options=RcloneOptions,
            build=RcloneMedia,
            place=("remote", "path"),
            stock=stock_rclone,
        ),
    )
}
