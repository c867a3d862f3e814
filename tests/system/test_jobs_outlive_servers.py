"""PostgreSQL, Valkey and the node are killed with -9 in the middle of a copy: the copy ends good, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.interop.restic import Restic
from tests.jobs.farm import PASSWORD
from tests.system.product import ROOT, Product, command, command_line, environment, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.interop, pytest.mark.timeout(600)]

CONFIGURE = """
import django, sys
django.setup()
from pathlib import Path
from tests.jobs.farm import configure
made = configure(Path(sys.argv[1]))
made.content_paths = sys.argv[2:]
made.save()
print(made.path)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's account may pass, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="sc-servers-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Installation:
    """The running product and its database, looked at from outside."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.environment = environment(product.home) | {
            "SNAPCOPY_HOME": str(product.home),
            "DJANGO_SETTINGS_MODULE": "snapcopy_site.settings",
            "PYTHONPATH": str(ROOT),
        }

    def configure(self, folder: Path, *content: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-c", CONFIGURE, str(folder), *map(str, content)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def launch(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command(*words, "--wait", "--json"), env=self.environment, stdout=subprocess.PIPE, text=True
        )

    def is_copying(self) -> bool:
        where = self.product.home / "run" / "pg"
        with psycopg.connect(host=str(where), dbname="snapcopy", user="snapcopy") as connection:
            row = connection.execute(
                "SELECT 1 FROM jobs_job WHERE operation = 'backup_copy' AND state = 'running' AND bytes_done > 0"
            ).fetchone()
        return row is not None

    def kill(self, *words: str) -> None:
        """``kill -9`` of every process of the product whose command line holds one of the words."""
        for pid in self.product.family():
            line = command_line(pid)
            if any(word in line for word in words):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


@pytest.mark.parametrize("words", [("valkey",), ("/postgres",), ("valkey", "/postgres", "snapcopy_site node")])
def test_a_copy_ends_good_whatever_is_killed(words: tuple[str, ...], folder: Path, large_tree: Path) -> None:
    more = folder / "more"
    more.mkdir()
    (more / "large").write_bytes(os.urandom(400 << 20))  # so that a quick machine is caught in the middle, too
    with Product(folder / "home") as product:
        product.wait_until_up()
        installation = Installation(product)
        path = installation.configure(folder, large_tree, more)
        assert finished(installation.launch("snapshot", path))["state"] == "completed"
        copying = installation.launch("copy", path)
        wait_for(installation.is_copying, seconds=90, what="data is on its way")
        installation.kill(*words)
        ended = finished(copying)
        assert (ended["state"], ended["files"]) == ("completed", 2_001)
        assert product.stop() == 0
    Restic(repository=folder / "media", password=PASSWORD).run("check", "--read-data")
