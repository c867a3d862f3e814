"""File servers of the NDMP engine for tests: rows only, nobody is asked."""

from __future__ import annotations

from typing import Any

from jobs.engine.media.base import TestReport, TestStep
from jobs.engine.plan import Secret
from policies.models import FileServer, StoragePolicy
from policies.services import create_file_server, update_policy
from policies.services.test_reports import store_test_report
from tests.factories import make_media, make_policy

FOUND: dict[str, Any] = {
    "profile": "generic",
    "suggestions": {"backup_type": ["dump", "tar"]},
    "file_systems": [
        {"path": "/vol/vol1", "kind": "wafl", "total_bytes": 2**40, "used_bytes": 2**39, "status": "online"},
        {"path": "/vol/vol2", "kind": "wafl", "total_bytes": None, "used_bytes": None, "status": "offline"},
    ],
}


def make_filer(name: str = "filer1", *, password: str = "secret", **options: object) -> FileServer:
    """Account ndmp, at NAME.example unless told otherwise."""
    told = {"host": f"{name}.example", **options}
    return create_file_server(user=None, name=name, engine="ndmp", options=told, secrets={"password": Secret(password)})


def after_test(server: FileServer, **facts: Any) -> FileServer:
    """As if Test had been pressed and found this."""
    step = TestStep(name="login", ok=True, seconds=0.1)
    store_test_report(server, TestReport(steps=(step,), facts=FOUND | facts, warnings=("It is slow.",)))
    return server


def inline_policy(name: str = "gold") -> StoragePolicy:
    """With a backup copy of its own on a medium, made in the snapshot job."""
    policy = make_policy(name=name, media=make_media(name=f"{name}-disk"), is_inline=True)
    return update_policy(policy, user=None, catalog="inline")
