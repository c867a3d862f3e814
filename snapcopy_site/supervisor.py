"""``snapcopy up``: everything on one machine, under one small supervisor, stopped together.

This process never imports Django: it starts what Django needs. The folder's lock is inherited by both servers, so it is
free only when the last of them is gone; that makes a second start beside a dying first one safe.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from snapcopy_site import children, embedded, running
from snapcopy_site.lib import env
from snapcopy_site.lib.home import Home
from snapcopy_site.listening import Listener, ListenRefused, listen
from snapcopy_site.running import CannotStart
from snapcopy_site.service import Service
from snapcopy_site.service_account import EmbeddedServerFailed

CODE_FOLDER: Final = Path(__file__).resolve().parent.parent
NODE_STOP_SECONDS: Final = 45.0
"""A running job writes a checkpoint and closes its files first (it has 30 s)."""
WEB_START_SECONDS: Final = 60.0
REFUSED: Final = 4
"""Exit code of a command that started nothing and said why (/docs/scripts/)."""


def main(arguments: Sequence[str]) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP. 0 = stopped on request, 1 = could not start."""
    options = _parser().parse_args(arguments)
    supervisor = Supervisor(Home.current(), node=options.node)
    try:
        running.refuse_beside(supervisor.home)
        supervisor.run(listen(options.bind, options.port), demo=options.demo)
    except (CannotStart, EmbeddedServerFailed, ListenRefused, OSError) as error:
        print(f"snapcopy up: {error}", file=sys.stderr)
        return 1
    return 0


class Supervisor:
    """The servers and processes of one home, in the order they are started."""

    def __init__(self, home: Home, *, node: str) -> None:
        self.home = home
        self.node = node
        self.stop_requests = 0
        self.services: list[Service] = []
        self._lock = -1
        self._demo: subprocess.Popen[bytes] | None = None
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self, listener: Listener, *, demo: bool) -> None:
        """Start, supervise, stop. Raises CannotStart, EmbeddedServerFailed; whatever was started is stopped then."""
        self._lock = running.take_lock(self.home, say=_say)
        self._watch_signals()
        try:
            self._start(listener, demo=demo)
            while not self._must_stop():
                self._pause(0.25)
                self._look_after_demo()
                for service in self.services:
                    happened = None if self._must_stop() else service.look()
                    if happened:
                        _say(happened)
        finally:
            self._stop()

    def _start(self, listener: Listener, *, demo: bool) -> None:
        _say(f"SnapCopy, home {self.home.path}")
        embedded.prepare(self.home)
        _write_once(self.home.secret_key, secrets.token_urlsafe(50))
        if not env.text("SNAPCOPY_ALLOWED_HOSTS") and listener.names:
            env.put("SNAPCOPY_ALLOWED_HOSTS", " ".join(listener.names))
        if not env.text("SNAPCOPY_DATABASE_URL"):
            postgres = embedded.Postgres(home=self.home)
            postgres.initialise()
            self._start_server(postgres)
        if not env.text("SNAPCOPY_REDIS_URL"):
            self._start_server(embedded.Valkey(home=self.home))
        token = self._prepare_database()
        web = self._add_process("web", "-m", "gunicorn", "-c", "python:snapcopy_site.web", listener=listener)
        self._add_process("node", "-m", "snapcopy_site", "node", self.node, stop_seconds=NODE_STOP_SECONDS)
        self._add_process("scheduler", "-m", "snapcopy_site", "scheduler")
        for service in self.services[-3:]:
            if not self._must_stop():
                service.start()
        self._wait_for_web(web, listener)
        if self._must_stop():
            return
        running.write_state(self.home, url=listener.url)
        _say(f"\n  Open     {listener.url}\n  Sign in  {listener.url}sign-in/{token}/   (works once, for one hour)\n")
        _say(f"Logs are in {self.home.logs}. Stop with Ctrl-C.")
        if demo:
            self._add_demo()

    def _start_server(self, server: embedded.Server) -> None:
        name = type(server).__name__
        service = Service(
            name=name,
            log=server.log,
            launch=lambda: server.start(keep_open=(self._lock,)),
            stop_signal=server.stop_signal,
            stop_seconds=60.0,
        )
        self.services.append(service)
        embedded.wait_until_it_answers(server, service.start())

    def _add_process(
        self, name: str, *arguments: str, listener: Listener | None = None, stop_seconds: float = 15.0
    ) -> Service:
        log = self.home.logs / f"{name}.log"
        keep_open = (listener.descriptor,) if listener else ()
        command = children.python(*arguments, *(("--bind", f"fd://{listener.descriptor}") if listener else ()))
        service = Service(
            name=name,
            log=log,
            launch=lambda: children.start(command, log=log, folder=CODE_FOLDER, keep_open=keep_open),
            stop_seconds=stop_seconds,
        )
        self.services.append(service)
        return service

    def _prepare_database(self) -> str:
        """Migrate, make the first administrator, and return the token of a new sign-in link."""
        done = subprocess.run(
            children.python("-m", "snapcopy_site", "prepare"),
            cwd=CODE_FOLDER,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            preexec_fn=children.dies_with_parent(signal.SIGTERM),
        )
        if done.returncode:
            raise CannotStart(f"the database could not be prepared.\n{done.stderr.strip()}")
        return str(json.loads(done.stdout.splitlines()[-1])["token"])

    def _wait_for_web(self, web: Service, listener: Listener) -> None:
        ends_at = time.monotonic() + WEB_START_SECONDS
        while not self._must_stop() and not listener.answers():
            if web.child is None or web.child.poll() is not None:
                raise CannotStart(f"the web server did not start. Its log: {web.log}\n{embedded.tail(web.log)}")
            if time.monotonic() > ends_at:
                raise CannotStart(f"the web server did not answer within {WEB_START_SECONDS:.0f} s. Its log: {web.log}")
            self._pause(0.05)

    def _add_demo(self) -> None:
        _say("Building sample data; it appears in the browser as it grows.")
        command = children.python("-m", "snapcopy_site", "demo")
        self._demo = children.start(command, log=self.home.logs / "demo.log", folder=CODE_FOLDER)

    def _look_after_demo(self) -> None:
        """Say once how building the sample data ended; it runs once and is not started again."""
        if self._demo is None or self._demo.poll() is None:
            return
        log = self.home.logs / "demo.log"
        if self._demo.returncode == 0:
            _say("The sample data is ready.")
        elif self._demo.returncode == REFUSED:
            _say(embedded.tail(log, lines=1).removeprefix("CommandError: "))
        else:
            _say(f"The sample data was not completed. Its log: {log}")
        self._demo = None

    def _stop(self) -> None:
        """Stop in reverse: first what uses the servers, all at once, then the servers."""
        servers = {"Postgres", "Valkey"}
        if not self.services:
            return
        _say("Stopping; a running job writes its checkpoint first. Press Ctrl-C again to stop at once.")
        asked = self.stop_requests
        if self._demo is not None:
            children.stop(self._demo, stop_signal=signal.SIGTERM, timeout_seconds=5)
        self._stop_together([s for s in self.services if s.name not in servers], asked)
        for service in reversed([s for s in self.services if s.name in servers]):
            self._stop_together([service], max(asked, self.stop_requests))
        self.home.state.unlink(missing_ok=True)
        _say("Stopped.")

    def _stop_together(self, services: list[Service], asked: int) -> None:
        for service in services:
            service.ask_to_stop()
        for service in services:
            if not service.wait_until_stopped(hurry=lambda: self.stop_requests > asked):
                _say(f"{service.name} did not stop in time and was killed.")

    def _watch_signals(self) -> None:
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _must_stop(self) -> bool:
        return self.stop_requests > 0

    def _note_stop(self, _number: int, _frame: object) -> None:
        self.stop_requests += 1

    def _pause(self, seconds: float) -> None:
        """Sleep, but wake for any signal."""
        if select.select([self._wake], [], [], seconds)[0]:
            os.read(self._wake, 4096)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="snapcopy up", description="Start everything on this machine.")
    parser.add_argument("--demo", action="store_true", help="fill an empty installation with sample data")
    parser.add_argument(
        "--port", type=int, default=env.integer("SNAPCOPY_PORT", 8000), help="default 8000; 0 = a free one"
    )
    parser.add_argument(
        "--bind", default=env.text("SNAPCOPY_BIND", "127.0.0.1"), help="default 127.0.0.1, this machine only"
    )
    parser.add_argument(
        "--node", default=env.text("SNAPCOPY_NODE", "local"), help="name of the access node; default local"
    )
    parser.add_argument("--home", help="folder of the installation (SNAPCOPY_HOME)")
    return parser


def _write_once(path: Path, content: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(content + "\n")


def _say(sentence: str) -> None:
    print(sentence, flush=True)
