"""Every request that the engine makes by Dell's client, recorded on the wire and compared with what Dell documents.

The table is of the Dell PowerStore REST API Reference Guide: method, path below ``/api/rest``, and what may go with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from jobs.engine.hosted import calls

from .https_server import HERE, Request
from .powerstore_driving import RUN, engine_of, named, take
from .powerstore_emulator import ACCOUNT, API, PASSWORD, PowerStore

pytestmark = pytest.mark.system

_ID = "[0-9a-f-]{36}"
_ROWS = frozenset({"select", "order"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    method: str
    path: str
    query: frozenset[str] = frozenset()
    body: frozenset[str] = field(default_factory=frozenset)


DOCUMENTED = (
    Documented(method="GET", path="login_session", query=frozenset({"select"})),
    Documented(method="POST", path="logout"),
    Documented(method="GET", path="cluster", query=frozenset({"select"})),
    Documented(method="GET", path="software_installed", query=frozenset({"select", "is_cluster"})),
    Documented(method="GET", path="nas_server", query=_ROWS),
    Documented(
        method="GET",
        path="file_system",
        query=_ROWS | {"filesystem_type", "nas_server_id", "parent_id", "name"},
    ),
    Documented(
        method="POST",
        path=f"file_system/{_ID}/snapshot",
        body=frozenset({"name", "description", "expiration_timestamp", "access_type"}),
    ),
    Documented(method="POST", path=f"file_system/{_ID}/restore", body=frozenset({"copy_name"})),
    Documented(method="DELETE", path=f"file_system/{_ID}"),
    Documented(method="GET", path="nfs_export", query=_ROWS | {"name"}),
    Documented(
        method="POST",
        path="nfs_export",
        body=frozenset({"file_system_id", "path", "name", "description", "default_access", "read_only_root_hosts"}),
    ),
    Documented(method="PATCH", path=f"nfs_export/{_ID}", body=frozenset({"add_read_only_root_hosts"})),
    Documented(method="DELETE", path=f"nfs_export/{_ID}"),
)


def of(request: Request) -> Documented:
    for one in DOCUMENTED:
        if one.method == request.method and re.fullmatch(f"{API}/{one.path}", request.path):
            return one
    raise AssertionError(f"{request.method} {request.path} is not documented")


def test_every_request_is_one_that_dell_documents(powerstore: PowerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_GOODBYE_SECONDS", 60.0)
    for reading in ("directory", "export"):
        engine = engine_of(powerstore, reading=reading)
        assert engine.test().ok
        ref = take(engine, 1, "fs1", "fs2")
        assert engine.list() == [ref]
        with engine.open(ref):
            for export in powerstore.exports.values():
                export["read_only_root_hosts"].clear()  # as if another node had made it
            engine.plan_revert(ref, RUN, seconds=5)
        engine.revert(ref, RUN)
        engine.delete(ref)
        engine.client.close()
    used = set()
    for request in powerstore.server.requests:
        documented = of(request)
        used.add(documented)
        assert set(request.query) <= documented.query, request
        assert set(request.body or ()) <= documented.body, request
        assert request.headers["accept"] == "application/json"
        if documented.path != "login_session":
            assert request.login is None, "the password goes once, for a session"
            assert request.headers["dell-emc-token"]
    assert used == set(DOCUMENTED), "nothing is documented here that is not used"
    assert [request.login for request in powerstore.server.requests if request.login] == [(ACCOUNT, PASSWORD)] * 2


def test_the_bodies_say_what_they_should(powerstore: PowerStore) -> None:
    engine = engine_of(powerstore, reading="export")
    ref = take(engine, 1, "fs1")
    with engine.open(ref):
        pass
    engine.revert(ref, RUN)
    bodies = {request.path.rsplit("/", 1)[1]: request.body for request in powerstore.server.requests if request.body}
    assert bodies["snapshot"]["name"] == named(1)
    assert bodies["snapshot"]["access_type"] == "Protocol"
    assert bodies["nfs_export"] | {"file_system_id": ""} == {
        "file_system_id": "",
        "path": f"/{named(1)}",
        "name": named(1),
        "description": "Made by SnapCopy while it reads the snapshot.",
        "default_access": "No_Access",
        "read_only_root_hosts": [HERE],
    }
    assert "restore" not in bodies, "the safety snapshot is taken by the job, under a name of ours (RULES S6)"


def test_a_listing_asks_for_all_pages_in_one_order(powerstore: PowerStore) -> None:
    for number in range(150):
        powerstore.take_as_somebody_else("fs1", f"daily-{number}")
    engine_of(powerstore).list()
    listings = [
        request for request in powerstore.server.requests if request.query.get("filesystem_type") == "eq.Snapshot"
    ]
    assert [request.headers.get("range") for request in listings] == [None, "100-2100"]
    assert {request.query["order"] for request in listings} == {"id"}
    assert {request.query["nas_server_id"] for request in listings} == {f"eq.{powerstore.nas_id}"}
