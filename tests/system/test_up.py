"""``snapcopy up`` as a person meets it: real processes, a real browser's steps, Ctrl-C and kill -9."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import psycopg
import pytest

from snapcopy_site.lib.home import Home
from tests.system.product import (
    ORDINARY_USER,
    Product,
    children,
    command,
    command_line,
    environment,
    is_alive,
    wait_for,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's account may pass, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="sc-up-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Browser:
    """Cookies and forms, no more."""

    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, url: str) -> tuple[int, str]:
        return self._open(urllib.request.Request(url))

    def submit(self, url: str) -> tuple[int, str]:
        """Press the only button of the form at a page."""
        _, page = self.get(url)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token, page
        body = f"csrfmiddlewaretoken={token[1]}".encode()
        return self._open(urllib.request.Request(url, data=body))

    def _open(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with self._opener.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


def run(home: Path, *words: str, as_user: bool = False) -> subprocess.CompletedProcess[str]:
    """One command of the product, to its end."""
    return subprocess.run(
        command(*words, "--home", str(home), as_user=as_user),
        env=environment(home),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "as_user",
    [
        pytest.param(False, id="root", marks=pytest.mark.skipif(not AS_ROOT, reason="needs root")),
        pytest.param(True, id="user"),
    ],
)
def test_one_command_brings_everything_up_and_ctrl_c_takes_it_down(folder: Path, *, as_user: bool) -> None:
    home = folder / "sc"
    if as_user and AS_ROOT:
        os.chown(folder, ORDINARY_USER, ORDINARY_USER)
    with Product(home, as_user=as_user) as product:
        link = product.wait_until_up()
        browser = Browser()
        assert browser.get(link)[0] == 200, "looking at the link does not use it up"
        status, page = browser.submit(link)
        assert status == 200
        assert "Sign out" in page
        assert Browser().get(link)[0] == 410, "a second use is refused"
        family = product.family()
        assert len(family) >= 5
        assert product.stop(signal.SIGINT) == 0
        wait_for(lambda: not any(map(is_alive, family)), seconds=60, what="every process ends")
        assert "killed" not in product.said
        assert "is killed" not in (home / "log" / "node.log").read_text(), "every worker ended by itself"
    with Product(home, as_user=as_user) as again:
        again.wait_until_up()
        status, page = browser.get(_origin(again) + "/account/password/")
        assert status == 200
        assert "Sign out" in page, "the session of the first run is still known"
        assert again.stop(signal.SIGTERM) == 0


def test_a_start_beside_a_running_one_says_so_and_another_home_runs_in_parallel(folder: Path) -> None:
    with Product(folder / "one") as first, Product(folder / "two") as second:
        first.wait_until_up()
        second.wait_until_up()
        assert _origin(first) != _origin(second)
        for port in ("0", _origin(first).rpartition(":")[2]):
            beside = run(folder / "one", "up", "--port", port)
            assert beside.returncode == 1
            assert "already running" in beside.stderr
            assert _origin(first) in beside.stderr
        link = run(folder / "one", "link")
        assert link.stdout.startswith(_origin(first) + "/sign-in/")
        assert Browser().submit(link.stdout.strip())[0] == 200
        assert run(folder / "one", "link", "nobody-here").returncode == 1
        report = json.loads(run(folder / "one", "doctor", "--json").stdout)
        names = {finding["name"] for finding in report["findings"] if finding["status"] == "error"}
        assert names <= {"access nodes"}, report
        assert first.process.poll() is None


def test_a_killed_supervisor_takes_everything_with_it_and_the_next_start_works(folder: Path) -> None:
    with Product(folder / "sc") as product:
        product.wait_until_up()
        family = product.family()
        product.process.kill()
        product.process.wait()
        with Product(folder / "sc") as again:
            again.wait_until_up()
            wait_for(lambda: not any(map(is_alive, family)), seconds=60, what="the processes of the killed start end")


def test_a_server_that_dies_is_started_again(folder: Path) -> None:
    with Product(folder / "sc") as product:
        product.wait_until_up()
        for name in ("postgres", "valkey", "gunicorn"):
            os.kill(_child_called(product, name), signal.SIGKILL)
        ended = {product.wait_for_line(re.compile(r"^(\w+) ended by signal 9"))[1] for _ in range(3)}
        assert ended == {"Postgres", "Valkey", "web"}
        wait_for(
            lambda: all(f"{name} started again" in product.said for name in ended), seconds=90, what="all are back"
        )


def test_sample_data_is_built_only_once(folder: Path) -> None:
    with Product(folder / "sc", "--demo") as product:
        product.wait_until_up()
        product.wait_for_line(re.compile("^The sample data is ready"), seconds=240)
        jobs = [json.loads(line) for line in run(folder / "sc", "jobs", "--json").stdout.splitlines()]
        states = {job["state"] for job in jobs}
        assert states == {"completed", "completed_with_errors"}, jobs
        product.stop()
    with Product(folder / "sc", "--demo") as again:
        again.wait_until_up()
        again.wait_for_line(re.compile("^The sample data is there already"), seconds=90)


def test_servers_of_your_own_are_used_instead(folder: Path) -> None:
    session = Home.current()
    with psycopg.connect(session.database_url().replace("/snapcopy?", "/postgres?"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS elsewhere")
        connection.execute("CREATE DATABASE elsewhere")
    own = {
        "SNAPCOPY_DATABASE_URL": session.database_url().replace("/snapcopy?", "/elsewhere?"),
        "SNAPCOPY_REDIS_URL": f"unix://{session.valkey_socket}?db=15",
    }
    with Product(folder / "sc", variables=own) as product:
        assert Browser().submit(product.wait_until_up())[0] == 200
        assert len(children(product.process.pid)) == 3, "web, node, scheduler"
        assert not list((folder / "sc" / "postgres").iterdir())
        assert product.stop() == 0


def test_a_database_that_does_not_answer_ends_the_start_with_its_reason(folder: Path) -> None:
    nowhere = {"SNAPCOPY_DATABASE_URL": f"postgresql://u:secret@/x?host={folder}"}
    with Product(folder / "sc", variables=nowhere) as product:
        product.wait_for_line(re.compile("the database could not be prepared"))
        assert product.process.wait(30) == 1
    assert "PostgreSQL refused" in product.said
    assert "secret" not in product.said
    assert "Traceback" not in product.said


def test_a_busy_port_is_named_before_anything_is_started(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = run(folder / "sc", "up", "--port", str(port))
    assert refused.returncode == 1
    assert f"port {port} on 127.0.0.1 is used by another program" in refused.stderr
    assert not (folder / "sc").exists()


def _origin(product: Product) -> str:
    state = json.loads((product.home / "running.json").read_text())
    return str(state["url"]).rstrip("/")


def _child_called(product: Product, name: str) -> int:
    found = [pid for pid in children(product.process.pid) if name in command_line(pid)]
    assert len(found) == 1, found
    return found[0]
