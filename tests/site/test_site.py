"""Headers, health, static files, logs."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest
from django.db import connection
from django.templatetags.static import static
from django.test import Client
from django.urls import reverse

from snapcopy_site.logs import JsonLines, bind


@pytest.mark.django_db
def test_a_monitor_learns_that_the_database_answers(client: Client) -> None:
    answer = client.get(reverse("healthz"))
    assert answer.json() == {"ok": True}
    assert connection.vendor == "postgresql"


@pytest.mark.django_db
def test_every_answer_forbids_inline_scripts_frames_and_other_hosts(client: Client) -> None:
    headers = client.get(reverse("login")).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.django_db
def test_a_page_holds_nothing_inline_and_nothing_from_elsewhere(client: Client) -> None:
    page = client.get(reverse("login")).content.decode()
    assert "<style" not in page
    assert " style=" not in page
    assert "<script>" not in page
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.django_db
def test_sessions_are_out_of_reach_for_scripts(client: Client) -> None:
    client.get(reverse("login"))
    csrf = next(value for name, value in client.cookies.items() if "csrf" in name)
    assert csrf["samesite"] == "Strict"


def test_the_address_of_a_static_file_changes_with_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.css"
    monkeypatch.setattr("snapcopy_site.staticfiles.finders.find", lambda _name: str(file))
    file.write_text("one")
    first = static("a.css")
    file.write_text("other")
    os.utime(file, (1, 1))
    assert first.startswith("/static/a.css?v=")
    assert static("a.css") != first


def test_a_static_file_that_is_missing_keeps_its_plain_address() -> None:
    assert static("not-there.css") == "/static/not-there.css"


def test_a_log_line_is_one_object_with_what_it_belongs_to() -> None:
    formatter = JsonLines()
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("jobs", logging.ERROR, __file__, 1, "job %s", ("x",), sys.exc_info())
    record.phase = "copy"
    with bind(job=7, node="local"):
        text = formatter.format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["message"], line["level"], line["job"], line["node"], line["phase"]) == (
        "job x",
        "error",
        7,
        "local",
        "copy",
    )
    assert "ValueError: two\nlines" in line["trace"]
    assert "job" not in json.loads(formatter.format(record)), "outside the block nothing is added"
