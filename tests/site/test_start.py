import pytest
from django.db import connection
from django.test import Client


@pytest.mark.django_db
def test_a_monitor_learns_that_the_database_answers(client: Client, redis_url: str) -> None:
    assert client.get("/healthz").json() == {"ok": True}
    assert connection.pg_version >= 140000
