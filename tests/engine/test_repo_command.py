"""``snapcopy repo`` as a person or a script meets it: real child processes, stock restic as the judge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Prompt:
    """Runs ``repo`` commands on one repository with one cache."""

    def __init__(self, folder: Path) -> None:
        self.repo = str(folder / "repo")
        self.environment = {
            "PATH": os.environ["PATH"],
            "SNAPCOPY_REPO_PASSWORD": "correct horse",
            "XDG_CACHE_HOME": str(folder / "cache"),
        }

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "repo", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
            env=self.environment | environment,
        )

    def result(self, *words: str) -> dict[str, Any]:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


@pytest.fixture
def prompt(tmp_path: Path) -> Prompt:
    made = Prompt(tmp_path)
    assert made.run("init", made.repo).returncode == 0
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "one").write_text("one")
    (folder / "below" / "two").write_bytes(os.urandom(300_000))
    return folder


@pytest.mark.interop
def test_a_directory_goes_in_and_comes_back_and_stock_restic_agrees(
    prompt: Prompt, source: Path, tmp_path: Path
) -> None:
    first = prompt.result("backup", prompt.repo, str(source), "--as", "/srv/data", "--tag", "nightly")
    assert first["counters"]["files_new"] == 2
    listed = prompt.run("ls", prompt.repo, "latest", "/srv/data/below").stdout
    assert listed.rstrip().endswith("/srv/data/below/two")

    done = prompt.run("restore", prompt.repo, "latest", "--to", str(tmp_path / "out"), "--path", "/srv/data/below")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/srv/data/below/two").read_bytes() == (source / "below/two").read_bytes()
    assert not (tmp_path / "out/srv/data/one").exists()

    restic = ["restic", "-r", prompt.repo, "--no-cache", "check", "--read-data"]
    environment = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD": "correct horse"}
    subprocess.run(restic, env=environment, check=True, capture_output=True, timeout=60)


def test_a_second_backup_finds_its_parent_by_itself_and_reads_nothing(prompt: Prompt, source: Path) -> None:
    first = prompt.result("backup", prompt.repo, str(source))
    second = prompt.result("backup", prompt.repo, str(source))
    assert second["parent_used"] == first["snapshot_file_id"]
    assert second["counters"]["bytes_read"] == 0
    assert second["counters"]["files_unmodified"] == 2
    without_cache = prompt.result("backup", prompt.repo, str(source), "--no-cache")
    assert without_cache["parent_used"] == second["snapshot_file_id"]
    assert without_cache["counters"]["bytes_read"] == 0
    assert prompt.result("backup", prompt.repo, str(source), "--full")["parent_used"] is None


def test_a_parent_that_others_replaced_is_noticed_in_spite_of_the_cache(prompt: Prompt, source: Path) -> None:
    prompt.result("backup", prompt.repo, str(source))
    other = prompt.result("backup", prompt.repo, str(source), "--no-cache")
    third = prompt.result("backup", prompt.repo, str(source))
    assert third["parent_used"] == other["snapshot_file_id"]


def test_forget_and_prune_free_what_nobody_needs(prompt: Prompt, source: Path) -> None:
    prompt.result("backup", prompt.repo, str(source))
    (source / "below" / "two").write_bytes(os.urandom(300_000))
    last = prompt.result("backup", prompt.repo, str(source))
    forgotten = prompt.result("forget", prompt.repo, "--keep-last", "1")
    assert [kept["id"] for kept in forgotten["kept"]] == [last["snapshot_file_id"]]
    assert len(forgotten["removed"]) == 1
    assert prompt.result("prune", prompt.repo, "--max-unused", "0%")["freed_bytes"] > 250_000
    assert prompt.result("check", prompt.repo, "--read-data")["ok"]
    assert prompt.result("stats", prompt.repo)["snapshot_files"] == 1
    assert prompt.result("unlock", prompt.repo)["removed"] == []


def test_exit_codes_tell_scripts_what_happened(prompt: Prompt, source: Path, tmp_path: Path) -> None:
    assert prompt.run("ls", prompt.repo, "latest", SNAPCOPY_REPO_PASSWORD="wrong").returncode == 12
    assert prompt.run("stats", str(tmp_path / "nowhere")).returncode != 0
    (tmp_path / "empty").mkdir()
    assert prompt.run("stats", str(tmp_path / "empty")).returncode == 10
    assert prompt.run("backup", prompt.repo, str(tmp_path / "no-source")).returncode == 1
    assert prompt.run("ls", prompt.repo, "latest").returncode == 1
    assert prompt.run("check", prompt.repo, "--read-data=120%").returncode == 2
    assert prompt.run("forget", prompt.repo).returncode == 2
    assert prompt.run("init", prompt.repo).returncode == 1
    assert "password" not in prompt.run("ls", prompt.repo, "latest").stderr


def test_the_password_may_come_from_a_file_but_not_from_nowhere(prompt: Prompt, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("correct horse\nsecond line\n")
    del prompt.environment["SNAPCOPY_REPO_PASSWORD"]
    assert prompt.run("stats", prompt.repo, "--password-file", str(file)).returncode == 0
    refused = prompt.run("stats", prompt.repo)
    assert refused.returncode == 2
    assert "SNAPCOPY_REPO_PASSWORD" in refused.stderr


def test_repo_starts_without_django() -> None:
    code = (
        "import sys; from snapcopy_site.cli import main\n"
        "try: main(['repo', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name == 'django' or name.startswith('django.') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
