"""RULES J4: how often, when and for how long a job that met a passing failure is tried again, and who may say so."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from jobs.models import Job, JobState
from jobs.rules.retry import POLICIES, RetryPolicy
from jobs.services.finish import end_attempt
from jobs.services.outcomes import ToRetry
from jobs.services.restarts import retry_wait_seconds
from policies.models import AuditEntry, RestartPolicy
from policies.selectors.restarts import LABELS
from policies.services import reset_restart_policy, set_restart_policy
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.job_factories import make_job, make_node


@given(times=st.integers(0, 40), retries=st.integers(0, 60), elapsed=st.floats(0, 1e6), total=st.floats(1, 1e6))
def test_j4_no_retry_begins_after_the_total_running_time(
    times: int, retries: int, elapsed: float, total: float
) -> None:
    rule = RetryPolicy(times=times, total_seconds=total)
    wait = rule.wait_seconds(retries, elapsed_seconds=elapsed)
    without = RetryPolicy(times=times).wait_seconds(retries)
    if wait is None:
        assert retries >= times or elapsed + (without or 0) > total
    else:
        assert wait == without
        assert elapsed + wait <= total


def failing(*, age: timedelta = timedelta(0), now: datetime | None = None) -> Job:
    """A running restore whose storage does not answer."""
    job = make_job(
        operation="restore", state=JobState.RUNNING, node=make_node(), created_at=timezone.now() - age, retries=0
    )
    end_attempt(job.pk, attempt=1, outcome=ToRetry(code="storage-busy", sentence="The storage is busy."), now=now)
    job.refresh_from_db()
    return job


@pytest.mark.django_db
def test_j4_what_an_admin_set_is_what_jobs_do() -> None:
    set_restart_policy("restore", user=None, times=1, first_seconds=7, most_seconds=7, total_hours=2)
    now = timezone.now()
    job = failing(now=now)
    assert job.state == JobState.PENDING
    assert job.retry_at == now + timedelta(seconds=7)
    assert failing(age=timedelta(hours=1, minutes=59, seconds=58)).state == JobState.FAILED
    set_restart_policy("restore", user=None, times=0)
    assert failing().state == JobState.FAILED


@pytest.mark.django_db
def test_j4_without_a_row_the_default_is_in_force() -> None:
    job = make_job(operation="prune", state=JobState.PENDING)
    assert retry_wait_seconds(job) == POLICIES["prune"].first_seconds
    set_restart_policy("prune", user=None, times=1, first_seconds=5, most_seconds=5)
    assert retry_wait_seconds(job) == 5
    reset_restart_policy("prune", user=None)
    reset_restart_policy("prune", user=None)
    assert retry_wait_seconds(job) == POLICIES["prune"].first_seconds
    assert AuditEntry.objects.filter(object_kind="restart policy").count() == 2


@pytest.mark.django_db
def test_an_operation_that_is_none_or_a_wait_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="choose among snapshot"):
        set_restart_policy("nonsense", user=None, times=1)
    with pytest.raises(ValidationError, match="cannot be shorter"):
        set_restart_policy("prune", user=None, times=1, first_seconds=60, most_seconds=30)
    assert set(LABELS) < set(POLICIES)


@pytest.mark.django_db
def test_the_impossible_row_a_retry_without_a_wait() -> None:
    with pytest.raises(IntegrityError, match="restart_waits_from_1_s"), transaction.atomic():
        RestartPolicy.objects.create(operation="prune", times=1, first_seconds=0)


@pytest.mark.django_db
def test_an_admin_changes_it_on_its_page_and_everybody_reads_it() -> None:
    admin, viewer = Client(), Client()
    admin.force_login(make_user(Role.ADMIN))
    viewer.force_login(make_user(Role.VIEWER))
    typed = {"times": "12", "first_seconds": "60", "most_seconds": "120", "total_hours": "6"}
    where = reverse("policies:restart_edit", args=["backup_copy"])
    assert viewer.post(where, typed).status_code == 403
    assert "cannot be shorter" in admin.post(where, typed | {"most_seconds": "1"}).content.decode()
    assert "was saved" in admin.post(where, typed, follow=True).content.decode()
    page = viewer.get(reverse("policies:restart_list")).content.decode()
    assert "an admin" in page
    assert "6 h" in page
    admin.post(reverse("policies:restart_reset", args=["backup_copy"]))
    assert not RestartPolicy.objects.exists()
    assert admin.get(reverse("policies:restart_edit", args=["nonsense"])).status_code == 404
