"""External Data Representation (RFC 4506): how one value becomes bytes and comes back. Nothing of NDMP.

Everything takes a multiple of four bytes, big-endian. ``u_short``, ``bool`` and ``enum`` take four; NDMP's quads take
eight, high word first. A dataclass whose fields are ``Annotated[type, codec]`` is a structure: :func:`struct_of`.

Whatever arrives is untrusted: a length or count that the bytes at hand cannot hold is refused before anything is
allocated, with AnswerUnreadable. Text comes as ``str`` whose undecodable bytes are kept (surrogateescape).
"""

from __future__ import annotations

import struct
import typing
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, Generic, Protocol, TypeVar

from ..errors import AnswerUnreadable

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)

_WORD: Final = struct.Struct(">I")
_QUAD: Final = struct.Struct(">Q")
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")
LONGEST_OPAQUE: Final = 1 << 24
"""Bytes of one string; file names and environment values are far shorter."""


class Codec(Protocol[T]):
    """One type on the wire. ``smallest`` is the least number of bytes a value takes. Stateless and thread-safe."""

    smallest: int

    def put(self, out: bytearray, value: T) -> None:
        """Append the value; raises ValueError for one that the type cannot hold."""

    def take(self, cursor: Cursor) -> T:
        """Read the value and advance; raises AnswerUnreadable."""


class Cursor:
    """A place in received bytes."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._data) - self._position

    def word(self) -> int:
        return int(_WORD.unpack(self.take(4))[0])

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count > self.left:
            raise AnswerUnreadable(f"The file server sent a message that ends {count - self.left} bytes too early.")
        start = self._position
        self._position += count
        return self._data[start : start + count]


def encode(codec: Codec[T], value: T) -> bytes:
    """The value's bytes."""
    out = bytearray()
    codec.put(out, value)
    return bytes(out)


def decode(codec: Codec[T], data: bytes) -> T:
    """The value at the start of ``data``; what follows is an extension of the protocol and ignored."""
    return codec.take(Cursor(data))


class _Number:
    """An unsigned number in one word; at most ``highest``."""

    smallest = 4

    def __init__(self, highest: int) -> None:
        self.highest = highest

    def put(self, out: bytearray, value: int) -> None:
        if not 0 <= value <= self.highest:
            raise ValueError(f"{value} is outside 0 … {self.highest}")
        out += _WORD.pack(value)

    def take(self, cursor: Cursor) -> int:
        value = cursor.word()
        if value > self.highest:
            raise AnswerUnreadable(f"The file server sent the number {value} where at most {self.highest} is allowed.")
        return value


class _Quad:
    smallest = 8

    def put(self, out: bytearray, value: int) -> None:
        if not 0 <= value < 1 << 64:
            raise ValueError(f"{value} does not fit into 64 bits")
        out += _QUAD.pack(value)

    def take(self, cursor: Cursor) -> int:
        return int(_QUAD.unpack(cursor.take(8))[0])


class _Opaque:
    """Variable length: its length, the bytes, zeros up to a multiple of four."""

    smallest = 4

    def put(self, out: bytearray, value: bytes) -> None:
        if len(value) > LONGEST_OPAQUE:
            raise ValueError(f"{len(value)} bytes are more than the allowed {LONGEST_OPAQUE}")
        out += _WORD.pack(len(value))
        out += value
        out += _PADDING[len(value) % 4]

    def take(self, cursor: Cursor) -> bytes:
        count = cursor.word()
        if count > LONGEST_OPAQUE or count > cursor.left:
            raise AnswerUnreadable(f"The file server announced a text of {count} bytes where {cursor.left} follow.")
        value = cursor.take(count)
        cursor.take(-count % 4)
        return value


class _Text:
    smallest = 4

    def put(self, out: bytearray, value: str) -> None:
        OPAQUE.put(out, value.encode("utf-8", "surrogateescape"))

    def take(self, cursor: Cursor) -> str:
        return OPAQUE.take(cursor).decode("utf-8", "surrogateescape")


class Fixed:
    """Exactly ``count`` bytes."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.smallest = count + -count % 4

    def put(self, out: bytearray, value: bytes) -> None:
        if len(value) != self.count:
            raise ValueError(f"{len(value)} bytes instead of {self.count}")
        out += value
        out += _PADDING[self.count % 4]

    def take(self, cursor: Cursor) -> bytes:
        value = cursor.take(self.count)
        cursor.take(-self.count % 4)
        return value


class EnumOf(Generic[E]):
    """An enumeration that holds every value allowed; another one is unreadable."""

    smallest = 4

    def __init__(self, kind: type[E]) -> None:
        self.kind = kind

    def put(self, out: bytearray, value: E) -> None:
        out += _WORD.pack(value)

    def take(self, cursor: Cursor) -> E:
        number = cursor.word()
        try:
            return self.kind(number)
        except ValueError:
            raise AnswerUnreadable(
                f"The file server sent {number}, which is no {self.kind.__name__} of the protocol."
            ) from None


class ListOf(Generic[T]):
    """A counted list; the value is a tuple."""

    smallest = 4

    def __init__(self, item: Codec[T]) -> None:
        self.item = item

    def put(self, out: bytearray, value: Sequence[T]) -> None:
        out += _WORD.pack(len(value))
        for item in value:
            self.item.put(out, item)

    def take(self, cursor: Cursor) -> tuple[T, ...]:
        count = cursor.word()
        if count * max(self.item.smallest, 1) > cursor.left:
            raise AnswerUnreadable(f"The file server announced {count} items where {cursor.left} bytes follow.")
        return tuple(self.item.take(cursor) for _ in range(count))


class Struct(Generic[T]):
    """A dataclass whose fields follow each other. Make it by :func:`struct_of`."""

    def __init__(self, kind: type[T], fields: Mapping[str, Codec[Any]]) -> None:
        self.kind = kind
        self.fields = dict(fields)
        self.smallest = sum(codec.smallest for codec in fields.values())

    def put(self, out: bytearray, value: T) -> None:
        for name, codec in self.fields.items():
            codec.put(out, getattr(value, name))

    def take(self, cursor: Cursor) -> T:
        return self.kind(**{name: codec.take(cursor) for name, codec in self.fields.items()})


def struct_of(kind: type[T]) -> Struct[T]:
    """The codec of a dataclass whose fields are all ``Annotated[type, codec]``, in the order they are declared."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return Struct(kind, {name: hint.__metadata__[0] for name, hint in hints.items()})


class UnionOf(Generic[T]):
    """A discriminated union of structures: the arm's number, then the arm. The value's class tells the arm.

    ``other`` is the number of the arm that stands for every number that has none (XDR's ``default:``).
    """

    def __init__(self, arms: Mapping[int, Struct[Any]], *, other: int | None = None) -> None:
        self.arms = dict(arms)
        self._other = other
        self._numbers = {arm.kind: number for number, arm in arms.items()}
        self.smallest = 4 + min(arm.smallest for arm in arms.values())

    def put(self, out: bytearray, value: T) -> None:
        number = self._numbers[type(value)]
        out += _WORD.pack(number)
        self.arms[number].put(out, value)

    def take(self, cursor: Cursor) -> T:
        number = cursor.word()
        if number not in self.arms:
            if self._other is None:
                raise AnswerUnreadable(f"The file server sent the unknown kind {number} of a value.")
            number = self._other
        value: T = self.arms[number].take(cursor)
        return value


WORD: Final = _Number(0xFFFF_FFFF)
SHORT: Final = _Number(0xFFFF)
QUAD: Final = _Quad()
OPAQUE: Final = _Opaque()
TEXT: Final = _Text()
