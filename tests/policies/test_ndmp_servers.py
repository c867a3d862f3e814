"""File servers that are read as dumps: their forms, what their last Test offers, and what is refused with them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from jobs.engine.media.base import TestReport
from policies.declared.applying import apply
from policies.declared.reading import read
from policies.models import FileServer, Subclient
from policies.resolve import build_engine, incremental_limit
from policies.services import create_copy, update_file_server, update_subclient
from policies.services.stream_checks import point_warnings
from policies.services.test_reports import store_test_report
from tests.factories import backup_copy_of, make_file_server, make_media, make_policy, make_subclient
from tests.filers import FOUND, after_test, inline_policy, make_filer
from tests.policies.declared import exported

pytestmark = pytest.mark.django_db


SENT: Any = {"kind": "secondary_snap", "name": "vault", "retention": "count", "retention_count": 3}


def page(client: Client, name: str, *args: object, query: str = "") -> str:
    return client.get(reverse(f"policies:{name}", args=args) + query).content.decode()


def test_a_file_server_is_made_by_its_form_and_its_page_tells_the_settings(admin: Client) -> None:
    typed = {
        "name": "filer1",
        "engine": "ndmp",
        "max_sessions": "2",
        "is_active": "on",
        "option_host": "filer1.example",
        "option_port": "10000",
        "option_account": "backup",
        "option_password": "very secret",
        "option_auth": "md5",
        "option_profile": "auto",
        "option_backup_type": "dump",
        "option_history": "y",
        "option_environment": "ACL=1\n",
        "option_direction": "we-listen",
        "option_ports": "20-10",
    }
    refused = admin.post(reverse("policies:file_server_create"), typed)
    assert "is no range of ports" in refused.content.decode()
    made = admin.post(reverse("policies:file_server_create"), typed | {"option_ports": "10001-10010"})
    server = FileServer.objects.get()
    assert made["Location"] == reverse("policies:file_server_detail", args=[server.pk])
    told = build_engine(server).options  # type: ignore[attr-defined]
    assert (told.host, told.account, told.password.reveal()) == ("filer1.example", "backup", "very secret")
    shown = page(admin, "file_server_detail", server.pk)
    assert "after 9 in a row" in shown
    assert "As it says of itself" in shown
    assert "opens a data connection" in shown
    assert "very secret" not in shown


def test_a_password_that_the_way_to_log_in_may_not_need_is_not_called_optional(admin: Client) -> None:
    form = admin.get(reverse("policies:file_server_create"), {"kind": "ndmp"}).content.decode()
    assert "Password</label>" in form


def test_what_test_found_is_on_the_page_and_offered_by_the_forms(admin: Client) -> None:
    server = after_test(make_filer())
    shown = page(admin, "file_server_detail", server.pk)
    for words in ("/vol/vol1", "1.00 TiB", "offline", "It is slow."):
        assert words in shown
    assert '<option value="tar">' in page(admin, "file_server_edit", server.pk)
    form = page(admin, "subclient_create", query=f"?file_server={server.pk}")
    assert 'name="found_paths" value="/vol/vol1"' in form
    assert "512 GiB used" in form
    assert "/vol/vol1" not in page(admin, "subclient_create", query=f"?file_server={make_file_server().pk}")


def test_paths_are_ticked_or_typed_and_a_page_of_the_form_shows_them_so_again(admin: Client) -> None:
    server, policy = after_test(make_filer()), inline_policy()
    typed = {"file_server": server.pk, "name": "home", "policy": policy.pk, "is_active": "on"}
    none = admin.post(reverse("policies:subclient_create"), typed | {"content_paths": ""})
    assert "Type at least one path" in none.content.decode()
    paths = {"found_paths": ["/vol/vol2"], "content_paths": "/vol/vol1/projects"}
    answer = admin.post(reverse("policies:subclient_create"), typed | paths, follow=True)
    subclient = Subclient.objects.get()
    assert subclient.content_paths == ["/vol/vol2", "/vol/vol1/projects"]
    assert "is not on the machine of this web server" not in answer.content.decode()
    form = page(admin, "subclient_edit", subclient.pk)
    assert re.search(r'value="/vol/vol2"[^>]* checked', form)
    assert not re.search(r'value="/vol/vol1"[^>]* checked', form)
    assert ">\n/vol/vol1/projects</textarea>" in form


@pytest.mark.parametrize("other", ["same server", "same address"])
def test_one_path_in_two_subclients_is_refused_for_their_levels_sake(other: str) -> None:
    first = make_filer()
    server = first if other == "same server" else make_filer("again", host="FILER1.example")
    policy = inline_policy()
    home = make_subclient(file_server=first, policy=policy, paths=("/vol/vol1", "/vol/vol2"))
    with pytest.raises(ValidationError, match="/vol/vol1 belongs to filer1/home already"):
        make_subclient(name="twice", file_server=server, policy=policy, paths=("/vol/vol1",))
    below = make_subclient(name="below", file_server=server, policy=policy, paths=("/vol/vol1/projects",))
    with pytest.raises(ValidationError, match="spoil"):
        update_subclient(below, user=None, content_paths=["/vol/vol2"])
    update_subclient(home, user=None, content_paths=["/vol/vol1"])
    update_subclient(below, user=None, content_paths=["/vol/vol2"])


def test_another_address_that_makes_two_file_servers_one_is_refused() -> None:
    policy = inline_policy()
    make_subclient(file_server=make_filer(), policy=policy, paths=("/vol/vol1",))
    other = make_filer("other")
    make_subclient(name="same", file_server=other, policy=policy, paths=("/vol/vol1",))
    with pytest.raises(ValidationError, match="belongs to filer1/home already"):
        update_file_server(other, user=None, options=other.options | {"host": "filer1.example"})


def test_a_file_server_with_tokens_may_have_one_path_in_two_subclients() -> None:
    server, policy = after_test(make_filer(), profile="ontap"), inline_policy()
    make_subclient(file_server=server, policy=policy, paths=("/vol/vol1",))
    make_subclient(name="second", file_server=server, policy=policy, paths=("/vol/vol1",))


def test_l2_the_form_lowers_the_limit_and_never_raises_it() -> None:
    server = make_filer()
    assert incremental_limit(server) == 9
    with pytest.raises(ValidationError, match="knows 9 levels"):
        update_file_server(server, user=None, max_incrementals=10)
    update_file_server(server, user=None, max_incrementals=4)
    assert incremental_limit(server) == 4
    after_test(server, profile="ontap")
    update_file_server(server, user=None, max_incrementals=None)
    assert incremental_limit(server) == 31


def test_nothing_is_sent_from_a_file_server_that_keeps_no_snapshots() -> None:
    server, policy = make_filer(), inline_policy()
    make_subclient(file_server=server, policy=policy, paths=("/vol/vol1",))
    vault = make_file_server(name="vault")
    with pytest.raises(ValidationError, match="no snapshots that could be sent"):
        create_copy(
            policy,
            user=None,
            kind="secondary_snap",
            name="vault",
            target_server=vault,
            retention="count",
            retention_count=3,
        )
    with pytest.raises(ValidationError, match="takes no snapshots"):
        create_copy(
            make_policy(name="other"),
            user=None,
            kind="secondary_snap",
            name="v",
            target_server=server,
            retention="count",
            retention_count=3,
        )
    sending = inline_policy("sending")
    create_copy(
        sending,
        user=None,
        kind="secondary_snap",
        name="vault",
        target_server=vault,
        retention="count",
        retention_count=3,
    )
    with pytest.raises(ValidationError, match="would have nothing to send"):
        make_subclient(name="b", file_server=server, policy=sending, paths=("/vol/vol2",))


def test_l4_only_one_copy_reads_the_file_server_and_feeds_the_others() -> None:
    server, policy = make_filer(), inline_policy()
    make_subclient(file_server=server, policy=policy, paths=("/vol/vol1",))
    offsite = make_media(name="offsite")
    with pytest.raises(ValidationError, match="“backup” does") as refused:
        create_copy(policy, user=None, name="second", media=offsite)
    assert "source" in refused.value.message_dict
    create_copy(policy, user=None, name="second", media=offsite, source=backup_copy_of(policy))
    two = inline_policy("two")
    create_copy(two, user=None, name="also", media=make_media(name="third"))
    with pytest.raises(ValidationError, match="spoil the levels"):
        make_subclient(name="b", file_server=server, policy=two, paths=("/vol/vol2",))


def test_a_policy_that_copies_later_or_not_at_all_is_warned_of(admin: Client) -> None:
    server = make_filer()
    assert not point_warnings(inline_policy())
    without = point_warnings(make_policy(name="none"))
    assert "no backup copy" in without[0]
    assert "makes no catalog" in without[1]
    later = make_policy(name="later", media=make_media())
    typed = {
        "file_server": server.pk,
        "name": "home",
        "policy": later.pk,
        "content_paths": "/vol/vol1",
        "is_active": "on",
    }
    answer = admin.post(reverse("policies:subclient_create"), typed, follow=True)
    assert "holds the files of that moment" in answer.content.decode()


def test_apply_and_export_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_FILER", "from the variable")
    text = """
version: 1
file_servers:
  - name: filer1
    engine: ndmp
    max_sessions: 2
    options: {host: filer1.example, profile: ontap, environment: [ACL=1], data_addresses: [10.0.0.0/8]}
    secrets:
      password: {env: TEST_FILER}
"""
    assert apply(read(text))
    server = FileServer.objects.get()
    assert build_engine(server).options.password.reveal() == "from the variable"  # type: ignore[attr-defined]
    assert incremental_limit(server) == 31
    assert not apply(read(text))
    assert "from the variable" not in str(exported())
    store_test_report(server, TestReport(steps=(), facts=FOUND))
    assert "vol1" not in str(exported()), "what was found is no setting"
