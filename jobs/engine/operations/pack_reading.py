"""Reading a pack whole, with every check there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from ..errors import RepositoryDamaged
from ..ids import FileId
from ..repository.blob import open_blob
from ..repository.layout import FileKind, damaged, file_name
from ..repository.pack import PackedBlob, read_whole_pack_header
from ..repository.repository import Repository
from ..repository.stored import read_part


@dataclass(frozen=True, slots=True, kw_only=True)
class PackFindings:
    """What reading one pack found. ``bad`` are those of the expected ``blobs`` that cannot be had from it."""

    pack: FileId
    blobs: int
    bytes_read: int
    errors: tuple[RepositoryDamaged, ...]
    bad: tuple[PackedBlob, ...]


def verify_pack(repository: Repository, pack: FileId, expected: Sequence[PackedBlob]) -> PackFindings:
    """Read a pack; compare its bytes with its name, its header with ``expected`` (the index), each blob with its id.

    Thread-safe. Raises only what the medium raises.
    """
    name = file_name(FileKind.PACK, pack)
    try:
        raw = read_part(repository.media, name)
    except RepositoryDamaged as error:
        return PackFindings(pack=pack, blobs=len(expected), bytes_read=0, errors=(error,), bad=tuple(expected))
    errors: list[RepositoryDamaged] = []
    if sha256(raw).hexdigest() != pack:
        errors.append(damaged(name, "its content does not match its name"))
    try:
        if read_whole_pack_header(raw, repository.sealer(), name=name) != list(expected):
            errors.append(damaged(name, "its header and the index do not agree"))
    except RepositoryDamaged as error:
        errors.append(error)
    bad = []
    for blob in expected:
        try:
            open_packed(repository, raw, blob, name=name)
        except RepositoryDamaged as error:
            errors.append(error)
            bad.append(blob)
    return PackFindings(pack=pack, blobs=len(expected), bytes_read=len(raw), errors=tuple(errors), bad=tuple(bad))


def open_packed(repository: Repository, pack: bytes, blob: PackedBlob, *, name: str) -> bytes:
    """The plain text of a blob of a pack that was read whole. Raises RepositoryDamaged naming the pack."""
    sealed = memoryview(pack)[blob.offset : blob.offset + blob.length]
    return open_blob(sealed, repository.sealer(), blob=blob.id, raw_length=blob.raw_length, name=name)
