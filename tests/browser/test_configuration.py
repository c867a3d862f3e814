"""What the configuration's forms and tables do in a real browser, with scripts and without."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from policies.models import AccessNode, FileServer, Media, Subclient
from tests.browser.conftest import Visit
from tests.factories import make_media

pytestmark = pytest.mark.django_db(transaction=True)


def test_three_steps_lead_from_nothing_to_a_subclient(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    page = visit().open(reverse("policies:wizard"))
    page.get_by_label("Name", exact=True).fill("fs1")
    page.get_by_label("Snapshot area").fill(str(tmp_path / "area"))
    page.get_by_label("Name of the subclient").fill("home")
    page.get_by_label("Content paths").fill(str(tmp_path / "data"))
    page.get_by_role("button", name="Go on to the medium").click()
    page.get_by_label("Name", exact=True).fill("disk-a")
    page.get_by_label("Directory", exact=True).fill(str(tmp_path / "medium"))
    page.get_by_label("Repository password").fill("a long password")
    page.get_by_label("Repeat the password").fill("a long password")
    page.get_by_role("button", name="Go on to the policy").click()
    page.get_by_label("Name of the new policy").fill("gold")
    page.get_by_role("button", name="Create the policy and the subclient").click()
    expect(page.get_by_text("is ready: take its first snapshot now")).to_be_visible()
    assert Subclient.objects.get().path == "fs1/home"


def test_choosing_another_engine_swaps_the_fields_in_place(visit: Visit) -> None:
    page = visit().open(reverse("policies:file_server_create"))
    volume = page.get_by_role("textbox", name="Volume")
    page.get_by_label("Name", exact=True).fill("fs1")
    page.get_by_label("Sessions at the same time").fill("7")
    page.get_by_role("radio", name="btrfs").check()
    expect(volume).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("fs1")
    expect(page.get_by_label("Sessions at the same time")).to_have_value("7")
    page.get_by_role("radio", name=re.compile("^Directory")).check()
    expect(volume).to_be_hidden()
    page.get_by_role("button", name="Add the file server").click()
    expect(page.get_by_text("was added")).to_be_visible()
    assert FileServer.objects.get().max_sessions == 7


def test_the_same_form_works_without_scripts(visit: Visit) -> None:
    page = visit(java_script_enabled=False).open(reverse("policies:file_server_create"))
    page.get_by_label("Name", exact=True).fill("fs1")
    page.get_by_role("radio", name="XFS").check()
    page.get_by_role("button", name="Show the settings of the chosen kind").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("fs1")
    page.get_by_role("textbox", name="Volume").fill("/srv/xfs")
    page.get_by_role("button", name="Add the file server").click()
    expect(page.get_by_text("was added")).to_be_visible()
    assert FileServer.objects.get().engine == "xfs"


def test_the_node_table_renews_itself(visit: Visit) -> None:
    node = AccessNode.objects.create(name="n1", last_seen_at=timezone.now() + timedelta(minutes=5))
    page = visit().open(reverse("policies:node_list"))
    expect(page.get_by_text("Online")).to_be_visible()
    AccessNode.objects.filter(pk=node.pk).update(is_enabled=False)
    expect(page.locator("#nodes").get_by_text("Disabled", exact=True)).to_be_visible()


def test_a_refused_form_leads_to_the_field(visit: Visit) -> None:
    make_media(name="taken")
    page = visit().open(reverse("policies:media_create"))
    page.get_by_label("Name", exact=True).fill("taken")
    page.get_by_label("Directory", exact=True).fill("/srv/x")
    page.get_by_label("Repository password").fill("a long password")
    page.get_by_label("Repeat the password").fill("a long password")
    page.get_by_role("button", name="Add the medium").click()
    field = page.get_by_label("Name", exact=True)
    expect(field).to_have_value("taken")
    expect(field).to_have_attribute("aria-invalid", "true")
    assert "_error" in (field.get_attribute("aria-describedby") or "")
    assert Media.objects.count() == 1
