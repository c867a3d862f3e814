"""The medium as its users see it: every call goes to the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..hosted import wire
from ..hosted.calls import Calls
from ..hosted.process import Driver
from .base import Buffer, TestReport, Usage


class HostedMedia:
    """A medium in a host of its own. For threads, forks and time it is as :class:`~jobs.engine.hosted.calls.Calls`."""

    def __init__(self, driver: Driver, *, place: str, call_seconds: float) -> None:
        """``place`` names the medium in errors, such as “s3 bucket/prefix”."""
        self._calls = Calls(driver, place=place, call_seconds=call_seconds)

    def put(self, name: str, pieces: Sequence[Buffer]) -> None:
        """See :class:`~jobs.engine.media.base.Media`."""
        self._call("put", {"name": name}, pieces)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See :class:`~jobs.engine.media.base.Media`."""
        return self._call("get", {"name": name, "offset": offset, "length": length})[1]

    def size(self, name: str) -> int:
        """Bytes of a stored file. Raises FileMissing."""
        return int(self._call("size", {"name": name})[0])

    def exists(self, name: str) -> bool:
        return bool(self._call("exists", {"name": name})[0])

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See :class:`~jobs.engine.media.base.Media`. Rows come in parts; other calls may be made between them."""
        connection = self._calls.connect()
        try:
            wire.send(connection, wire.Call(method="list", arguments={"prefix": prefix}))
            while True:
                answer, _body = wire.receive(connection)
                if answer.error is not None or not answer.more:
                    break
                yield from answer.value
        except (EOFError, OSError) as error:
            connection.close()
            raise self._calls.lost(error) from error
        except BaseException:
            connection.close()
            raise
        self._calls.give_back(connection)
        if answer.error is not None:
            raise answer.error

    def delete(self, name: str) -> None:
        """See :class:`~jobs.engine.media.base.Media`."""
        self._call("delete", {"name": name})

    def usage(self) -> Usage:
        found: Usage = self._call("usage", {})[0]
        return found

    def test(self) -> TestReport:
        """See :class:`~jobs.engine.media.base.Media`. Runs in the host, which is started if need be."""
        report: TestReport = self._call("test", {})[0]
        return report

    def close(self) -> None:
        """End the host, or in a forked child only its connections."""
        self._calls.close()

    def __str__(self) -> str:
        return self._calls.place

    def _call(self, method: str, arguments: dict[str, Any], pieces: Sequence[Buffer] = ()) -> tuple[Any, bytes]:
        return self._calls.call(method, arguments, pieces)
