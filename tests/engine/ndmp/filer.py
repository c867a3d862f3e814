"""A scripted file server: an honest NDMP data service, and every way of being a dishonest one.

It reads and writes by the same message table as the client. What is sent is raw bytes of memory: there are no files.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp import values as v
from jobs.engine.ndmp import version3
from jobs.engine.ndmp.login import md5_digest
from jobs.engine.ndmp.messages import Call, Header, MessageKind, Post
from jobs.engine.ndmp.records import RecordReader, framed
from jobs.engine.ndmp.values import ErrorCode, HaltReason, LogKind, Nothing, Pair, TcpAddress, TcpEndpoint
from jobs.engine.ndmp.xdr import decode, encode

HOME = "127.0.0.1"
STRANGER = "127.0.0.2"
PASSWORD = "correct horse"
CHALLENGE = bytes(range(64))


def log(text: str, kind: LogKind = LogKind.ERROR) -> tuple[Post[Any], object]:
    return m.LOG_MESSAGE, m.LogMessage(kind, 1, text, 0, 0)


@dataclass
class Script:
    """How the file server behaves; as it stands, it behaves well."""

    image: bytes = b"image " * 1000
    greeting: m.ConnectionStatus | bytes | None = field(
        default_factory=lambda: m.ConnectionStatus(v.ConnectionReason.CONNECTED, 4, "")
    )
    version: int = 4
    """The highest that it speaks."""
    offers_md5: bool = True
    refuses: dict[Call[Any, Any], int] = field(default_factory=dict)
    silent_on: set[Call[Any, Any]] = field(default_factory=set)
    posts: list[tuple[Post[Any], object]] = field(default_factory=list)
    """Sent before the data."""
    raw: bytes = b""
    """Sent on the session before the data, as it is."""
    dies_after: int | None = None
    """Bytes of data, after which every connection is cut."""
    hangs_after: int | None = None
    """Bytes of data, after which nothing comes any more."""
    leaves_data_open: bool = False
    counts: int | None = None
    """What it says to have processed."""
    works_for: int = 0
    """So often it says that it has processed more than when it was last asked, whatever comes of that."""
    goes_on_counting: bool = False
    """Over all backups of a session, as ndmjob does."""
    halts: HaltReason | None = HaltReason.SUCCESSFUL
    environment: tuple[Pair, ...] = (Pair("LEVEL", "0"), Pair("DUMP_DATE", "4294967297"), Pair("ACL_START", "512"))
    data_from: str = HOME
    listens_on: str = HOME
    never_connects: bool = False
    reads: list[m.DataRead] = field(default_factory=lambda: [m.DataRead(0, v.TO_THE_END)])
    file_results: list[m.LogFile] = field(default_factory=list)
    tamper: Callable[[bytes], bytes] = bytes
    """What becomes of each record on its way to the client."""
    hangs_up_after: int | None = None
    """Bytes of a recovery, after which it closes the data connection and is content."""


class Filer:
    """Listens on loopback. ``asked`` are the names of the calls that came, in order; ``got`` what a recovery sent."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[str] = []
        self.requests: list[object] = []
        self.got = bytearray()
        self.reached = threading.Event()
        """The point at which the script hangs."""
        self.is_over = threading.Event()
        self.listener = socket.create_server((HOME, 0))
        self.port = self.listener.getsockname()[1]
        self._visits: list[Visit] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def asked_by_all(self) -> list[str]:
        """What was asked until the clients that came had gone: their last call has no answer that they wait for."""
        for visit in list(self._visits):
            visit.thread.join(timeout=60)
            assert not visit.thread.is_alive(), "a session is still open"
        return self.asked

    def close(self) -> None:
        self.is_over.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(timeout=60)
        for visit in self._visits:
            visit.cut()
            visit.thread.join(timeout=60)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                visit = Visit(self, connection)
                # Before it says anything: whoever was greeted finds it here.
                self._visits.append(visit)
                visit.thread.start()


@contextlib.contextmanager
def filer(script: Script) -> Iterator[Filer]:
    server = Filer(script)
    try:
        yield server
    finally:
        server.close()


class Visit:
    """One session of the file server."""

    def __init__(self, server: Filer, connection: socket.socket) -> None:
        self.server = server
        self.script = server.script
        self.connection = connection
        self.data: socket.socket | None = None
        self.data_listener: socket.socket | None = None
        self.state = v.DataState.IDLE
        self.processed = 0
        self.is_let_in = False
        self.halted = threading.Event()
        self._sending = threading.Lock()
        self._sequence = 0
        self._mover: threading.Thread | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def cut(self) -> None:
        """Every connection at once."""
        for one in (self.data, self.data_listener, self.connection):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def post(self, post: Post[Any], value: object) -> None:
        shape = version3.POSTS.get(post.code, post) if self.script.version == version3.VERSION else post
        self._send(MessageKind.REQUEST, post.code, 0, encode(shape.body, value))

    def _send(self, kind: MessageKind, code: int, answers: int, body: bytes) -> None:
        with self._sending, contextlib.suppress(OSError):
            self._sequence += 1
            record = framed(m.message(Header(self._sequence, 0, kind, code, answers, 0), body))
            self.connection.sendall(self.script.tamper(record))

    def _run(self) -> None:
        if isinstance(self.script.greeting, bytes):
            with contextlib.suppress(OSError):
                self.connection.sendall(self.script.greeting)
        elif self.script.greeting is not None:
            self.post(m.NOTIFY_CONNECTION_STATUS, self.script.greeting)
        records = RecordReader()
        with contextlib.suppress(OSError):
            while piece := self.connection.recv(65536):
                for record in records.feed(piece):
                    self._answer(*m.split(record))
        if self._mover is not None:
            self.halted.set()
            self.cut()
            self._mover.join(timeout=60)
        self.cut()

    def _answer(self, header: Header, body: bytes) -> None:
        call = m.CALLS[header.code]
        shape = version3.CALLS.get(call.code, call) if self.script.version == version3.VERSION else call
        request = decode(shape.request, body)
        self.server.asked.append(call.name)
        self.server.requests.append(request)
        if call in self.script.silent_on or call is m.CONNECT_CLOSE:
            return
        if call in self.script.refuses:
            self._send(
                MessageKind.REPLY, call.code, header.sequence, call.encode_reply(self.script.refuses[call], None)
            )
            return
        error, reply = self._handlers()[call](request) if call in self._handlers() else (ErrorCode.NOT_SUPPORTED, None)
        self._send(MessageKind.REPLY, call.code, header.sequence, shape.encode_reply(error, reply))
        if call in {m.DATA_START_BACKUP, m.DATA_START_RECOVER} and not error:
            carry = self._back_up if call is m.DATA_START_BACKUP else self._recover
            self._mover = threading.Thread(target=carry, daemon=True)
            self._mover.start()
        elif call is m.DATA_ABORT:
            self._halt(HaltReason.ABORTED)

    def _handlers(self) -> dict[Call[Any, Any], Callable[[Any], tuple[int, Any]]]:
        nothing = Nothing()
        return {
            m.CONNECT_OPEN: self._open,
            m.GET_AUTH_ATTR: lambda _: (
                (0, m.AuthAttributes(v.Md5Challenge(CHALLENGE)))
                if self.script.offers_md5
                else (ErrorCode.NOT_SUPPORTED, None)
            ),
            m.CONNECT_CLIENT_AUTH: self._authenticate,
            m.GET_SERVER_INFO: lambda _: (0, m.ServerInfo("NetApp", "Data ONTAP", "9.16", (1, 2))),
            m.GET_HOST_INFO: lambda _: (0, m.HostInfo("filer", "Script", "1", "7")),
            m.GET_BUTYPE_INFO: lambda _: (0, m.BackupTypes((v.BackupType("dump", (Pair("LEVEL", "0"),), 0x0E7E),))),
            m.GET_CONNECTION_TYPE: lambda _: (0, m.ConnectionTypes((1, 77))),
            m.GET_EXT_LIST: lambda _: (0, m.Extensions((v.ExtensionClass(0x2050, (1, 2)),))),
            m.DATA_CONNECT: self._connect,
            m.DATA_LISTEN: self._listen,
            m.DATA_START_BACKUP: lambda _: (0, nothing),
            m.DATA_START_RECOVER: lambda _: (0, nothing),
            m.DATA_GET_STATE: lambda _: (0, self._status()),
            m.DATA_GET_ENV: lambda _: (0, m.Environment(self.script.environment)),
            m.DATA_ABORT: lambda _: (0, nothing),
            m.DATA_STOP: self._stop,
        }

    def _open(self, request: m.OpenRequest) -> tuple[int, Nothing | None]:
        return (0, Nothing()) if request.version <= self.script.version else (ErrorCode.ILLEGAL_ARGUMENTS, None)

    def _authenticate(self, request: m.ClientAuthRequest) -> tuple[int, Nothing]:
        match request.data:
            case v.Md5Auth(account="ndmp", digest=digest):
                is_right = digest == md5_digest(PASSWORD, CHALLENGE)
            case v.TextAuth(account="ndmp", password=password):
                is_right = password == PASSWORD
            case _:
                is_right = False
        return (0 if is_right else ErrorCode.NOT_AUTHORIZED), Nothing()

    def _connect(self, request: m.DataAddress) -> tuple[int, Nothing]:
        assert isinstance(request.address, TcpAddress)
        if not self.script.never_connects:
            (end,) = request.address.endpoints
            where = (str(ipaddress.IPv4Address(end.ip)), end.port)
            self.data = socket.create_connection(where, timeout=60, source_address=(self.script.data_from, 0))
            self.data.settimeout(None)
        self.state = v.DataState.CONNECTED
        return 0, Nothing()

    def _listen(self, _request: m.ListenRequest) -> tuple[int, m.DataAddress]:
        if self.data_listener is not None:
            self.data_listener.close()
        self.data_listener = socket.create_server((self.script.listens_on, 0))
        self.state = v.DataState.LISTEN
        port = self.data_listener.getsockname()[1]
        ip = int(ipaddress.IPv4Address(self.script.listens_on))
        return 0, m.DataAddress(TcpAddress((TcpEndpoint(ip, port, ()),)))

    def _stop(self, _request: Nothing) -> tuple[int, Nothing]:
        is_halted, self.state = self.state is v.DataState.HALTED, v.DataState.IDLE
        self.halted.clear()
        return (0 if is_halted else ErrorCode.ILLEGAL_STATE), Nothing()

    def _status(self) -> m.DataStatus:
        if self.script.works_for:
            self.script.works_for -= 1
            self.processed += 1
        processed = self.processed if self.script.counts is None else self.script.counts
        reason = HaltReason.NOT_HALTED
        return m.DataStatus(3, v.DataOperation.BACKUP, self.state, reason, processed, 0, 0, v.LocalAddress(), 0, 0)

    def _back_up(self) -> None:
        data = self._open_data()
        if self.script.raw:
            self.connection.sendall(self.script.raw)
        for post, value in self.script.posts:
            self.post(post, value)
        ends = [end for end in (self.script.dies_after, self.script.hangs_after) if end is not None]
        with contextlib.suppress(OSError):
            data.sendall(self.script.image[: ends[0]] if ends else self.script.image)
        self.processed = len(self.script.image) + (self.processed if self.script.goes_on_counting else 0)
        if self.script.hangs_after is not None:
            self.server.reached.set()
            self.halted.wait(120)
            data.close()
        elif self.script.dies_after is not None:
            self.cut()
        else:
            self._end(data)

    def _recover(self) -> None:
        data = self._open_data()
        if self.script.raw:
            self.connection.sendall(self.script.raw)
        for read in self.script.reads:
            self.post(m.NOTIFY_DATA_READ, read)
            if self.script.hangs_after is not None:
                self.server.reached.set()
                self.halted.wait(120)
                return
            if self.script.dies_after is not None:
                data.recv(self.script.dies_after)
                self.cut()
                return
            wanted = 1 << 62 if read.length == v.TO_THE_END else read.length
            wanted = wanted if self.script.hangs_up_after is None else self.script.hangs_up_after
            with contextlib.suppress(OSError):
                while wanted and (piece := data.recv(min(65536, wanted))):
                    self.server.got += piece
                    wanted -= len(piece)
        for post, value in self.script.posts:
            self.post(post, value)
        for result in self.script.file_results:
            self.post(m.LOG_FILE, result)
        self._end(data)

    def _open_data(self) -> socket.socket:
        if self.data_listener is not None:
            self.data, _ = self.data_listener.accept()
        self.state = v.DataState.ACTIVE
        assert self.data is not None
        return self.data

    def _end(self, data: socket.socket) -> None:
        if not self.script.leaves_data_open:
            with contextlib.suppress(OSError):
                data.shutdown(socket.SHUT_RDWR)
            data.close()
        if self.script.halts is not None:
            self._halt(self.script.halts)

    def _halt(self, reason: HaltReason) -> None:
        if not self.halted.is_set():
            self.state = v.DataState.HALTED
            self.halted.set()
            self.post(m.NOTIFY_DATA_HALTED, m.DataHalted(reason))
