r"""Text as Go's standard library writes it, byte for byte: JSON strings, ``strconv.Quote``, times, file modes.

A tree of ours is the same blob as another writer's only if every byte is. Names are quoted first (bytes that are not
UTF-8 become ``\xNN``) and the result is a JSON string with ``< > &`` and U+2028/9 escaped.
"""

from __future__ import annotations

import re
import stat
import time
from datetime import date
from functools import cache
from typing import Final

_SAFE_NAME: Final = re.compile(r"[ !#-%'-;=?-\[\]-~]*\Z").match
_JSON_SPECIAL: Final = re.compile('["\\\\<>&\x00-\x1f\u2028\u2029]')
_JSON_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_QUOTE_SHORT: Final = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
_ESCAPE: Final = re.compile(
    r"\\(?:x(?P<byte>[0-9a-fA-F]{2})|u(?P<u4>[0-9a-fA-F]{4})|U(?P<u8>[0-9a-fA-F]{8})"
    r"|(?P<octal>[0-3][0-7]{2})|(?P<letter>[abfnrtv\"\\]))"
)
_LETTERS: Final = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


def _escape_json(match: re.Match[str]) -> str:
    character = match.group()
    return _JSON_SHORT.get(character) or f"\\u{ord(character):04x}"


def json_body(text: str) -> str:
    """The inside of a JSON string as ``encoding/json`` writes it, HTML escaping on. No surrogates in ``text``."""
    return _JSON_SPECIAL.sub(_escape_json, text)


def json_body_of_bytes(raw: bytes) -> str:
    """As :func:`json_body`; every byte that is not UTF-8 becomes ``\\ufffd``, as in Go."""
    if raw.isascii():
        return json_body(raw.decode())
    decoded = raw.decode("utf-8", "surrogateescape")
    return "".join("\\ufffd" if "\udc80" <= c <= "\udcff" else json_body(c) for c in decoded)


def quote(raw: bytes) -> str:
    """``strconv.Quote`` without the outer quotes; any bytes are allowed."""
    out = []
    for character in raw.decode("utf-8", "surrogateescape"):
        code = ord(character)
        if character in '"\\':
            out.append("\\" + character)
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif character.isprintable():
            out.append(character)
        elif code in _QUOTE_SHORT:
            out.append(_QUOTE_SHORT[code])
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\x{code:02x}")
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return "".join(out)


def unquote(text: str) -> bytes:
    """``strconv.Unquote`` of a name taken from JSON. Raises ValueError for an escape that Go does not know."""
    if "\\" not in text:
        if '"' in text or "\n" in text:
            raise ValueError("a quoted name holds a bare quote or a line break")
        return text.encode()
    out = []
    position = 0
    while (start := text.find("\\", position)) >= 0:
        out.append(text[position:start].encode())
        match = _ESCAPE.match(text, start)
        if match is None:
            raise ValueError("a name holds an unknown escape")
        out.append(_escaped_bytes(match))
        position = match.end()
    out.append(text[position:].encode())
    return b"".join(out)


def _escaped_bytes(match: re.Match[str]) -> bytes:
    if (byte := match["byte"]) is not None:
        return bytes((int(byte, 16),))
    if (octal := match["octal"]) is not None:
        return bytes((int(octal, 8),))
    if (letter := match["letter"]) is not None:
        return bytes((_LETTERS[letter],))
    code = int(match["u4"] or match["u8"], 16)
    if code > 0x10FFFF:
        raise ValueError("a name holds an impossible character")
    return chr(code).encode()


def name_body(name: str) -> str:
    """A name from ``os.scandir`` (surrogateescape) as the inside of the node's JSON ``name``. Quick for plain ASCII."""
    if _SAFE_NAME(name):
        return name
    return json_body(quote(name.encode("utf-8", "surrogateescape")))


_FIRST_SECOND: Final = -62_167_219_200
"""0000-01-01T00:00:00Z."""
_LAST_SECOND: Final = 253_402_300_799
"""9999-12-31T23:59:59Z."""
_SECONDS_KEPT: Final = 1 << 16
_seconds: dict[int, str] = {}


def _second_text(second: int) -> str:
    if len(_seconds) >= _SECONDS_KEPT:
        _seconds.clear()
    t = time.gmtime(min(max(second, _FIRST_SECOND), _LAST_SECOND))
    text = f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}"
    _seconds[second] = text
    return text


def go_time(ns: int) -> str:
    """RFC 3339 in UTC of nanoseconds since the epoch, trailing zeros of the fraction removed; years 0 to 9999."""
    second, fraction = divmod(ns, 1_000_000_000)
    text = _seconds.get(second) or _second_text(second)
    if not fraction:
        return text + "Z"
    return f"{text}.{fraction:09d}".rstrip("0") + "Z"


_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:Z|([+-])(\d\d):(\d\d))\Z", re.ASCII
)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_CYCLE_DAYS: Final = 146_097
_parsed: dict[str, int] = {}


def _parse_second(match: re.Match[str]) -> int:
    """Seconds since the epoch, ignoring the zone; year 0 counts as year 400, one calendar cycle later."""
    year, month, day, hour, minute, second = (int(match[n]) for n in range(1, 7))
    days = date(year or 400, month, day).toordinal() - _EPOCH_DAY - (0 if year else _CYCLE_DAYS)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("not a time of day")
    return days * 86_400 + hour * 3600 + minute * 60 + second


def parse_go_time(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time with any offset. Raises ValueError."""
    match = _TIME.match(text)
    if match is None:
        raise ValueError("not a time")
    head = text[:19]
    second = _parsed.get(head)
    if second is None:
        if len(_parsed) >= _SECONDS_KEPT:
            _parsed.clear()
        second = _parsed[head] = _parse_second(match)
    if match[8]:
        offset = int(match[9]) * 3600 + int(match[10]) * 60
        second -= offset if match[8] == "+" else -offset
    return second * 1_000_000_000 + (int(match[7].ljust(9, "0")) if match[7] else 0)


_TYPE_BITS: Final = {
    stat.S_IFREG: 0,
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_SPECIAL_BITS: Final = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


@cache
def go_mode(mode: int) -> int:
    """``st_mode`` as Go's ``os.FileMode`` bits."""
    bits = mode & 0o777 | _TYPE_BITS.get(stat.S_IFMT(mode), 0)
    return bits | sum(go for unix, go in _SPECIAL_BITS if mode & unix)


@cache
def unix_permissions(mode: int) -> int:
    """The permission, setuid, setgid and sticky bits (07777) of Go's ``os.FileMode`` bits."""
    return mode & 0o777 | sum(unix for unix, go in _SPECIAL_BITS if mode & go)
