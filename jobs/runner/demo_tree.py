"""The sample data: a small office's files, the changes between snapshots, and one file that really cannot be read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SEED: Final = 20260104
_WORDS: Final = (
    *("snapshot", "policy", "copy", "media", "node", "file", "server", "level", "full", "incremental", "restore"),
    *("chain", "retention", "base", "queue", "lease", "phase", "window", "owner", "ledger", "invoice", "order"),
    *("offer", "draft", "minutes", "survey", "plan", "budget", "report", "summary"),
)
DOCUMENTS: Final = "documents"
UNREADABLE: Final = "finance/ledger-open.db"


def build(source: Path) -> None:
    """A fresh tree of about 1,200 files and 40 MB: texts, pictures, logs, a large archive, links of both kinds."""
    shutil.rmtree(source, ignore_errors=True)
    chance = random.Random(_SEED)  # noqa: S311 - sample data, no secret
    for number in range(900):
        _write(source / DOCUMENTS / f"{2020 + number % 7}" / f"note-{number:04}.txt", _text(chance, 120 + number % 700))
    for number in range(240):
        _write(source / "pictures" / f"album-{number % 12:02}" / f"IMG_{number:04}.jpg", chance.randbytes(60_000))
    for number in range(30):
        _write(source / "logs" / f"web-{number:02}.log", _text(chance, 20_000))
    for number in range(12):
        _write(source / "finance" / f"month-{number + 1:02}.csv", _table(chance, 3_000))
    _write(source / UNREADABLE, chance.randbytes(200_000))
    _write(source / "archive" / "mail.mbox", _text(chance, 900_000))
    os.symlink("../documents/2026", source / "archive" / "this-year")
    os.link(source / "pictures/album-00/IMG_0000.jpg", source / "archive" / "cover.jpg")


def change(source: Path, *, round_number: int) -> None:
    """What a day does to an office: some files edited, some new, some gone, one appended, one renamed."""
    chance = random.Random(_SEED + round_number)  # noqa: S311 - sample data, no secret
    for path in chance.sample(sorted((source / DOCUMENTS).rglob("note-*.txt")), 25):
        _write(path, _text(chance, 400))
    for path in chance.sample(sorted((source / "pictures").rglob("*.jpg")), 5):
        path.unlink()
    for number in range(40):
        _write(source / DOCUMENTS / "2026" / f"day-{round_number}-{number:03}.txt", _text(chance, 300))
    with open(source / "logs" / "web-29.log", "ab") as log:
        log.write(_text(chance, 5_000))
    os.rename(source / "finance" / f"month-{round_number:02}.csv", source / "finance" / f"closed-{round_number:02}.csv")


@contextlib.contextmanager
def kept_by_another(path: Path) -> Iterator[bool]:
    """Hold a file as a file server holds it for a client: whoever opens it without waiting is refused, even root.

    A Linux write lease, as Samba and the NFS server take. False where the file system has none; then its rights are
    taken away, which refuses everybody but root. The kernel ends a lease that somebody else waits for after 45 s.
    """
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode & 0o7777
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            os.chmod(path, 0)
        yield not _can_be_read(path)
    finally:
        os.chmod(path, mode)
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)


def fingerprint(directory: Path) -> dict[str, str]:
    """SHA-256 of every file below a directory, by relative path."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _can_be_read(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _text(chance: random.Random, words: int) -> bytes:
    lines = [" ".join(chance.choices(_WORDS, k=12)) for _ in range(max(1, words // 12))]
    return ("\n".join(lines) + "\n").encode()


def _table(chance: random.Random, rows: int) -> bytes:
    lines = [f"{number},{chance.choice(_WORDS)},{chance.randint(100, 99_999) / 100:.2f}" for number in range(rows)]
    return ("\n".join(["number,subject,amount", *lines]) + "\n").encode()
