"""File servers of the PowerStore engine: their form, what their last Test offers, apply and export. Nobody is asked."""

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
    "name": "nas1",
    "engine": "powerstore",
    "max_sessions": "4",
    "is_active": "on",
    "option_host": "powerstore1.example",
    "option_port": "443",
    "option_account": "snapcopy",
    "option_password": "very secret",
    "option_nas_server": "nas1",
    "option_mount": "/mnt/nas1",
    "option_reading": "export",
    "option_timeout_seconds": "60",
}
OPTIONS: dict[str, object] = {
    "host": "powerstore1.example",
    "account": "snapcopy",
    "nas_server": "nas1",
    "mount": "/mnt/nas1",
}


def _found(path: str, snapshots: int, status: str) -> dict[str, Any]:
    sizes = {"total_bytes": 2**40, "used_bytes": 2**39}
    return {
        "path": path,
        "kind": "",
        "status": status,
        "snapshots": snapshots,
        "reading": "its .snapshot",
    } | sizes


FACTS: dict[str, Any] = {
    "host": "array1",
    "suggestions": {"nas_server": ["nas1", "nas2"]},
    "file_systems": [_found("/mnt/nas1/home", 206, "mounted"), _found("/mnt/nas1/mail", 1, "not mounted")],
}


def make_array() -> FileServer:
    server = create_file_server(
        user=None, name="nas1", engine="powerstore", options=OPTIONS, secrets={"password": Secret("very secret")}
    )
    step = TestStep(name="array", ok=True, seconds=0.1)
    warning = "Near the limit of 256 snapshots: home (206)."
    store_test_report(server, TestReport(steps=(step,), facts=FACTS, warnings=(warning,)))
    return server


def page(client: Client, name: str, *args: object, query: str = "") -> str:
    return client.get(reverse(f"policies:{name}", args=args) + query).content.decode()


def test_a_file_server_is_made_by_its_form_and_the_password_is_never_shown(admin: Client) -> None:
    assert "Dell PowerStore" in page(admin, "file_server_create")
    refused = admin.post(reverse("policies:file_server_create"), TYPED | {"option_host": "https://powerstore1.example"})
    assert "without “https://”" in refused.content.decode()
    made = admin.post(reverse("policies:file_server_create"), TYPED)
    server = FileServer.objects.get()
    assert made["Location"] == reverse("policies:file_server_detail", args=[server.pk])
    told = build_engine(server).options  # type: ignore[attr-defined]
    assert (told.host, told.nas_server, told.reading, told.password.reveal()) == (
        "powerstore1.example",
        "nas1",
        "export",
        "very secret",
    )
    shown = page(admin, "file_server_detail", server.pk)
    assert "Through an NFS export" in shown
    assert "very secret" not in shown
    assert "very secret" not in page(admin, "file_server_edit", server.pk)


def test_file_systems_that_test_found_are_on_the_page_and_can_be_ticked(admin: Client) -> None:
    server, policy = make_array(), make_policy(name="gold")
    shown = page(admin, "file_server_detail", server.pk)
    for words in (
        "/mnt/nas1/home",
        "1.00 TiB",
        "206",
        "not mounted, read through",
        "2 file systems",
        "Near the limit of 256 snapshots: home (206).",
    ):
        assert words in shown
    assert '<option value="nas2">' in page(admin, "file_server_edit", server.pk)
    form = page(admin, "subclient_create", query=f"?file_server={server.pk}")
    assert 'name="found_paths" value="/mnt/nas1/home"' in form
    assert "File systems" in form
    assert "206 snapshots" in form
    typed = {"file_server": server.pk, "name": "home", "policy": policy.pk, "is_active": "on"}
    paths = {"found_paths": ["/mnt/nas1/home"], "content_paths": "/mnt/nas1/mail/projects"}
    admin.post(reverse("policies:subclient_create"), typed | paths)
    assert Subclient.objects.get().content_paths == ["/mnt/nas1/home", "/mnt/nas1/mail/projects"]


def test_apply_and_export_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ARRAY", "from the variable")
    text = """
version: 1
file_servers:
  - name: nas1
    engine: powerstore
    options: {host: powerstore1.example, account: snapcopy, nas_server: nas1, mount: /mnt/nas1, ca_file: /etc/ca.pem}
    secrets:
      password: {env: TEST_ARRAY}
"""
    assert apply(read(text))
    server = FileServer.objects.get()
    assert str(build_engine(server).options.ca_file) == "/etc/ca.pem"  # type: ignore[attr-defined]
    assert not apply(read(text))
    assert "from the variable" not in str(exported())
