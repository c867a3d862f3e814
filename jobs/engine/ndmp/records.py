"""RPC record marking (RFC 5531 section 11): where a message begins and ends in the stream of a session.

::

    last (1 bit)   length (31 bits)   that many bytes       one fragment; the last one ends the record
"""

from __future__ import annotations

import struct
from typing import Final

from ..errors import AnswerUnreadable

_MARK: Final = struct.Struct(">I")
_LAST: Final = 1 << 31
LONGEST_RECORD: Final = 1 << 24
"""Bytes of one message that are accepted, and sent; history batches are far smaller."""


def framed(message: bytes) -> bytes:
    """The message as one fragment; raises ValueError if it is longer than LONGEST_RECORD."""
    if len(message) > LONGEST_RECORD:
        raise ValueError(f"a message of {len(message)} bytes is too long to send")
    return _MARK.pack(_LAST | len(message)) + message


class RecordReader:
    """Turns received pieces, cut anywhere, into whole messages. Not thread-safe."""

    def __init__(self) -> None:
        self._come = bytearray()
        self._record = bytearray()

    @property
    def is_between_records(self) -> bool:
        """Whether nothing of an unfinished message is here."""
        return not self._come and not self._record

    def feed(self, piece: bytes) -> list[bytes]:
        """The messages that ``piece`` completes; raises AnswerUnreadable at an oversize length."""
        self._come += piece
        whole: list[bytes] = []
        at = 0
        while len(self._come) - at >= _MARK.size:
            (mark,) = _MARK.unpack_from(self._come, at)
            length = mark & ~_LAST
            if len(self._record) + length > LONGEST_RECORD:
                raise AnswerUnreadable(
                    f"The file server announced a message of {len(self._record) + length} bytes; "
                    f"more than {LONGEST_RECORD} are never sent by NDMP."
                )
            end = at + _MARK.size + length
            if len(self._come) < end:
                break
            self._record += memoryview(self._come)[at + _MARK.size : end]
            at = end
            if mark & _LAST:
                whole.append(bytes(self._record))
                self._record.clear()
        del self._come[:at]
        return whole
