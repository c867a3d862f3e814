"""RULES J3 in bulk and J5: orders for many jobs, each answering for itself; waiting jobs in order of priority."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job, JobState, Operation, Want
from jobs.selectors import jobs_to_place
from jobs.selectors_pages.waiting import in_line, place_of
from jobs.services import CannotControl
from jobs.services.bulk import Order, order_jobs
from jobs.services.priority import set_priority
from policies.models import AuditEntry, Subclient
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.job_factories import make_job, make_node
from tests.jobs.farm import configure


@pytest.fixture
def subclient(db: None, redis_url: str, tmp_path: Path) -> Subclient:
    return configure(tmp_path)


def client(role: Role) -> Client:
    made = Client()
    made.force_login(make_user(role))
    return made


def states(*jobs: Job) -> list[str]:
    for job in jobs:
        job.refresh_from_db()
    return [job.state for job in jobs]


def test_j3_each_job_answers_for_itself(subclient: Subclient) -> None:
    waiting = make_job(operation=Operation.RESTORE, state=JobState.WAITING, subclient=subclient)
    running = make_job(state=JobState.RUNNING, subclient=subclient, node=make_node())
    over = make_job(state=JobState.COMPLETED, subclient=subclient)
    answers = order_jobs([over.pk, waiting.pk, running.pk, 10**9], Order.KILL)
    assert [(answer.job_id, answer.is_done) for answer in answers] == [
        (waiting.pk, True),
        (running.pk, True),
        (over.pk, False),
        (10**9, False),
    ]
    assert "already over: completed" in answers[2].sentence
    assert answers[3].sentence == f"There is no job {10**9}."
    assert states(waiting, over) == [JobState.KILLED, JobState.COMPLETED]
    running.refresh_from_db()
    assert running.want == Want.KILL


@pytest.mark.parametrize(
    ("order", "state", "after"),
    [
        (Order.SUSPEND, JobState.WAITING, JobState.SUSPENDED),
        (Order.RESUME, JobState.SUSPENDED, JobState.PENDING),
        (Order.KILL, JobState.PENDING, JobState.KILLED),
        (Order.ACKNOWLEDGE, JobState.FAILED, JobState.FAILED),
    ],
)
def test_j3_every_order_reaches_the_jobs_that_can_take_it_and_the_others_stay_as_they_are(
    subclient: Subclient, order: Order, state: JobState, after: JobState
) -> None:
    able = [make_job(operation=Operation.RESTORE, state=state, subclient=subclient) for _ in range(2)]
    unable = make_job(operation=Operation.SNAPSHOT, state=JobState.COMPLETED, subclient=subclient)
    answers = order_jobs([job.pk for job in [*able, unable]], order)
    assert [answer.is_done for answer in answers] == [True, True, False]
    assert states(*able, unable) == [after, after, JobState.COMPLETED]


def test_j3_jobs_are_resubmitted_in_bulk(subclient: Subclient) -> None:
    failed = make_job(operation=Operation.SNAPSHOT, state=JobState.FAILED, subclient=subclient, asked_level="full")
    busy = make_job(operation=Operation.TEST, state=JobState.RUNNING, node=make_node())
    answers = order_jobs([failed.pk, busy.pk], Order.RESUBMIT)
    again = Job.objects.latest("pk")
    assert (again.operation, again.asked_level) == (Operation.SNAPSHOT, "full")
    assert [answer.sentence for answer in answers] == [
        f"Job {failed.pk} runs again as job {again.pk}.",
        f"Job {busy.pk} is not over yet.",
    ]


def test_the_page_says_what_became_of_each(subclient: Subclient) -> None:
    operator = client(Role.OPERATOR)
    jobs = [make_job(operation=Operation.RESTORE, state=JobState.WAITING, subclient=subclient) for _ in range(3)]
    over = make_job(state=JobState.COMPLETED, subclient=subclient)
    page = operator.get(reverse("job-list")).content.decode()
    assert f'id="choose-{over.pk}"' in page
    posted = {"order": "suspend", "job": [job.pk for job in [*jobs, over]], "next": reverse("job-list")}
    answer = operator.post(reverse("job-orders"), posted, follow=True).content.decode()
    assert "3 jobs: told to stop at the next checkpoint." in answer
    assert f"Job {over.pk} is already over: completed." in answer
    assert "No job was chosen" in operator.post(reverse("job-orders"), {"order": "kill"}, follow=True).content.decode()
    assert operator.post(reverse("job-orders"), {"order": "nonsense"}).status_code == 404


def test_a_viewer_gives_no_orders(subclient: Subclient) -> None:
    viewer = client(Role.VIEWER)
    job = make_job(operation=Operation.RESTORE, state=JobState.WAITING, subclient=subclient)
    assert "data-choice" not in viewer.get(reverse("job-list")).content.decode()
    assert viewer.post(reverse("job-orders"), {"order": "kill", "job": [job.pk]}).status_code == 403
    assert viewer.post(reverse("job-priority", args=[job.pk]), {"priority": "1"}).status_code == 403
    assert states(job) == [JobState.WAITING]


def test_j5_waiting_jobs_stand_in_line_for_what_they_wait_for(subclient: Subclient) -> None:
    def waiting(reason: str, **values: Any) -> Job:
        return make_job(operation=Operation.RESTORE, state=JobState.WAITING, state_reason=reason, **values)

    first, second = waiting("No free slot on n1."), waiting("No free slot on n1.")
    other = waiting("No free slot on n2.")
    urgent = waiting("No free slot on n1.", priority=10)
    later = make_job(
        operation=Operation.RESTORE,
        state=JobState.PENDING,
        state_reason="The storage is busy.",
        retry_at=timezone.now() + timedelta(minutes=5),
    )
    parent = waiting("Its copies run.", awaits_children=True)
    rows = in_line(make_user(Role.VIEWER))
    assert [row.job for row in rows] == [urgent, first, second, other, later]
    assert [row.ordinal for row in rows] == ["1st in line", "2nd in line", "3rd in line", "1st in line", ""]
    assert rows[2].words == "3rd in line: No free slot on n1."
    assert [row.job for row in rows[:4]] == list(jobs_to_place()), "the order shown is the order of the scheduler"
    found = place_of(second)
    assert found is not None
    assert found.place == 3
    assert place_of(parent) is None


def test_j5_an_operator_changes_the_priority_of_a_job_that_waits(subclient: Subclient) -> None:
    operator = client(Role.OPERATOR)
    waiting = [make_job(operation=Operation.RESTORE, state=JobState.WAITING, state_reason="full") for _ in range(2)]
    where = reverse("job-priority", args=[waiting[1].pk])
    assert "has priority 5" in operator.post(where, {"priority": "5"}, follow=True).content.decode()
    assert [row.job for row in in_line(make_user(Role.VIEWER))] == waiting[::-1]
    assert AuditEntry.objects.get(action="operated").changes == {"priority": [100, 5]}
    assert "from 1 (first) to 999 (last)" in operator.post(where, {"priority": "-3"}, follow=True).content.decode()
    page = operator.get(reverse("job-waiting")).content.decode()
    assert page.index(f"job {waiting[1].pk}") < page.index(f"job {waiting[0].pk}")
    assert "2nd in line" in operator.get(reverse("job", args=[waiting[0].pk])).content.decode()


def test_j5_a_job_that_no_longer_waits_keeps_its_priority(subclient: Subclient) -> None:
    running = make_job(state=JobState.RUNNING, subclient=subclient, node=make_node())
    with pytest.raises(CannotControl, match="does not wait any more, it is running"):
        set_priority(running, priority=1)


def test_the_list_of_waiting_jobs_costs_one_query_however_long(
    subclient: Subclient, django_assert_num_queries: Any
) -> None:
    viewer = client(Role.VIEWER)
    assert "No job waits" in viewer.get(reverse("job-waiting")).content.decode()
    for _ in range(30):
        make_job(operation=Operation.RESTORE, state=JobState.WAITING, state_reason="full", subclient=subclient)
    with django_assert_num_queries(3 + 1):
        viewer.get(reverse("job-waiting"))
