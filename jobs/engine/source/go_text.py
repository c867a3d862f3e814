"""Text exactly as Go's ``encoding/json``, ``strconv.Quote`` and ``time.MarshalJSON`` write it.

The restic format is defined by what those functions produce: a tree's id is the hash of its JSON, so one different
escape is a different tree. Only writing lives here; reading JSON back belongs to the repository.
"""

from __future__ import annotations

import base64
import re
import time
from typing import Final

_NEEDS_CARE: Final = re.compile(r"[^ !#-%'-;=?-\[\]-~]").search
"""Anything but plain ASCII without ``"``, ``\\``, ``&``, ``<``, ``>``."""

_ESCAPES: Final = {
    **{chr(code): f"\\u{code:04x}" for code in range(32)},
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
    **{chr(code): "\\ufffd" for code in range(0xDC80, 0xDD00)},
}
_ESCAPED: Final = re.compile('["\\\\<>&\x00-\x1f\u2028\u2029\udc80-\udcff]')

_QUOTE_SHORT: Final = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}

_GO_YEAR_MAX: Final = 9999
_SECONDS_CACHED: Final = 20_000
_seconds: dict[int, str] = {}


def json_text(text: str) -> str:
    """Body of a Go JSON string (HTML escaping on). Each byte that is not UTF-8 (``surrogateescape``) becomes U+FFFD."""
    return _ESCAPED.sub(lambda match: _ESCAPES[match.group()], text)


def quoted(text: str) -> str:
    """``strconv.Quote(text)`` without its quotes. ``text`` is decoded with ``surrogateescape``."""
    out = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif char == " " or (code > 32 and code != 127 and char.isprintable()):
            out.append(char)
        elif code in _QUOTE_SHORT:
            out.append(_QUOTE_SHORT[code])
        elif code < 32 or code == 127:
            out.append(f"\\x{code:02x}")
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return "".join(out)


def json_name(name: str) -> str:
    """Body of a node's ``name``: the JSON text of the Go-quoted name. ``name`` is decoded with ``surrogateescape``."""
    if _NEEDS_CARE(name) is None:
        return name
    return json_text(quoted(name))


def json_bytes(data: bytes) -> str:
    """A Go ``[]byte`` in JSON: standard base64 in quotes."""
    return f'"{base64.b64encode(data).decode()}"'


def go_time(ns: int) -> str:
    """RFC 3339 in UTC without trailing zeros of the fraction. ``ns`` since the epoch, may be negative.

    Years outside 0..9999 are moved to the nearest of them with day and time kept, as restic's ``fixTime`` does.
    """
    seconds, fraction = divmod(ns, 1_000_000_000)
    text = _seconds.get(seconds)
    if text is None:
        if len(_seconds) > _SECONDS_CACHED:
            _seconds.clear()
        text = _seconds[seconds] = _second_text(seconds)
    if not fraction:
        return text + "Z"
    return f"{text}.{fraction:09d}".rstrip("0") + "Z"


def _second_text(seconds: int) -> str:
    try:
        year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    except (OverflowError, OSError):
        return "9999-12-31T23:59:59" if seconds > 0 else "0000-01-01T00:00:00"
    clamped = min(max(year, 0), _GO_YEAR_MAX)
    if clamped != year and (month, day) == (2, 29) and clamped % 4:
        month, day = 3, 1
    return f"{clamped:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
