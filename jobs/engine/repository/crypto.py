"""Sealing: AES-256-CTR with a Poly1305-AES tag, as in restic's design document ("Keys, Encryption and MAC").

A sealed piece is ``nonce (16) || ciphertext || tag (16)``. The one-time Poly1305 key is ``r || AES_k(nonce)``;
``r`` is clamped by the library. Key files and passwords live in ``keys``.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from ..media.base import Buffer

NONCE_BYTES: Final = 16
TAG_BYTES: Final = 16
SEAL_BYTES: Final = NONCE_BYTES + TAG_BYTES
"""What sealing adds to a piece."""

_POOL_BYTES: Final = NONCE_BYTES * 256
_tag = Poly1305.generate_tag
_forks = [0]


def _after_fork() -> None:
    _forks[0] += 1


os.register_at_fork(after_in_child=_after_fork)


class BrokenSealError(ValueError):
    """A sealed piece is too short or its tag does not match. Callers know the file and name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterKey:
    """The three keys of a repository, raw bytes: 32 for AES-256, 16 for AES of the tag, 16 for Poly1305's ``r``."""

    encrypt: bytes = field(repr=False)
    mac_k: bytes = field(repr=False)
    mac_r: bytes = field(repr=False)

    @classmethod
    def random(cls) -> MasterKey:
        return cls(encrypt=os.urandom(32), mac_k=os.urandom(16), mac_r=os.urandom(16))

    @classmethod
    def from_64_bytes(cls, raw: bytes) -> MasterKey:
        """Split the output of scrypt: encrypt, k, r."""
        if len(raw) != 64:
            raise ValueError("a key has 64 bytes")
        return cls(encrypt=raw[:32], mac_k=raw[32:48], mac_r=raw[48:])


class Sealer:
    """Seals and opens pieces with one key. Keeps its key schedules: one per thread, never shared between threads.

    Randomness is drawn 4 KiB at a time; a pool that was inherited through ``fork`` is thrown away, because two
    processes that use one nonce under one key would give the plain text away.
    """

    __slots__ = ("_ctr", "_ecb", "_fork", "_next", "_pool", "_r")

    def __init__(self, key: MasterKey) -> None:
        self._ctr = Cipher(algorithms.AES(key.encrypt), modes.CTR(bytes(NONCE_BYTES))).encryptor()
        self._ecb = Cipher(algorithms.AES(key.mac_k), modes.ECB()).encryptor()  # noqa: S305 - the format's one-time key
        self._r = key.mac_r
        self._pool = b""
        self._next = 0
        self._fork = _forks[0]

    def _nonce(self) -> bytes:
        start = self._next
        if start >= len(self._pool) or self._fork != _forks[0]:
            self._pool = os.urandom(_POOL_BYTES)
            self._fork = _forks[0]
            start = 0
        self._next = end = start + NONCE_BYTES
        return self._pool[start:end]

    def pieces(self, plain: Buffer) -> tuple[bytes, bytes, bytes]:
        """Nonce, ciphertext, tag of ``plain``: three pieces to write one after the other, without joining them."""
        nonce = self._nonce()
        self._ctr.reset_nonce(nonce)
        ciphertext = self._ctr.update(plain)
        return nonce, ciphertext, _tag(self._r + self._ecb.update(nonce), ciphertext)

    def seal(self, plain: Buffer) -> bytes:
        """``plain`` sealed, in one piece; 32 bytes longer."""
        return b"".join(self.pieces(plain))

    def open(self, sealed: Buffer) -> bytes:
        """The plain text of a sealed piece. Raises BrokenSealError if it is too short or does not authenticate."""
        view = memoryview(sealed)
        if len(view) < SEAL_BYTES:
            raise BrokenSealError("too short to be sealed")
        nonce = bytes(view[:NONCE_BYTES])
        ciphertext = view[NONCE_BYTES:-TAG_BYTES]
        tag = _tag(self._r + self._ecb.update(nonce), ciphertext)
        if not hmac.compare_digest(tag, view[-TAG_BYTES:]):
            raise BrokenSealError("its tag does not match")
        self._ctr.reset_nonce(nonce)
        return self._ctr.update(ciphertext)
