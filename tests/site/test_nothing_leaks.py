"""A person with a scope walks every address: nothing outside is named anywhere, and its own addresses answer 404.

An address that this walk does not know fails it: say in ``TAKES`` what it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from jobs.models import Job
from policies.models import UserScope
from snapcopy_site.lib.roles import Role
from tests.factories import make_user
from tests.site.unseen_world import UNSEEN, TwoHalves, make_two_halves

pytestmark = pytest.mark.django_db

TAKES: Final = {
    # of nothing
    "": """
        media-attach-new
        age-now aging docs favicon healthz job-csv job-list job-orders job-rows job-waiting login logout mount-list
        overview overview-running password_change protect restore schedule-calendar schedule-list start-demo theme
        policies:activity policies:blackout_create policies:blackout_list policies:file_server_create
        policies:file_server_list policies:media_create policies:media_list policies:node_list policies:policy_create
        policies:policy_list policies:restart_list policies:schedule_create policies:settings
        policies:subclient_create policies:subclient_list policies:user_create policies:user_list policies:wizard
        policies:wizard_media policies:wizard_policy
        restore-search
    """,
    "subclient": """
        acknowledge-source
        browse-at
        catalog-now
        copy-now
        drill-now
        restore-diff
        restore-subclient
        restore-versions
        snapshot-now
        subclient
        subclient-live
        subclient-marks
        subclient-reconcile
    """,
    "subclient_pk": "policies:subclient_delete policies:subclient_edit",
    "snapshot": """
        browse
        change-basket
        download
        download-file
        restore-start
        snapshot-delete
        snapshot-keep-mounted
        snapshot-mount
        snapshot-revert
        snapshot-unmount
    """,
    "job": """
        job
        job-live
        job-priority
        job-resubmit
        restore-preview
        restore-preview-live
        restore-previewed
    """,
    "job_order": "job-order",
    "test": "test-live",
    "schedule": """
        schedule schedule-run policies:schedule_activate policies:schedule_delete policies:schedule_edit
    """,
    "file_server": """
        storage-delete storage-import storage-reconcile
        test-file-server policies:file_server_delete policies:file_server_detail policies:file_server_edit
    """,
    "policy": "policies:copy_create policies:policy_delete policies:policy_detail policies:policy_edit",
    "copy": "policies:copy_delete policies:copy_edit policies:copy_move",
    # of what is no part of any scope
    "media": """
        media-attach media-attach-live media-locks media-locks-clear
        media-damage media-prune media-repair media-verify test-media policies:media_delete policies:media_detail
        policies:media_edit policies:media_recovery
    """,
    "sealed": "media-rebuild",
    "node": """
        policies:node_delete policies:node_detail policies:node_drain policies:node_edit policies:node_enable
    """,
    "number": """
        policies:blackout_delete policies:blackout_edit policies:user_activate policies:user_detail policies:user_edit
        sign-in-link-new
    """,
    "word": "docs-page policies:restart_edit policies:restart_reset sign-in-link",
}
"""Which kind of argument each address takes."""

OF_A_HALF: Final = frozenset(
    {"subclient", "subclient_pk", "snapshot", "job", "job_order", "test", "schedule", "file_server", "policy", "copy"}
)
KIND_OF: Final = {name: kind for kind, names in TAKES.items() for name in names.split()}


def _names(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            yield f"{prefix}{entry.name}"
        elif entry.app_name != "admin":
            yield from _names(entry, f"{entry.namespace}:" if entry.namespace else prefix)


ALL: Final = sorted(set(_names(get_resolver())))


@pytest.fixture
def halves() -> TwoHalves:
    return make_two_halves()


@pytest.fixture(params=[Role.VIEWER, Role.OPERATOR])
def person(request: pytest.FixtureRequest, halves: TwoHalves) -> User:
    """Sees one file server of two."""
    user = make_user(request.param)
    UserScope.objects.create(user=user).file_servers.set([halves.seen.server])
    return user


@pytest.fixture
def browser(person: User) -> Client:
    client = Client(raise_request_exception=True)
    client.force_login(person)
    return client


def test_the_walk_knows_every_address() -> None:
    assert sorted(KIND_OF) == ALL


def test_no_page_names_what_is_outside_the_scope(browser: Client, halves: TwoHalves) -> None:
    args = halves.seen.args | halves.shared | {"": (), "number": (1,), "word": ("x",)}
    told = [UNSEEN, halves.unseen.snapshot.name]
    shown = 0
    for name in ALL:
        if name == "logout":
            continue
        where = reverse(name, args=args[KIND_OF[name]])
        shown += _shows_nothing_of(told, browser, where)
    for where in (*_more(halves), *_shared_addresses(halves)):
        shown += _shows_nothing_of(told, browser, where)
    assert shown > 20, "a walk that is refused everywhere proves nothing"


def test_what_is_seen_is_still_named(browser: Client, halves: TwoHalves) -> None:
    for name in ("overview", "protect", "policies:file_server_list", "policies:subclient_list", "restore", "job-list"):
        assert "seen-server" in browser.get(reverse(name)).content.decode(), name
    for name in ("policies:policy_list", "policies:media_detail"):
        page = browser.get(reverse(name, args=halves.shared["media"] if name.endswith("detail") else ()))
        assert "seen-policy" in page.content.decode(), name


def test_addresses_of_what_is_outside_answer_as_if_it_did_not_exist(browser: Client, halves: TwoHalves) -> None:
    wrong = []
    for name in ALL:
        if (kind := KIND_OF[name]) not in OF_A_HALF:
            continue
        where = reverse(name, args=halves.unseen.args[kind])
        response = browser.get(where)
        if response.status_code == 405:
            response = browser.post(where)
        is_hidden = response.status_code == 404 or (response.status_code == 403 and "needs the role" in _text(response))
        if not is_hidden:
            wrong.append((name, response.status_code))
    assert wrong == []


def test_jobs_of_everything_at_once_are_not_shown(browser: Client, halves: TwoHalves) -> None:
    for kind in ("aging_job", "media_job"):
        for name in ("job", "job-live"):
            assert browser.get(reverse(name, args=halves.shared[kind])).status_code == 404


def test_orders_for_many_jobs_leave_out_what_is_outside(halves: TwoHalves) -> None:
    user = make_user(Role.OPERATOR)
    UserScope.objects.create(user=user).file_servers.set([halves.seen.server])
    client = Client()
    client.force_login(user)
    chosen = [halves.seen.job.pk, halves.unseen.job.pk]
    answer = client.post(reverse("job-orders"), {"order": "kill", "job": chosen}, follow=True)
    assert f"There is no job {halves.unseen.job.pk}." in answer.content.decode()
    wants = {job.pk: job.want for job in Job.objects.filter(pk__in=chosen)}
    assert wants == {halves.seen.job.pk: "kill", halves.unseen.job.pk: "run"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("age-now", ""),
        ("media-prune", "media"),
        ("media-verify", "media"),
        ("media-repair", "media"),
        ("schedule-run", "policy_schedule"),
    ],
)
def test_who_has_a_scope_orders_nothing_that_reaches_beyond_it(name: str, kind: str, halves: TwoHalves) -> None:
    user = make_user(Role.OPERATOR)
    UserScope.objects.create(user=user).file_servers.set([halves.seen.server])
    client = Client()
    client.force_login(user)
    before = Job.objects.count()
    args = halves.shared[kind] if kind else ()
    answer = client.post(reverse(name, args=args))
    assert answer.status_code == 403
    assert "outside your scope" in answer.content.decode()
    assert Job.objects.count() == before


def test_the_verdict_counts_only_what_is_seen(browser: Client) -> None:
    page = browser.get(reverse("overview")).content.decode()
    assert "of 1 subclient protected" in page


def test_a_scope_that_holds_nothing_gets_a_page_that_says_so(halves: TwoHalves) -> None:
    user = make_user(Role.VIEWER)
    UserScope.objects.create(user=user)
    client = Client()
    client.force_login(user)
    assert "Nothing is in your scope" in client.get(reverse("overview")).content.decode()


def _shows_nothing_of(told: list[str], browser: Client, where: str) -> bool:
    """Whether it was a page at all."""
    response = browser.get(where)
    assert response.status_code < 500 or response.status_code == 503, where
    text = _text(response)
    for word in told:
        assert word not in text, f"{where} names {word}: …{text[max(0, text.find(word) - 200) :][:300]}…"
    return response.status_code == 200


def _text(response: object) -> str:
    streamed = getattr(response, "streaming_content", None)
    content: bytes = b"".join(streamed) if streamed is not None else getattr(response, "content", b"")
    return content.decode("utf-8", "replace")


def _more(halves: TwoHalves) -> list[str]:
    """Addresses whose query asks for what is outside."""
    unseen, seen = halves.unseen, halves.seen
    run = unseen.schedule.runs.get()
    return [
        f"{reverse('job-list')}?subclient={unseen.subclient.pk}",
        f"{reverse('job-list')}?state=attention",
        f"{reverse('job-list')}?state=active",
        f"{reverse('job-list')}?run={run.pk}",
        f"{reverse('job-csv')}?run={run.pk}",
        f"{reverse('policies:activity')}?kind=subclient",
        f"{reverse('policies:activity')}?kind=storage+policy",
        f"{reverse('browse', args=[seen.snapshot.pk])}?copy={unseen.copy.pk}",
    ]


def _shared_addresses(halves: TwoHalves) -> list[str]:
    return [reverse("schedule", args=halves.shared[kind]) for kind in ("policy_schedule", "open_schedule")]
