"""What NDMP version 3 shapes otherwise than 4, as codecs of the same values: addresses, lines of the log, names.

A TCP address is one number and one port instead of a list of them; a line of the log ends after its text. A name to
recover goes to a folder and a new name in it, and without a new name to its old path below the folder. What has
further fields at its end, like the text of a halt, is read as version 4 anyway: they are skipped. Everything else that
is in the table of :mod:`.messages` is the same on the wire. Source: NDMP version 3, as Amanda's ``ndmp3.x`` states it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from . import messages
from .messages import Call, Post
from .values import Address, AddressType, IpcAddress, LocalAddress, TcpAddress, TcpEndpoint, WantedName
from .xdr import SHORT, TEXT, WORD, Cursor, ListOf, Struct, UnionOf, struct_of

VERSION: Final = 3


class _OneEndpoint(Struct[TcpAddress]):
    """A TCP address with exactly one endpoint, which has no environment."""

    def __init__(self) -> None:
        super().__init__(TcpAddress, {"ip": WORD, "port": SHORT})

    def put(self, out: bytearray, value: TcpAddress) -> None:
        (end,) = value.endpoints
        WORD.put(out, end.ip)
        SHORT.put(out, end.port)

    def take(self, cursor: Cursor) -> TcpAddress:
        return TcpAddress((TcpEndpoint(WORD.take(cursor), SHORT.take(cursor), ()),))


class _NameInFolder(Struct[WantedName]):
    """``destination_path`` in two; for everything that was backed up it is the folder itself."""

    def __init__(self) -> None:
        super().__init__(WantedName, struct_of(WantedName).fields)

    def put(self, out: bytearray, value: WantedName) -> None:
        folder, _, name = value.destination_path.rpartition(b"/")
        if value.original_path and name:
            value = replace(value, destination_path=folder or b"/", name=name)
        super().put(out, value)

    def take(self, cursor: Cursor) -> WantedName:
        value = super().take(cursor)
        if not value.name:
            return value
        return replace(value, destination_path=value.destination_path.rstrip(b"/") + b"/" + value.name, name=b"")


ADDRESS: Final[UnionOf[Address]] = UnionOf(
    {
        AddressType.LOCAL: struct_of(LocalAddress),
        AddressType.TCP: _OneEndpoint(),
        AddressType.IPC: struct_of(IpcAddress),
    }
)
_DATA_ADDRESS: Final = Struct(messages.DataAddress, {"address": ADDRESS})
_DATA_STATUS: Final = Struct(messages.DataStatus, struct_of(messages.DataStatus).fields | {"address": ADDRESS})
_START_RECOVER: Final = Struct(
    messages.StartRecover, struct_of(messages.StartRecover).fields | {"names": ListOf(_NameInFolder())}
)
_LOG_LINE: Final = Struct(messages.LogMessage, {"kind": WORD, "number": WORD, "text": TEXT})

CALLS: Final[dict[int, Call[Any, Any]]] = {
    call.code: call
    for call in (
        replace(messages.DATA_GET_STATE, reply=_DATA_STATUS),
        replace(messages.DATA_LISTEN, reply=_DATA_ADDRESS),
        replace(messages.DATA_CONNECT, request=_DATA_ADDRESS),
        replace(messages.DATA_START_RECOVER, request=_START_RECOVER),
    )
}
POSTS: Final[dict[int, Post[Any]]] = {messages.LOG_MESSAGE.code: replace(messages.LOG_MESSAGE, body=_LOG_LINE)}
