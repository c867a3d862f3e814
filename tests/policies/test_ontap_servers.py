"""File servers of the ONTAP engine: their form, what their last Test offers, apply and export. Nobody is asked."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs.engine.media.base import TestReport, TestStep
from jobs.engine.plan import Secret
from policies.declared.applying import apply
from policies.declared.reading import read
from policies.models import FileServer, Subclient
from policies.resolve import build_engine
from policies.services import create_file_server
from policies.services.test_reports import store_test_report
from tests.factories import make_policy
from tests.policies.declared import exported

pytestmark = pytest.mark.django_db

TYPED = {
    "name": "cluster1",
    "engine": "ontap",
    "max_sessions": "4",
    "is_active": "on",
    "option_host": "cluster1.example",
    "option_port": "443",
    "option_svm": "svm1",
    "option_account": "snapcopy",
    "option_password": "very secret",
    "option_namespace_mount": "/mnt/svm1",
    "option_fingerprint": "12:34",
    "option_timeout_seconds": "120",
}
FOUND: dict[str, Any] = {
    "cluster": "cluster1",
    "file_systems": [
        {
            "path": "/mnt/svm1/vol1",
            "kind": "flexvol",
            "total_bytes": 2**40,
            "used_bytes": 2**39,
            "status": "online",
            "snapshots": 830,
            "reading": "its snapshot directory",
        },
        {
            "path": "/mnt/svm1/vol2",
            "kind": "flexgroup",
            "total_bytes": None,
            "used_bytes": None,
            "status": "online",
            "snapshots": 1,
            "reading": "a FlexClone",
        },
    ],
}


def make_cluster() -> FileServer:
    server = create_file_server(
        user=None,
        name="cluster1",
        engine="ontap",
        options={"host": "cluster1.example", "svm": "svm1", "namespace_mount": "/mnt/svm1"},
        secrets={"password": Secret("very secret")},
    )
    step = TestStep(name="login", ok=True, seconds=0.1)
    store_test_report(server, TestReport(steps=(step,), facts=FOUND, warnings=("Near the limit: vol1.",)))
    return server


def page(client: Client, name: str, *args: object, query: str = "") -> str:
    return client.get(reverse(f"policies:{name}", args=args) + query).content.decode()


def test_a_file_server_is_made_by_its_form_and_the_password_is_never_shown(admin: Client) -> None:
    assert "NetApp ONTAP" in page(admin, "file_server_create")
    refused = admin.post(reverse("policies:file_server_create"), TYPED)
    assert "is no SHA-256 fingerprint" in refused.content.decode()
    made = admin.post(reverse("policies:file_server_create"), TYPED | {"option_fingerprint": "AB:" * 31 + "AB"})
    server = FileServer.objects.get()
    assert made["Location"] == reverse("policies:file_server_detail", args=[server.pk])
    told = build_engine(server).options  # type: ignore[attr-defined]
    assert (told.host, told.svm, told.password.reveal()) == ("cluster1.example", "svm1", "very secret")
    shown = page(admin, "file_server_detail", server.pk)
    assert "/mnt/svm1" in shown
    assert "very secret" not in shown
    assert "very secret" not in page(admin, "file_server_edit", server.pk)


def test_volumes_that_test_found_are_on_the_page_and_can_be_ticked(admin: Client) -> None:
    server, policy = make_cluster(), make_policy(name="gold")
    shown = page(admin, "file_server_detail", server.pk)
    for words in ("/mnt/svm1/vol1", "1.00 TiB", "830", "FlexClone", "Near the limit: vol1."):
        assert words in shown
    form = page(admin, "subclient_create", query=f"?file_server={server.pk}")
    assert 'name="found_paths" value="/mnt/svm1/vol1"' in form
    assert "830 snapshots" in form
    assert "1 snapshot<" in form
    assert "Each is a dump" not in form
    typed = {"file_server": server.pk, "name": "home", "policy": policy.pk, "is_active": "on"}
    paths = {"found_paths": ["/mnt/svm1/vol1"], "content_paths": "/mnt/svm1/vol2/projects"}
    admin.post(reverse("policies:subclient_create"), typed | paths)
    assert Subclient.objects.get().content_paths == ["/mnt/svm1/vol1", "/mnt/svm1/vol2/projects"]


def test_apply_and_export_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_CLUSTER", "from the variable")
    text = """
version: 1
file_servers:
  - name: cluster1
    engine: ontap
    options: {host: cluster1.example, svm: svm1, namespace_mount: /mnt/svm1, snapmirror_label: weekly}
    secrets:
      password: {env: TEST_CLUSTER}
"""
    assert apply(read(text))
    server = FileServer.objects.get()
    assert build_engine(server).options.snapmirror_label == "weekly"  # type: ignore[attr-defined]
    assert not apply(read(text))
    assert "from the variable" not in str(exported())
