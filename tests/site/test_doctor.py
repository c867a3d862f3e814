"""``snapcopy doctor``: each planted fault is found, and named with its remedy."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError
from django.utils import timezone
from pytest_django.fixtures import Settings

from policies.models import AccessNode
from snapcopy_site import health, sign_in
from snapcopy_site.health import Finding, Status
from snapcopy_site.lib.home import Home

pytestmark = pytest.mark.django_db


@pytest.fixture
def home(tmp_path: Path, settings: Settings) -> Home:
    """A home of its own in good order, beside the session's servers."""
    own = Home(tmp_path / "sc")
    own.path.mkdir(mode=0o700)
    own.secret_key.touch(mode=0o600)
    settings.HOME = own
    settings.SNAPCOPY_KEY_FILE = own.keyring
    return own


@pytest.fixture
def healthy(home: Home) -> Home:
    sign_in.ensure_first_admin()
    AccessNode.objects.create(name="local", last_seen_at=timezone.now())
    return home


def found(name: str) -> list[Finding]:
    return [finding for finding in health.examine() if finding.name == name]


def error(name: str) -> Finding:
    errors = [finding for finding in found(name) if finding.status is Status.ERROR]
    assert len(errors) == 1, found(name)
    assert errors[0].remedy, "an error without a remedy helps nobody"
    return errors[0]


@pytest.mark.usefixtures("healthy")
def test_nothing_is_wrong_with_a_healthy_installation() -> None:
    assert [finding for finding in health.examine() if finding.status is Status.ERROR] == []
    said = StringIO()
    call_command("doctor", stdout=said)
    assert "0 errors" in said.getvalue()


def test_the_report_for_programs_has_the_same_findings_and_exit_code(healthy: Home) -> None:
    healthy.secret_key.chmod(0o644)
    said = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json", stdout=said)
    assert ended.value.code == 1
    report = json.loads(said.getvalue())
    assert report["ok"] is False
    assert {"name", "status", "sentence", "remedy"} == set(report["findings"][0])
    assert "secret key" in [finding["name"] for finding in report["findings"] if finding["status"] == "error"]


def test_a_key_that_others_may_read(home: Home) -> None:
    home.keyring.touch()
    home.keyring.chmod(0o640)
    assert error("keyring").remedy == f"chmod 600 {home.keyring}"


def test_a_home_that_others_may_list(home: Home) -> None:
    home.path.chmod(0o755)
    assert f"chmod go-rw {home.path}" in error("home").remedy
    home.path.chmod(0o711)
    assert found("home")[0].status is Status.OK, "PostgreSQL's account may pass"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_a_home_of_somebody_else(home: Home) -> None:
    os.chown(home.path, 65534, 65534)
    assert "another account" in error("home").sentence


def test_a_home_that_is_not_there_yet(settings: Settings, tmp_path: Path) -> None:
    settings.HOME = Home(tmp_path / "nothing")
    assert found("home")[0].remedy == "snapcopy up"


@pytest.mark.usefixtures("home")
def test_a_database_that_does_not_answer_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseError("connection refused\nmore")

    monkeypatch.setattr("snapcopy_site.health.connection.ensure_connection", refuse)
    assert error("database").sentence == "PostgreSQL does not answer: connection refused"
    names = {finding.name for finding in health.examine()}
    assert "redis" in names
    assert "migrations" not in names


def test_redis_that_does_not_answer(home: Home, settings: Settings) -> None:
    settings.SNAPCOPY_REDIS_URL = f"unix://{home.path}/nobody.sock"
    assert "does not answer" in error("redis").sentence


@pytest.mark.usefixtures("home")
def test_migrations_that_were_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapcopy_site.health.MigrationExecutor.migration_plan", lambda *_: [object(), object()])
    assert "2 migrations" in error("migrations").sentence
    assert found("access nodes") == [], "tables that may not exist are not read"


@pytest.mark.usefixtures("home")
def test_a_clock_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(seconds=60)

    monkeypatch.setattr(health, "datetime", Late)
    assert "differ by 60 s" in error("clock").sentence


@pytest.mark.usefixtures("home")
def test_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr("snapcopy_site.health.shutil.disk_usage", lambda _path: usage(10**12, 10**12, 10**6))
    assert "0.0 GiB free" in error("disk space").sentence


@pytest.mark.usefixtures("home")
def test_a_program_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapcopy_site.health.shutil.which", lambda *_args, **_options: None)
    remedies = [finding.remedy for finding in found("tools")]
    assert "apt install btrfs-progs" in remedies
    assert all(finding.status is Status.WARNING for finding in found("tools"))


@pytest.mark.usefixtures("home")
def test_nobody_to_administer() -> None:
    User.objects.create_user("viewer")
    assert error("administrator").remedy == "snapcopy link"


@pytest.mark.usefixtures("home")
def test_nodes_that_are_offline_or_were_never_there() -> None:
    assert found("access nodes")[0].status is Status.WARNING
    AccessNode.objects.create(name="gone", last_seen_at=timezone.now() - timedelta(hours=1))
    AccessNode.objects.create(name="off", is_enabled=False)
    assert error("access nodes").remedy == "On its host: snapcopy node gone"
