"""pytest plugin: one embedded PostgreSQL and one Valkey for the whole test session, in a folder of its own.

Loaded by ``-p tests.services`` before Django's settings are read. The xdist controller starts the servers; each of its
workers has a home of its own, which shares only the sockets, a database of its own (pytest-django) and a Redis number
of its own. A running product is not touched: its variables are taken out of the environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from snapcopy_site import embedded
from snapcopy_site.children import stop
from snapcopy_site.lib.home import Home

MOST_PROCESSES = 4
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ


def _home_of_worker(session: Home, worker: str) -> Path:
    """What a job leaves or clears in a home must not meet the jobs of another worker's database."""
    own = Home(session.path / "workers" / worker)
    own.path.mkdir(parents=True, exist_ok=True)
    own.run.symlink_to(session.run)
    return own.path


if IS_WORKER:
    os.environ["SNAPCOPY_HOME"] = str(_home_of_worker(Home.current(), os.environ["PYTEST_XDIST_WORKER"]))
else:
    for _name in [name for name in os.environ if name.startswith("SNAPCOPY_") and "_TEST_" not in name]:
        del os.environ[_name]
    os.environ["SNAPCOPY_HOME"] = tempfile.mkdtemp(prefix="sc-test-")
    os.environ["SNAPCOPY_SECRET_KEY"] = "only-for-tests-" + "x" * 40
_worker_number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
os.environ["SNAPCOPY_REDIS_URL"] = f"unix://{Home.current().valkey_socket}?db={_worker_number}"

_children: list[tuple[embedded.Server, subprocess.Popen[bytes]]] = []


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """The whole suite runs in one process more than there are cores, up to four: half of it waits for others. A few
    tests run in this one.

    Whatever is said about ``-n``, ``--collect-only`` or a debugger wins.
    """
    option = config.option
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS and not option.keyword and not option.markexpr
    if whole and not IS_WORKER and option.numprocesses is None and not (option.usepdb or option.collectonly):
        option.numprocesses = min((os.cpu_count() or 1) + 1, MOST_PROCESSES)
        option.dist = "worksteal"
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    if IS_WORKER or config.option.collectonly:
        return
    home = Home.current()
    embedded.prepare(home)
    # The checkout of the tests may lie below a private folder: PostgreSQL's account must pass the home only.
    postgres = embedded.Postgres(home=home, settings=("fsync=off", "full_page_writes=off", "synchronous_commit=off"))
    postgres.initialise()
    for server in (postgres, embedded.Valkey(home=home)):
        child = server.start()
        _children.append((server, child))
        embedded.wait_until_it_answers(server, child)


def pytest_unconfigure() -> None:
    if IS_WORKER:
        return
    for server, child in reversed(_children):
        stop(child, stop_signal=server.stop_signal, timeout_seconds=10)
    _children.clear()
    shutil.rmtree(Home.current().path, ignore_errors=True)


def home() -> Path:
    """The home of this test session."""
    return Home.current().path
