"""Any configuration: what is exported makes the same installation again, and applied twice it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from policies.declared.applying import apply
from policies.declared.reading import read
from tests.policies.declared import exported, forget_everything

pytestmark = pytest.mark.django_db

words = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)
names = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
retentions = st.one_of(
    st.just("infinite"),
    st.just("spool"),
    st.fixed_dictionaries({"days": st.integers(1, 400)}),
    st.fixed_dictionaries({"count": st.integers(1, 400)}),
)
basics = st.one_of(
    st.just("infinite"), st.fixed_dictionaries({"days": st.integers(0, 400), "cycles": st.integers(1, 9)})
)


@st.composite
def installations(draw: Callable[..., Any]) -> dict[str, Any]:
    """A small configuration as plain data: policies with copies, file servers, subclients."""
    media = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    servers = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    policies = []
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        copies: list[dict[str, Any]] = [{"name": "s", "kind": "primary_snap", "retention": draw(retentions)}]
        for number, medium in enumerate(draw(st.permutations(media))):
            kind = "secondary_backup" if number else "primary_backup"
            copies.append({"name": f"c{number}", "kind": kind, "medium": medium, "retention": draw(basics)})
        policies.append(
            {
                "name": name,
                "description": draw(words),
                "inline": draw(st.booleans()),
                "defer_days": draw(st.integers(0, 30)),
                "copies": draw(st.permutations(copies)),
            }
        )
    paths = st.lists(names.map(lambda name: f"/{name}"), min_size=1, max_size=3, unique=True)
    subclients = [
        {
            "file_server": draw(st.sampled_from(servers)),
            "name": f"sub{number}",
            "content_paths": draw(paths),
            "policy": draw(st.sampled_from(policies))["name"],
            "description": draw(words),
            "active": draw(st.booleans()),
        }
        for number in range(draw(st.integers(0, 3)))
    ]
    secret = {"repository_password": {"env": "TEST_SECRET"}}
    return {
        "settings": {"week_start": draw(st.sampled_from(["monday", "friday"]))},
        "media": [
            {"name": name, "kind": "disk", "options": {"path": f"/srv/{name}"}, "secrets": secret} for name in media
        ],
        "file_servers": [
            {"name": name, "engine": "directory", "options": {"area": f"/var/tmp/{name}"}} for name in servers
        ],
        "policies": policies,
        "subclients": subclients,
    }


@settings(
    deadline=None,
    max_examples=8,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(wanted=installations())
def test_any_export_applied_to_an_empty_installation_is_exported_the_same(
    wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_everything()
    monkeypatch.setenv("TEST_SECRET", "hidden")
    text = yaml.safe_dump(wanted, allow_unicode=True)
    apply(read(text))
    assert apply(read(text)) == []
    first = exported()
    for medium in wanted["media"]:
        variable = f"SNAPCOPY_MEDIA_{medium['name']}_REPOSITORY_PASSWORD".upper().replace("-", "_")
        monkeypatch.setenv(variable, "hidden")
    forget_everything()
    apply(read(first))
    assert exported() == first
    assert apply(read(first)) == []
