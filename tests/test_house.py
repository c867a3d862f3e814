"""The rules of the house, as tests: one command, `python -m pytest`, runs every gate."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from django.core.management import call_command

ROOT: Final = Path(__file__).resolve().parent.parent
PROGRAMS: Final = Path(sys.executable).parent
LONGEST_FILE_LINES: Final = {".py": 400, ".html": 250, ".js": 400, ".css": 900}
LOCKS: Final = ("requirements", "requirements-test")
SOURCES: Final = ("manage.py", "snapcopy_site", "policies", "jobs", "tests")


def run(program: str, *arguments: str) -> None:
    """Run a gate from the test environment; its own words are the failure."""
    done = subprocess.run(
        [PROGRAMS / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=580
    )
    if done.returncode:
        pytest.fail(f"{program} {' '.join(arguments)}\n{done.stdout}{done.stderr}", pytrace=False)


def own_files(*patterns: str) -> list[Path]:
    """Files that belong to the project: what git knows or would add, else what lies in the source folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        folders = [ROOT / name for name in (*SOURCES, "templates", "static", ".ci")]
        found = [*ROOT.glob("*.*"), *(file for folder in folders for file in folder.rglob("*"))]
        found = [file for file in found if not patterns or any(file.match(pattern) for pattern in patterns)]
    return [file for file in found if file.is_file() and "__pycache__" not in file.parts]


def test_every_file_is_formatted() -> None:
    run("ruff", "format", "--check", *SOURCES)


def test_ruff_finds_nothing() -> None:
    run("ruff", "check", *SOURCES)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_type_is_right() -> None:
    run("mypy", *SOURCES)


def test_a_floor_uses_only_floors_below() -> None:
    run("lint-imports")


def test_templates_are_formatted() -> None:
    run("djade", "--check", *map(str, own_files("*.html")))


def test_templates_hold_no_faults() -> None:
    run("djlint", "--lint", "--quiet", "templates")


@pytest.mark.django_db
def test_no_model_changed_without_a_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_no_file_attracts_everything() -> None:
    long = {}
    for file in own_files("*.py", "*.html", "*.css", "*.js"):
        lines = len(file.read_bytes().splitlines())
        if lines > LONGEST_FILE_LINES[file.suffix] and not {"vendor", "migrations"} & set(file.parts):
            long[str(file.relative_to(ROOT))] = lines
    assert long == {}


def test_every_python_file_says_what_lives_in_it() -> None:
    silent = []
    for file in own_files("*.py"):
        module = ast.parse(file.read_text())
        if module.body and "migrations" not in file.parts and not ast.get_docstring(module):
            silent.append(str(file.relative_to(ROOT)))
    assert silent == []


def test_nothing_names_a_machine_or_a_registry() -> None:
    # Put together here, so that this file does not hold what it looks for.
    places = (
        "/work" + "/",
        "/ro" + "ot/.",
        "/home" + "/user",
        "py" + "pi.org",
        "pythonhosted" + ".org",
        "index" + "-url",
        "npm" + "js.org",
    )
    wanted = re.compile("|".join(re.escape(place) for place in places))
    found = []
    for file in own_files():
        if file.suffix in {".png", ".ico", ".woff2"}:
            continue
        found += [f"{file.relative_to(ROOT)}: {hit}" for hit in set(wanted.findall(file.read_text(errors="replace")))]
    assert found == []


def test_nothing_is_left_unfinished() -> None:
    marks = re.compile(
        "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X:", "raise NotImplemented" + "Error", "lorem" + " ipsum"))
    )
    found = [
        str(file.relative_to(ROOT)) for file in own_files("*.py", "*.html", "*.md") if marks.search(file.read_text())
    ]
    assert found == []


def test_the_lock_files_hold_hashes_and_no_addresses() -> None:
    for name in LOCKS:
        text = (ROOT / f"{name}.lock").read_text()
        assert "://" not in text
        pinned = re.findall(r"^\S+==\S+", text, re.MULTILINE)
        assert len(pinned) > 20
        assert text.count("--hash=sha256:") >= len(pinned)


def test_what_tests_install_apart_is_held_by_hashes_and_has_no_address() -> None:
    for lock in (ROOT / "tests").rglob("*.lock"):
        text = lock.read_text()
        assert "://" not in text
        pins = re.split(r"^(?=\S+==)", text, flags=re.MULTILINE)[1:]
        assert pins
        assert all("--hash=sha256:" in pin for pin in pins)
    for lock in (ROOT / "tests").rglob("package-lock.json"):
        packages = json.loads(lock.read_text())["packages"]
        assert all("integrity" in package and "resolved" not in package for name, package in packages.items() if name)


def test_the_test_lock_contains_the_product_lock() -> None:
    pins = [set(re.findall(r"^\S+==\S+", (ROOT / f"{name}.lock").read_text(), re.MULTILINE)) for name in LOCKS]
    assert pins[0] <= pins[1]
