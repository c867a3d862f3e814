"""The recovery kit: its lines, as they are printed, open the repository with stock restic; secrets only on asking."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from jobs.engine.media.recovery import FILES, NOTES, VARIABLES, access_of
from jobs.engine.media.registry import MEDIA
from jobs.engine.options import field_specs
from jobs.engine.plan import Secret
from policies.models import AuditEntry
from snapcopy_site.lib.roles import Role
from tests.factories import make_media, make_user
from tests.interop.restic import Restic

PASSWORD = "it's a “long” password $HOME"


def printed(page: str, ident: str) -> list[str]:
    found = re.search(rf'<pre[^>]* id="{ident}">(.*?)</pre>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1]).split("\n")


@pytest.mark.django_db
@pytest.mark.interop
def test_what_is_printed_opens_the_repository_and_is_recorded(client: Client, tmp_path: Path) -> None:
    place = tmp_path / "it's there"
    restic = Restic(repository=place, password=PASSWORD)
    restic.run("init")
    (tmp_path / "file").write_text("kept")
    restic.run("backup", str(tmp_path / "file"))
    medium = make_media(place, password=PASSWORD)
    client.force_login(make_user(Role.ADMIN))
    address = reverse("policies:media_recovery", args=[medium.pk])

    hidden = client.get(address).content.decode()
    assert "long" not in hidden
    assert not AuditEntry.objects.filter(sentence__contains="recovery kit").exists()
    answer = client.post(address)
    assert "no-store" in answer["Cache-Control"]
    page = answer.content.decode()
    assert AuditEntry.objects.get(sentence__contains="recovery kit").user_label == "admin"

    use = [line.replace("/restore", str(tmp_path / "back")) for line in printed(page, "kit-use")]
    script = "\n".join(["set -e", *printed(page, "kit-setup"), *use])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(f"{tmp_path}/back{tmp_path}/file").read_text() == "kept"


@pytest.mark.django_db
def test_only_an_admin_sees_the_kit(client: Client) -> None:
    medium = make_media()
    client.force_login(make_user(Role.OPERATOR))
    address = reverse("policies:media_recovery", args=[medium.pk])
    assert (client.get(address).status_code, client.post(address).status_code) == (403, 403)


def test_keys_become_the_variables_that_restic_knows() -> None:
    options = {"bucket": "b", "access_key": "ACCESS", "region": ""}
    hidden = access_of("s3", "s3:https://host/b", options, password=None)
    assert "export AWS_SECRET_ACCESS_KEY='…'" in hidden.setup
    shown = access_of(
        "s3", "s3:https://host/b", options, password=Secret("pass"), secrets={"secret_key": Secret("S'1")}
    )
    assert shown.setup == (
        "export RESTIC_REPOSITORY=s3:https://host/b",
        "export AWS_ACCESS_KEY_ID=ACCESS",
        """export AWS_SECRET_ACCESS_KEY='S'"'"'1'""",
        "export RESTIC_PASSWORD=pass",
    )
    google = access_of("gcs", "gs:b:/", {}, password=Secret("pass"), secrets={"service_account": Secret('{"a": 1}')})
    assert """printf %s '{"a": 1}' > service-account.json""" in google.setup


def test_every_kind_of_medium_has_its_way_and_names_only_its_own_options() -> None:
    for kind in MEDIA.values():
        assert {kind.name} & {*VARIABLES, *FILES, *NOTES}, kind.name
        named = {*VARIABLES.get(kind.name, {}), *FILES.get(kind.name, {})}
        assert named <= {spec.name for spec in field_specs(kind.options)}, kind.name
