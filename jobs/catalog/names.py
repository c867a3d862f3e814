"""Names and paths as text in which every byte survives, for columns that are searched, sorted and shown.

UTF-8 stays what it is. A byte that is no part of UTF-8 becomes the private character U+F700 + byte; so that this can be
turned back, a genuine character from U+F780 to U+F7FF is written byte by byte in the same way. PostgreSQL stores
neither lone surrogates nor NUL; the latter is in no file name.
"""

from __future__ import annotations

import re
from typing import Final

_SHIFT: Final = 0xF700
_ESCAPED: Final = re.compile("[\uf780-\uf7ff]")
_SURROGATE: Final = re.compile("[\udc80-\udcff]")


def to_text(raw: bytes) -> str:
    """The text that stands for a name or path. Different bytes give different texts."""
    text = raw.decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    if _ESCAPED.search(text):
        text = _ESCAPED.sub(lambda match: match[0].encode().decode("ascii", "surrogateescape"), text)
    return _SURROGATE.sub(lambda match: chr(ord(match[0]) - 0xDC00 + _SHIFT), text)


def to_bytes(text: str) -> bytes:
    """The bytes a text stands for: the inverse of :func:`to_text`."""
    if text.isascii():
        return text.encode()
    shifted = _ESCAPED.sub(lambda match: chr(ord(match[0]) - _SHIFT + 0xDC00), text)
    return shifted.encode("utf-8", "surrogateescape")


def for_people(text: str) -> str:
    """What pages show: bytes that are no UTF-8 as ``\\xNN``."""
    return text if text.isascii() else _ESCAPED.sub(lambda match: f"\\x{ord(match[0]) - _SHIFT:02x}", text)
