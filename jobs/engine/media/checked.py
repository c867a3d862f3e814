"""What a medium answers is compared with what was asked: the length always, and the hash where the name is one.

Files of a repository are named by the SHA-256 of their content, but for ``config`` and ``keys``, which are named so
as well. A server that lies once is asked again; what it says twice is what it holds, and whoever reads judges that.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from ..errors import RepositoryDamaged
from .wrapping import Wrapper

_NAMED_BY_CONTENT: Final = re.compile(r"(?:data/[0-9a-f]{2}|index|snapshots|keys|locks)/([0-9a-f]{64})\Z")
_READINGS: Final = 3


def hash_in(name: str) -> str | None:
    """The SHA-256 that the content of a file must have by its name, in hex; None = the name is no hash."""
    found = _NAMED_BY_CONTENT.match(name)
    return found[1] if found else None


class Checked(Wrapper):
    """Raises RepositoryDamaged for an answer of another length than asked."""

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if length is None and offset == 0:
            wanted = hash_in(name)
            return self.inner.get(name) if wanted is None else self._whole(name, wanted)
        data = self.inner.get(name, offset=offset, length=length)
        if length is not None and len(data) != length:
            raise RepositoryDamaged(
                f"{self} answered {len(data)} bytes of “{name}” where {length} were asked for.", name=name
            )
        return data

    def _whole(self, name: str, wanted: str) -> bytes:
        """The content that fits the name, else what the medium says twice, else its last word."""
        seen: set[bytes] = set()
        data = b""
        for _ in range(_READINGS):
            data = self.inner.get(name)
            digest = sha256(data)
            if digest.hexdigest() == wanted or digest.digest() in seen:
                return data
            seen.add(digest.digest())
        return data
