"""What every test shares: skips that a complete machine must not have, and a Redis that starts empty."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db.backends.postgresql.operations import DatabaseOperations
from hypothesis import HealthCheck
from hypothesis import settings as examples

from jobs.engine.repository import repository
from jobs.engine.repository.keys import ScryptCost

IS_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def pytest_configure() -> None:
    """A test needs no password that withstands a year of guessing: neither a person's nor a repository's.

    Each opening of a repository costs a scrypt, ours and stock restic's: at the standard cost, minutes of a whole run.
    How long an example takes says how busy the machine is.
    """
    examples.register_profile("any machine", examples(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    examples.load_profile("any machine")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Each test client would otherwise look through all static files before its first page.
    settings.WHITENOISE_AUTOREFRESH = True
    setattr(repository, "ScryptCost", partial(ScryptCost, n=1 << 10))  # noqa: B010 - an import of that module
    setattr(DatabaseOperations, "sql_flush", _delete_what_is_there)  # noqa: B010 - instead of Django's


def _delete_what_is_there(self: DatabaseOperations, style: object, tables: list[str], **_: Any) -> list[str]:
    """What a test leaves goes row by row: making fifty empty tables and their indexes anew costs far more.

    What Django itself laid down stays, and is found again by ``migrate``.
    """
    tables = [table for table in tables if table not in {"django_content_type", "auth_permission"}]
    if not tables:
        return []
    looks = " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {self.quote_name(table)})" for table in tables
    )
    with self.connection.cursor() as cursor:
        cursor.execute(looks)
        used = [table for (table,) in cursor.fetchall()]
    deletions = "; ".join(f"DELETE FROM {self.quote_name(table)}" for table in used)
    return (
        [f"SET session_replication_role = replica; {deletions}; SET session_replication_role = origin"] if used else []
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing may be skipped: the machine has everything, so a skip is a failure with the skip's reason."""
    report = yield
    if IS_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {item.nodeid}: {reason}"
    return report


@pytest.fixture
def redis_url() -> Iterator[str]:
    """The session's Valkey, empty, with a database number of this xdist worker."""
    url = str(settings.SNAPCOPY_REDIS_URL)
    connection = redis.Redis.from_url(url)
    connection.flushdb()
    yield url
    connection.flushdb()
    connection.close()
