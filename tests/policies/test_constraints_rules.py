"""Impossible rows of copies, extended retention, policies and schedules: the database refuses each (RULES O, R, B)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from policies.models import (
    Copy,
    ExtendedRetention,
    FileServer,
    Installation,
    Media,
    RestartPolicy,
    Schedule,
    StoragePolicy,
    Subclient,
)

pytestmark = pytest.mark.django_db

SNAPS = ("primary_snap", "secondary_snap")
BACKUPS = ("primary_backup", "secondary_backup")


def refused_by(constraint: str, insert: Callable[[], object]) -> None:
    def insert_now() -> None:
        with transaction.atomic():
            insert()
            connection.check_constraints()

    with pytest.raises(IntegrityError, match=constraint):
        insert_now()


def policy() -> StoragePolicy:
    return StoragePolicy.objects.get_or_create(name="p")[0]


def server() -> FileServer:
    return FileServer.objects.get_or_create(name="s", defaults={"engine": "directory"})[0]


def medium() -> Media:
    return Media.objects.get_or_create(name="m", defaults={"kind": "disk"})[0]


def subclient() -> Subclient:
    return Subclient.objects.create(name="c", file_server=server(), policy=policy(), content_paths=["/a"])


def make_copy(kind: str, **values: Any) -> Copy:
    """A copy that is right but for ``values``."""
    if kind in BACKUPS:
        values.setdefault("media", medium())
    if kind == "secondary_snap":
        values.setdefault("target_server", server())
    place = Copy.objects.count() + 1
    return Copy.objects.create(policy=policy(), kind=kind, name=f"c{place}", precedence=place, **values)


FIGURES = ("retention_days", "retention_cycles", "retention_count")
POSSIBLE = [
    *((kind, "infinite", (None, None, None)) for kind in SNAPS + BACKUPS),
    *((kind, "basic", figures) for kind in BACKUPS for figures in ((30, 1, None), (0, 3, None), (14, 0, None))),
    *((kind, "days", (7, None, None)) for kind in SNAPS),
    *((kind, "count", (None, None, 10)) for kind in SNAPS),
    ("primary_snap", "spool", (None, None, None)),
]
IMPOSSIBLE = [
    *((kind, "infinite", figures) for kind in SNAPS + BACKUPS for figures in ((1, None, None), (None, 1, None))),
    *((kind, "infinite", (None, None, 1)) for kind in SNAPS + BACKUPS),
    *(
        (kind, "basic", figures)
        for kind in BACKUPS
        for figures in ((0, 0, None), (None, None, None), (30, None, None), (None, 1, None), (30, 1, 5))
    ),
    *((kind, "basic", (30, 1, None)) for kind in SNAPS),
    *((kind, "days", (7, None, None)) for kind in BACKUPS),
    *(
        (kind, "days", figures)
        for kind in SNAPS
        for figures in ((None, None, None), (0, None, None), (7, 1, None), (7, None, 3), (None, None, 3))
    ),
    *((kind, "count", (None, None, 10)) for kind in BACKUPS),
    *(
        (kind, "count", figures)
        for kind in SNAPS
        for figures in ((None, None, None), (None, None, 0), (1, None, 10), (None, 1, 10), (10, None, None))
    ),
    *((kind, "spool", (None, None, None)) for kind in ("secondary_snap", *BACKUPS)),
    *(("primary_snap", "spool", figures) for figures in ((1, None, None), (None, 1, None), (None, None, 1))),
    *((kind, "someday", (None, None, None)) for kind in SNAPS + BACKUPS),
]


@pytest.mark.parametrize(("kind", "retention", "figures"), POSSIBLE)
def test_r1_r2_a_retention_that_fits_its_kind_is_accepted(
    kind: str, retention: str, figures: tuple[int | None, ...]
) -> None:
    assert make_copy(kind, retention=retention, **dict(zip(FIGURES, figures, strict=True))).pk


@pytest.mark.parametrize(("kind", "retention", "figures"), IMPOSSIBLE)
def test_r1_r2_p_a_retention_that_does_not_fit_its_kind_is_refused(
    kind: str, retention: str, figures: tuple[int | None, ...]
) -> None:
    values = dict(zip(FIGURES, figures, strict=True))
    refused_by("copy_retention_fits_kind", lambda: make_copy(kind, retention=retention, **values))


def test_o1_only_a_secondary_snap_copy_has_a_target_and_it_always_has() -> None:
    refused_by("copy_target_exactly_for_secondary_snap", lambda: make_copy("secondary_snap", target_server=None))
    for kind in ("primary_snap", *BACKUPS):
        target = server()
        refused_by("copy_target_exactly_for_secondary_snap", partial(make_copy, kind, target_server=target))


def test_o1_only_secondary_copies_have_a_source_of_their_own() -> None:
    source = make_copy("secondary_snap")
    for kind in ("primary_snap", "primary_backup"):
        refused_by("copy_source_only_for_secondary", partial(make_copy, kind, source=source))
    assert make_copy("secondary_backup", source=source).source == source


def test_r3_at_most_three_extended_rules_each_period_and_place_once() -> None:
    copy = make_copy("primary_backup")
    ExtendedRetention.objects.create(copy=copy, position=1, period="month", days=365)
    for position in (0, 4):
        refused_by(
            "extended_retention_at_most_three",
            partial(ExtendedRetention.objects.create, copy=copy, position=position, period="year"),
        )
    refused_by(
        "extended_retention_position_once",
        lambda: ExtendedRetention.objects.create(copy=copy, position=1, period="year"),
    )
    refused_by(
        "extended_retention_period_once",
        lambda: ExtendedRetention.objects.create(copy=copy, position=2, period="month"),
    )
    refused_by(
        "extended_retention_days_from_1",
        lambda: ExtendedRetention.objects.create(copy=copy, position=2, period="year", days=0),
    )
    assert ExtendedRetention.objects.create(copy=copy, position=2, period="year", days=None).pk


@pytest.mark.parametrize(
    ("selection", "period"),
    [("all", "week"), ("fulls", "week"), ("first_full", ""), ("last_full", ""), ("none", "week")],
)
def test_b2_a_period_belongs_to_first_and_last_alone(selection: str, period: str) -> None:
    refused_by(
        "policy_period_exactly_for_first_and_last",
        lambda: StoragePolicy.objects.create(name="x", selection=selection, selection_period=period),
    )


@pytest.mark.parametrize("field", ["alert_after_hours", "overdue_after_days", "offline_attempts"])
def test_b7_b10_waiting_is_at_least_1(field: str) -> None:
    refused_by("policy_waits_at_least_1", lambda: StoragePolicy.objects.create(name="x", **{field: 0}))


def schedule(operation: str, **values: Any) -> Schedule:
    return Schedule.objects.create(
        name=f"s{Schedule.objects.count()}", operation=operation, cron="0 20 * * *", **values
    )


@pytest.mark.parametrize("operation", ["snapshot", "backup_copy", "secondary_copy"])
def test_a_schedule_of_sources_is_of_exactly_one_and_of_no_medium(operation: str) -> None:
    one, of_server, of_policy = subclient(), server(), policy()
    impossible: list[dict[str, Any]] = [
        {},
        {"policy": of_policy, "file_server": of_server},
        {"policy": of_policy, "subclient": one},
        {"file_server": of_server, "subclient": one},
        {"policy": of_policy, "file_server": of_server, "subclient": one},
        {"policy": of_policy, "media": medium()},
        {"media": medium()},
    ]
    for values in impossible:
        refused_by("schedule_scope_fits_operation", partial(schedule, operation, **values))
    possible: list[dict[str, Any]] = [{"policy": of_policy}, {"file_server": of_server}, {"subclient": one}]
    for values in possible:
        assert schedule(operation, **values).pk


@pytest.mark.parametrize("operation", ["aging", "prune", "verify", "unknown"])
def test_a_schedule_of_upkeep_is_of_no_source_and_no_copy(operation: str) -> None:
    impossible: list[dict[str, Any]] = [
        {"policy": policy()},
        {"file_server": server()},
        {"subclient": subclient()},
        {"copy": make_copy("primary_backup")},
    ]
    for values in impossible:
        refused_by("schedule_scope_fits_operation", partial(schedule, operation, **values))
    assert schedule(operation, media=medium()).pk


@pytest.mark.parametrize("percent", [0, 101])
def test_a_verification_reads_1_to_100_percent(percent: int) -> None:
    refused_by("schedule_verifies_1_to_100_percent", lambda: schedule("verify", verify_percent=percent))


def test_a_schedule_spreads_over_a_day_at_most() -> None:
    refused_by("schedule_spread_at_most_a_day", lambda: schedule("aging", jitter_seconds=86_401))


@pytest.mark.parametrize("field", ["first_seconds", "most_seconds"])
def test_j4_a_restart_waits_at_least_a_second(field: str) -> None:
    refused_by(
        "restart_waits_from_1_s", lambda: RestartPolicy.objects.create(operation="snapshot", times=3, **{field: 0})
    )


def test_b3_a_week_starts_on_one_of_seven_days() -> None:
    refused_by("installation_week_starts_on_a_day", lambda: Installation.objects.filter(pk=1).update(week_start=7))
