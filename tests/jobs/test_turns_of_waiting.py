"""Many jobs wait: those that cannot be placed do not keep the others from their turn (RULES N5, J4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.models import Job, JobState
from jobs.services.sweep import place_waiting
from policies.models import AccessNode, Subclient
from tests.job_factories import make_job, make_node
from tests.jobs.farm import configure


@pytest.mark.parametrize("stuck", [3, 60, 130])
def test_N5_jobs_of_a_dead_node_do_not_hold_up_those_behind_them(
    transactional_db: None, redis_url: str, tmp_path: Path, stuck: int
) -> None:
    dead, alive = configure(tmp_path / "a", name="dead"), configure(tmp_path / "b", name="alive")
    _runs_on(dead, make_node(name="away", is_online=False))
    _runs_on(alive, make_node(name="here"))
    for _ in range(stuck):
        make_job(state=JobState.PENDING, subclient=dead)
    waiting = make_job(state=JobState.WAITING, subclient=alive)
    sweeps = [place_waiting() for _ in range(1 + stuck // 25)]
    assert sum(sweeps) == 1
    waiting.refresh_from_db()
    assert waiting.state == JobState.QUEUED
    assert not Job.objects.filter(subclient=dead).exclude(state=JobState.PENDING).exists()


def _runs_on(subclient: Subclient, node: AccessNode) -> None:
    subclient.file_server.access_nodes.set([node])
