"""What pressing **Test** does on every medium: a probe file is written, read back, listed and deleted, and measured."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from ..errors import DeletionRefused, EngineError
from .base import Media, TestReport, TestStep, Usage

PROBE_BYTES: Final = 2**20
_KEPT_PROBE: Final = b"SnapCopy looked whether this medium works.\n"
"""What stays where nothing is deleted: always the same, so that many Tests leave one small file."""


def run_probe(media: Media, *, prepare: Callable[[], object], place: str, keeps_files: bool = False) -> TestReport:
    """Run all steps until one fails; never raises an engine error. ``prepare`` reaches the ``place``.

    The probe is named like a pack, by its SHA-256: some servers take nothing else, and a prune removes one that a cut
    left behind. ``keeps_files``: the medium deletes nothing.
    """
    content = _KEPT_PROBE if keeps_files else os.urandom(PROBE_BYTES)
    digest = hashlib.sha256(content).hexdigest()
    folder = f"data/{digest[:2]}"
    name = f"{folder}/{digest}"
    usage: list[Usage] = []

    def read_back() -> str:
        if media.get(name) != content:
            raise EngineError("The probe file came back changed.", hint="Do not use this medium.")
        return f"{_size(len(content))} read back, identical"

    def find() -> str:
        if (name, len(content)) not in media.list(folder):
            raise EngineError("The probe file is not listed.", hint="Do not use this medium.")
        return "the probe file is listed"

    def remove() -> str:
        try:
            media.delete(name)
        except DeletionRefused as error:
            if error.until_ns is not None:
                ends = datetime.fromtimestamp(error.until_ns / 1e9, tz=UTC)
                return f"what is written now stays until {ends:%Y-%m-%d %H:%M} UTC: nothing of it is pruned before"
            return "the medium keeps what was written: copies work, and nothing is pruned"
        if media.exists(name):
            raise EngineError("The probe file is still there after its deletion.", hint="Do not use this medium.")
        return "the probe file is gone"

    def measure() -> str:
        usage.append(media.usage())
        free, total = usage[0].free_bytes, usage[0].total_bytes
        if free is None or total is None:
            return "this medium does not tell its size"
        return f"{_size(free)} free of {_size(total)}"

    def reach() -> str:
        prepare()
        return place

    def write() -> str:
        media.put(name, [content])
        return f"{_size(len(content))} written"

    steps: list[TestStep] = []
    for label, action in (("reach", reach), ("write", write), ("read", read_back), ("list", find), ("delete", remove)):
        steps.append(_step(label, action))
        if not steps[-1].ok:
            break
    if steps[0].ok:
        steps.append(_step("free space", measure))
        _clean_up(media, name, steps)
    return TestReport(steps=tuple(steps), usage=usage[0] if usage else None)


def _step(label: str, action: Callable[[], str]) -> TestStep:
    started = time.perf_counter()
    try:
        detail = action()
    except EngineError as error:
        return TestStep(
            name=label, ok=False, seconds=time.perf_counter() - started, detail=error.sentence, hint=error.hint
        )
    seconds = time.perf_counter() - started
    return TestStep(name=label, ok=True, seconds=seconds, detail=f"{detail} ({_duration(seconds)})")


def _clean_up(media: Media, name: str, steps: list[TestStep]) -> None:
    """A probe that failed half-way must not stay; its own failure was already told."""
    if any(step.name == "delete" for step in steps):
        return
    try:
        media.delete(name)
    except EngineError:
        return


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}".replace(".0 ", " ")
        size /= 1024
    raise AssertionError
