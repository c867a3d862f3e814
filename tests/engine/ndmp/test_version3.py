"""A file server that speaks version 3 only is understood: the same backup, by the other shapes of its messages."""

from __future__ import annotations

import pytest

from jobs.engine.errors import StreamIncomplete
from jobs.engine.ndmp import messages as m
from jobs.engine.ndmp.backup import BackupOrder, back_up
from jobs.engine.ndmp.profiles import GENERIC
from jobs.engine.ndmp.recover import RecoverOrder, everything, recover
from jobs.engine.ndmp.transfer import DataPath, Direction
from jobs.engine.ndmp.values import ConnectionReason, LogKind, WantedName

from .clients import MemoryImage, visit
from .filer import Script, filer, log

GREETINGS = [m.ConnectionStatus(ConnectionReason.CONNECTED, version, "") for version in (3, 4)]


@pytest.mark.parametrize("greeting", GREETINGS, ids=["says 3", "says 4 and refuses it"])
@pytest.mark.parametrize("direction", Direction)
def test_a_backup_and_its_recovery(greeting: m.ConnectionStatus, direction: Direction) -> None:
    script = Script(version=3, greeting=greeting, posts=[log("going well", LogKind.NORMAL)])
    path, image = DataPath(direction=direction), MemoryImage()
    with filer(script) as server, visit(server) as session:
        order = BackupOrder(type="dump", environment=GENERIC.backup_environment("/vol/vol1"), data_path=path)
        done = back_up(session, order, image)
        assert [line.text for line in done.log] == ["going well"]
        names = (*everything(b"/vol/new"), WantedName(b"docs/a", b"/vol/new/b"))
        recover(session, RecoverOrder(type="dump", environment=done.environment, names=names, data_path=path), image)
        assert [one.names for one in server.requests if isinstance(one, m.StartRecover)] == [names]
        assert bytes(image.content) == script.image == bytes(server.got)
        assert server.asked.count("CONNECT_OPEN") == (1 if greeting.version == 3 else 2)


def test_an_error_in_its_log_is_understood() -> None:
    script = Script(version=3, posts=[log("disk broken")])
    order = BackupOrder(type="dump", environment=GENERIC.backup_environment("/vol/vol1"))
    with filer(script) as server, visit(server) as session, pytest.raises(StreamIncomplete, match="disk broken"):
        back_up(session, order, MemoryImage())
