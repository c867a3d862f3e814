"""Reconciliation in the browser: the cards, the decisions, who may, and what it costs (RULES V4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from jobs.models import Job, JobState, Operation, SnapshotState
from jobs.selectors import jobs_needing_attention
from jobs.services.reconcile import ACCEPT, DELETE, IMPORT
from policies import services as configuration
from policies.models import Subclient, UserScope
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.job_factories import make_job, make_node, make_snapshot
from tests.jobs.farm import configure


@pytest.fixture
def subclient(db: None, redis_url: str, tmp_path: Path) -> Subclient:
    make_node()
    return configure(tmp_path)


def enter(role: Role, **values: object) -> Client:
    client = Client()
    client.force_login(make_user(role, **values))  # type: ignore[arg-type]
    return client


def found(subclient: Subclient, *, name: str = "sc-abcd-9-1", **values: object) -> Job:
    """A reconciliation that found one unknown snapshot."""
    unknown = {
        "name": name,
        "taken_at": "2026-03-04T05:06:07+00:00",
        "content": subclient.content_paths,
        "subclient": subclient.path,
        "subclient_id": subclient.pk,
        "was_deleted": False,
        "is_replica": False,
        **values,
    }
    result = {
        "file_server": subclient.file_server.name,
        "listed": 4,
        "recorded": 3,
        "agrees": False,
        "missing": [
            {
                "name": "sc-abcd-8-1",
                "subclient": subclient.path,
                "taken_at": "2026-03-01T05:06:07+00:00",
                "where": "",
                "means": "Skipped (missing) towards backup.",
            }
        ],
        "missing_count": 1,
        "returned": [],
        "returned_count": 0,
        "unknown": [unknown],
        "unknown_count": 1,
    }
    return make_job(
        operation=Operation.RECONCILE,
        state=JobState.COMPLETED,
        file_server_label=subclient.file_server.name,
        parameters={"file_server": subclient.file_server_id},
        result=result,
    )


def test_V4_the_pages_show_what_was_found_and_what_can_be_done(subclient: Subclient) -> None:
    job = found(subclient)
    server = reverse("policies:file_server_detail", args=[subclient.file_server_id])
    own = reverse("subclient", args=[subclient.file_server.name, subclient.name])
    admin, viewer = enter(Role.ADMIN), enter(Role.VIEWER)
    for page in (server, own):
        shown = admin.get(page).content.decode()
        assert "1 missing. 1 unknown." in shown
        for words in ("sc-abcd-9-1", "Unknown to the database", "Reconcile now", "Import", "Delete"):
            assert words in shown
        seen = viewer.get(page).content.decode()
        assert "sc-abcd-9-1" in seen
        assert "Reconcile now" not in seen
    card = admin.get(reverse("job", args=[job.pk])).content.decode()
    for words in ("What differs", "Skipped (missing) towards backup.", "Unknown", "Missing"):
        assert words in card


def test_V4_reconcile_import_and_delete_are_launched(subclient: Subclient) -> None:
    found(subclient)
    client = enter(Role.ADMIN)
    here = [subclient.file_server_id]
    client.post(reverse("storage-import", args=here), {"name": "sc-abcd-9-1", "subclient": subclient.pk})
    job = Job.objects.latest("pk")
    assert job.parameters[IMPORT] == {"sc-abcd-9-1": subclient.pk}
    Job.objects.filter(pk=job.pk).delete()
    question = client.get(f"{reverse('storage-delete', args=here)}?name=sc-abcd-9-1").content.decode()
    assert "what only this snapshot holds is gone" in question
    client.post(f"{reverse('storage-delete', args=here)}?name=sc-abcd-9-1")
    job = Job.objects.latest("pk")
    assert job.parameters[DELETE] == ["sc-abcd-9-1"]
    Job.objects.filter(pk=job.pk).delete()
    client.post(reverse("storage-reconcile", args=here), {"accept": "1"})
    job = Job.objects.latest("pk")
    assert job.parameters[ACCEPT] is True
    Job.objects.filter(pk=job.pk).delete()
    answer = client.post(reverse("subclient-reconcile", args=[subclient.file_server.name, subclient.name]))
    assert answer["Location"] == reverse("job", args=[Job.objects.latest("pk").pk])


def test_V4_only_what_was_found_is_imported_and_a_subclient_is_chosen(subclient: Subclient) -> None:
    found(subclient)
    client = enter(Role.ADMIN)
    here = [subclient.file_server_id]
    assert client.post(reverse("storage-import", args=here), {"name": "sc-abcd-1-1"}).status_code == 404
    assert client.get(f"{reverse('storage-delete', args=here)}?name=sc-abcd-1-1").status_code == 404
    answer = client.post(reverse("storage-import", args=here), {"name": "sc-abcd-9-1"}, follow=True)
    assert "Choose the subclient that sc-abcd-9-1 becomes a snapshot of." in answer.content.decode()
    assert Job.objects.count() == 1


def test_who_may_and_who_does_not_even_see(subclient: Subclient) -> None:
    found(subclient)
    here = [subclient.file_server_id]
    assert enter(Role.VIEWER).post(reverse("storage-reconcile", args=here)).status_code == 403
    operator = enter(Role.OPERATOR)
    assert operator.get(f"{reverse('storage-delete', args=here)}?name=sc-abcd-9-1").status_code == 403
    user = make_user(Role.OPERATOR, username="of-one-subclient")
    scope = UserScope.objects.create(user=user)
    scope.subclients.add(subclient)
    client = Client()
    client.force_login(user)
    assert client.post(reverse("storage-reconcile", args=here)).status_code == 404
    page = client.get(reverse("subclient", args=[subclient.file_server.name, subclient.name])).content.decode()
    assert "sc-abcd-9-1" not in page


def test_a_storage_that_is_not_seen_is_not_reconciled_with_the_others(subclient: Subclient, tmp_path: Path) -> None:
    target = configuration.create_file_server(
        name="unseen", engine="directory", options={"area": str(tmp_path / "vault")}, user=None
    )
    configuration.create_copy(subclient.policy, name="vault", kind="secondary_snap", target_server=target, user=None)
    user = make_user(Role.OPERATOR)
    UserScope.objects.create(user=user).file_servers.add(subclient.file_server)
    client = Client()
    client.force_login(user)
    client.post(reverse("subclient-reconcile", args=[subclient.file_server.name, subclient.name]))
    assert [job.file_server_label for job in Job.objects.all()] == ["server-tree"]


def test_a_doubtful_reconciliation_is_forgiven_when_a_later_one_agrees(subclient: Subclient) -> None:
    labels = {"operation": Operation.RECONCILE, "file_server_label": "server-tree"}
    doubtful = make_job(state=JobState.COMPLETED_WITH_ERRORS, **labels)
    make_job(state=JobState.COMPLETED, operation=Operation.RECONCILE, file_server_label="another")
    assert list(jobs_needing_attention()) == [doubtful]
    make_job(state=JobState.COMPLETED, **labels)
    assert not jobs_needing_attention().exists()


def test_a_missing_snapshot_says_why_in_the_chain(subclient: Subclient) -> None:
    snapshot = make_snapshot(subclient, state=SnapshotState.MISSING, missing_at="2026-03-01T00:00Z")
    snapshot.state_reason = "Job 9 found that it was deleted outside."
    snapshot.save()
    page = enter(Role.VIEWER).get(reverse("subclient", args=[subclient.file_server.name, subclient.name]))
    assert snapshot.state_reason in page.content.decode()


def test_V4_a_subclient_is_told_only_of_its_own_part(subclient: Subclient) -> None:
    other = configuration.create_subclient(
        file_server=subclient.file_server,
        name="other",
        content_paths=["/srv/other"],
        policy=subclient.policy,
        user=None,
    )
    found(subclient)
    page = enter(Role.ADMIN).get(reverse("subclient", args=["server-tree", other.name])).content.decode()
    assert "It holds what is recorded" in page
    assert "1 missing" not in page
    assert "sc-abcd-9-1" not in page


def test_the_card_takes_three_queries_more(
    subclient: Subclient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    found(subclient)
    client = enter(Role.ADMIN)
    with django_assert_max_num_queries(31):
        client.get(reverse("subclient", args=[subclient.file_server.name, subclient.name]))
