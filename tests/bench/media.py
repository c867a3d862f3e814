"""Copies to S3 and back, ours and stock restic's side by side on one server."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import object_servers

from .cases import Bench, Row
from .contenders import Contender, Restic
from .measuring import Figures, run, tree_bytes, wait_until_quiet
from .trees import make, warm

_TREES: Final = ("large-random", "large-text", "mixed")
_PASSWORD: Final = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One program on one prefix of the bucket; ``restic`` None = ours."""

    prefix: str
    cache: Path
    restic: str | None

    def init(self) -> None:
        run([self.restic, "init"] if self.restic else self._ours("init"), self._environment())

    def copy(self, source: Path) -> Figures:
        command = [self.restic, "backup", "--quiet", str(source)] if self.restic else self._ours("copy", str(source))
        return run(command, self._environment())

    def restore(self, target: Path) -> Figures:
        stock = [self.restic or "", "restore", "--quiet", "latest", "--target", str(target)]
        return run(stock if self.restic else self._ours("restore", str(target)), self._environment())

    @property
    def directory(self) -> Path:
        """Where the server keeps it."""
        return object_servers.serve_s3().root / object_servers.BUCKET / self.prefix

    def _ours(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tests.bench.over_s3", *words]

    def _environment(self) -> Mapping[str, str]:
        url = object_servers.serve_s3().url
        return {
            "AWS_ACCESS_KEY_ID": object_servers.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": object_servers.SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "RESTIC_REPOSITORY": f"s3:{url}/{object_servers.BUCKET}/{self.prefix}",
            "RESTIC_PASSWORD": _PASSWORD,
            "RESTIC_CACHE_DIR": str(self.cache),
            "BENCH_PASSWORD": _PASSWORD,
            "BENCH_ENDPOINT": url,
            "BENCH_BUCKET": object_servers.BUCKET,
            "BENCH_PREFIX": self.prefix,
            "BENCH_CACHE": str(self.cache),
        }


def media(bench: Bench) -> list[Row]:
    """First copies and their restores. The server's own time is in the wall, not in the processor time."""
    rows: list[Row] = []
    for name in _TREES:
        tree = make(name, bench.work, bench.scale)
        first = Row(title=f"S3: {name}, first copy ({tree.files:,} files, {tree.logical_bytes / 1e9:.2f} GB)")
        back = Row(title=f"S3: {name}, restore")
        for number in range(bench.rounds):
            for contender in bench.contenders:
                if contender.name != "ours" and not isinstance(contender, Restic):
                    continue
                side = _side(bench, contender, f"{name}-{contender.name}-{number}".replace(" ", "-"))
                side.init()
                warm(tree)
                wait_until_quiet(bench.patience_seconds)
                first.add(contender, side.copy(tree.path))
                first.stored[contender.name] = tree_bytes(side.directory)
                back.add(contender, side.restore(bench.new_target()))
                shutil.rmtree(side.directory)
                bench.tell(f"S3 {name} {number + 1}/{bench.rounds} {contender.name}")
        bench.clear_targets()
        rows += [first, back]
    return rows


def _side(bench: Bench, contender: Contender, prefix: str) -> _Side:
    cache = bench.work / "caches" / prefix
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    return _Side(prefix=prefix, cache=cache, restic=contender.program if isinstance(contender, Restic) else None)
