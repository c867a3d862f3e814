"""A copy goes only into the repository it is meant for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.engine.errors import RepositoryMissing
from tests.engine.copying import Copier


def test_a_swapped_repository_is_noticed_and_nothing_is_written(tmp_path: Path) -> None:
    copier = Copier(tmp_path)
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    plan = replace(copier.plan(source), repository_id="0" * 64)
    with pytest.raises(RepositoryMissing, match="not 00000000"):
        copier.run(plan)
    assert copier.indexed == 0
    assert copier.locks == []
    assert copier.run(replace(plan, repository_id=copier.repository.id)).counters.files_new == 1
