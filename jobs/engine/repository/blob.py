"""One blob: from plain text to sealed pieces, and back with every check. Where blobs lie is the index's business."""

from __future__ import annotations

from hashlib import sha256

from ..ids import BlobId
from ..media.base import Buffer
from .compression import DEFAULT_LEVEL, BadCompressionError, compress, decompress
from .crypto import SEAL_BYTES, BrokenSealError, Sealer
from .layout import BlobKind, damaged
from .pack import COALESCED_BLOB_BYTES


def hash_blob(plain: Buffer) -> BlobId:
    """The id of a blob: SHA-256 of its plain text."""
    return BlobId(sha256(plain).digest())


def seal_blob(
    kind: BlobKind, plain: Buffer, sealer: Sealer, *, level: int = DEFAULT_LEVEL
) -> tuple[tuple[bytes, ...], int, int]:
    """(pieces, sealed length, plain length or 0 if it is not compressed), as ``Packer.add`` takes them.

    Trees are always compressed (else prune repacks them), data only if it gets smaller.
    """
    raw_length = len(plain)
    packed: Buffer = compress(plain, level)
    if not raw_length or (kind is BlobKind.DATA and len(packed) >= raw_length):
        packed, raw_length = plain, 0
    return *_sealed(packed, sealer), raw_length


def reseal_blob(
    kind: BlobKind, sealed: Buffer, opener: Sealer, sealer: Sealer, *, blob: BlobId, raw_length: int, name: str
) -> tuple[tuple[bytes, ...], int, int]:
    """A sealed blob of the file ``name``, verified by its id and sealed with another key; returns as `seal_blob`.

    What is compressed stays as it is: compressing anew would take most of the time of a copy between repositories.
    Raises RepositoryDamaged naming that file.
    """
    try:
        packed = opener.open(sealed)
        plain = decompress(packed, at_most=raw_length) if raw_length else packed
    except (BrokenSealError, BadCompressionError) as error:
        raise damaged(name, f"blob {blob.hex()[:12]}…: {error}") from error
    if sha256(plain).digest() != blob:
        raise damaged(name, f"blob {blob.hex()[:12]}… is not what its id says")
    if kind is BlobKind.TREE and not raw_length:
        return seal_blob(kind, plain, sealer)
    return *_sealed(packed, sealer), raw_length


def _sealed(packed: Buffer, sealer: Sealer) -> tuple[tuple[bytes, ...], int]:
    """(pieces, sealed length); a small blob in one piece."""
    pieces: tuple[bytes, ...] = sealer.pieces(packed)
    length = len(packed) + SEAL_BYTES
    return ((b"".join(pieces),) if length < COALESCED_BLOB_BYTES else pieces), length


def open_blob(sealed: Buffer, sealer: Sealer, *, blob: BlobId, raw_length: int, name: str) -> bytes:
    """The plain text of a sealed blob read from the file ``name``. Raises RepositoryDamaged naming that file."""
    try:
        plain = sealer.open(sealed)
        if raw_length:
            plain = decompress(plain, at_most=raw_length)
    except (BrokenSealError, BadCompressionError) as error:
        raise damaged(name, f"blob {blob.hex()[:12]}…: {error}") from error
    if sha256(plain).digest() != blob:
        raise damaged(name, f"blob {blob.hex()[:12]}… is not what its id says")
    return plain
