"""The repository's ``config`` file: version, id and the chunker polynomial of other writers. Sealed, not compressed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Final

import orjson

from ..errors import EngineUnsupported
from .layout import CONFIG_NAME, damaged, is_file_id
from .polynomial import is_irreducible, random_irreducible

VERSION: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """``id`` is 64 hexadecimal digits; ``polynomial`` is irreducible over GF(2), of degree 53."""

    id: str
    polynomial: int
    version: int = VERSION

    @classmethod
    def random(cls) -> Config:
        return cls(id=os.urandom(32).hex(), polynomial=random_irreducible())

    def to_json(self) -> bytes:
        value = {"version": self.version, "id": self.id, "chunker_polynomial": f"{self.polynomial:x}"}
        return json.dumps(value, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Config:
        """Raises RepositoryDamaged, or EngineUnsupported for another version of the format."""
        try:
            value = orjson.loads(text)
            version, identity = value["version"], value["id"]
            polynomial = int(value["chunker_polynomial"], 16)
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(CONFIG_NAME, "it is not the JSON document it should be") from error
        _check(version, identity, polynomial)
        return cls(id=identity, polynomial=polynomial, version=version)


def _check(version: object, identity: object, polynomial: int) -> None:
    if type(version) is not int or not isinstance(identity, str) or not is_file_id(identity):
        raise damaged(CONFIG_NAME, "its version or id is not what it should be")
    if version != VERSION:
        raise EngineUnsupported(
            f"The repository has format version {version}; SnapCopy reads and writes version {VERSION}.",
            hint="Migrate it with “restic migrate upgrade_repo_v2”, or choose an empty place on the medium.",
        )
    if not is_irreducible(polynomial):
        raise damaged(CONFIG_NAME, "its chunker polynomial is not irreducible")
