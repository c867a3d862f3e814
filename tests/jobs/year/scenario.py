"""The year itself: policies, servers, subclients, schedules, failures and what people do, from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from .almanac import Times
from .plan import (
    END,
    FIRST_DAY,
    Act,
    BackupPlan,
    ExtendedPlan,
    PolicyPlan,
    SchedulePlan,
    ServerPlan,
    Span,
    SubclientPlan,
    Year,
)

Days = tuple[int, ...]
BERLIN, NEW_YORK, SYDNEY = "Europe/Berlin", "America/New_York", "Australia/Sydney"
QUIET_FROM: Final = datetime(2026, 12, 1, tzinfo=UTC)
"""No failures and no hands from here on, so that everything that was put off comes to its end."""

NODES: Final = ("north", "south", "east")

POLICIES: Final = (
    PolicyPlan(
        name="inline",
        is_inline=True,
        snap_days=10,
        backups=(BackupPlan(name="disk", days=14, cycles=2),),
    ),
    PolicyPlan(
        name="nightly",
        snap_count=4,
        backups=(
            BackupPlan(
                name="disk",
                days=20,
                cycles=1,
                extended=(
                    ExtendedPlan(period="month", pick="first", days=100),
                    ExtendedPlan(period="quarter", pick="last", days=None),
                ),
            ),
            BackupPlan(name="vault", days=60, cycles=2),
        ),
    ),
    PolicyPlan(name="base", is_spool=True, catalog="inline", backups=(BackupPlan(name="disk", days=25, cycles=1),)),
    PolicyPlan(
        name="last",
        snap_count=2,
        selection="last_full",
        period="month",
        backups=(BackupPlan(name="disk", days=None),),
    ),
    PolicyPlan(
        name="defer",
        snap_days=2,
        defer_days=3,
        overdue_action="skip_older",
        backups=(BackupPlan(name="disk", days=10, cycles=1),),
    ),
    PolicyPlan(name="spool", is_inline=True, is_spool=True, backups=(BackupPlan(name="disk"),)),
    PolicyPlan(
        name="first",
        snap_days=6,
        selection="first_full",
        period="week",
        backups=(BackupPlan(name="disk", days=40, cycles=3),),
    ),
    PolicyPlan(
        name="fulls",
        snap_days=5,
        selection="fulls",
        starts_on=date(2026, 3, 1),
        backups=(BackupPlan(name="disk", days=35, cycles=1), BackupPlan(name="vault", days=None)),
    ),
    PolicyPlan(
        name="basespool", is_inline=True, is_spool=True, catalog="inline", backups=(BackupPlan(name="disk", days=15),)
    ),
    PolicyPlan(name="forever", snap_count=3, backups=(BackupPlan(name="disk", days=7, cycles=1),)),
)

_ENGINES: Final = {"base": "base", "basespool": "base", "spool": "plain", "last": "plain", "first": "plain"}


def make_year(*, subclients: int, is_dense: bool, seed: int = 26) -> Year:
    """``is_dense``: everything daily that is daily in real life; else fewer slots, all around the changes of clocks."""
    servers = tuple(
        ServerPlan(
            name=f"fs{number}-{engine}",
            engine=engine,
            node=NODES[number % len(NODES)],
            limit=9 if number % 2 == 0 else None,
        )
        for engine in ("plain", "diff", "base")
        for number in range(1 + subclients // 30)
    )
    known = tuple(_subclient(number, servers) for number in range(subclients))
    used = tuple(policy for policy in POLICIES if any(one.policy == policy for one in known))
    schedules = tuple(_schedules(used, is_dense=is_dense))
    chance = random.Random(seed)
    return Year(
        policies=used,
        servers=servers,
        subclients=known,
        schedules=schedules,
        spans=(*_outages(), *(span for one in known for span in _failures(one, schedules, chance))),
        acts=tuple(sorted((act for one in known for act in _acts(one, chance)), key=lambda act: act.at)),
        nodes=NODES,
    )


def _subclient(number: int, servers: Sequence[ServerPlan]) -> SubclientPlan:
    policy = POLICIES[number % len(POLICIES)]
    engine = _ENGINES.get(policy.name, "diff" if number // len(POLICIES) % 2 == 0 else "plain")
    fitting = [server for server in servers if server.engine == engine]
    return SubclientPlan(
        name=f"s{number:03}",
        server=fitting[number // len(POLICIES) % len(fitting)],
        policy=policy,
        is_excluded=policy.name == "forever" and number // len(POLICIES) % 5 == 1,
    )


def _schedules(policies: Sequence[PolicyPlan], *, is_dense: bool) -> Iterator[SchedulePlan]:
    """Each has a minute of its own, so that only the changes of clocks and outages bring two of a policy together."""
    for number, policy in enumerate(policies):
        yield from _snapshots(policy, 1 + number, is_dense=is_dense)
        if not policy.is_inline:
            weekdays = () if is_dense else (0,)
            times = Times(zone=SYDNEY if number % 4 == 1 else BERLIN, hour=5, minute=21 + number, weekdays=weekdays)
            yield SchedulePlan(name=f"copy-{policy.name}", operation="backup_copy", policy=policy, times=times)
    noon = Times(zone="UTC", hour=12, minute=0, days=() if is_dense else (5, 20))
    yield SchedulePlan(name="aging", operation="aging", times=noon)
    if not is_dense:
        daily = Times(zone="UTC", hour=12, minute=50, months=(4,))
        yield SchedulePlan(name="aging-daily", operation="aging", times=daily)
    pruning = Times(zone="UTC", hour=13, minute=55, days=(8,), months=() if is_dense else (4, 8, 12))
    yield SchedulePlan(name="prune", operation="prune", times=pruning)


def _snapshots(policy: PolicyPlan, minute: int, *, is_dense: bool) -> Iterator[SchedulePlan]:
    """Fulls and incrementals in several rhythms; ``sparse``: only in some months, and around changes of clocks."""

    def snapshot(
        name: str, level: str, times: Times, sparse: Mapping[str, Any], missed: str = "catch_up"
    ) -> SchedulePlan:
        return SchedulePlan(
            name=f"{policy.name}-{name}",
            operation="snapshot",
            level=level,
            policy=policy,
            missed=missed,
            times=times if is_dense else replace(times, **sparse),
        )

    def at(zone: str, hour: int, **days: Days) -> Times:
        return Times(zone=zone, hour=hour, minute=minute, **days)

    european: dict[str, Any] = {"months": (3, 10), "days": (24, 25, 26, 28, 29, 30)}
    american: dict[str, Any] = {"months": (3, 11), "days": tuple(range(1, 12))}
    match policy.name:
        case "inline" | "spool" | "forever":
            yield snapshot("full", "full", at(BERLIN, 20, weekdays=(6,)), {"months": (3, 10)})
            yield snapshot("incr", "incremental", at(BERLIN, 2), european)
        case "nightly" | "base":
            yield snapshot("full", "full", at(NEW_YORK, 22, days=(1,)), {})
            yield snapshot("incr", "incremental", at(NEW_YORK, 1), american)
        case "first" | "last" | "fulls":
            yield snapshot("full", "full", at(BERLIN, 23, weekdays=(1, 4)), {"months": (3, 10)})
            yield snapshot("incr", "incremental", at(NEW_YORK, 2, weekdays=(6,)), {"months": (3,)}, missed="skip")
        case "defer":
            yield snapshot("full", "full", at(SYDNEY, 2, days=(1, 15)), {"months": (2, 3, 4, 10, 11)})
            yield snapshot("diff", "differential", at(SYDNEY, 2, weekdays=(6,)), {"months": (4, 10)})
        case _:
            yield snapshot("incr", "incremental", at("UTC", 18), {"weekdays": (1, 5), "months": (4, 9)})


def _outages() -> Iterator[Span]:
    """Dead nodes for some days, two of them over a change of clocks; a scheduler that was down over a weekend."""
    for kind, about, start, days in (
        ("node", "south", datetime(2026, 5, 5, 7, 0, 13, tzinfo=UTC), 4),
        ("node", "north", datetime(2026, 10, 23, 7, 0, 13, tzinfo=UTC), 3),
        ("node", "east", datetime(2026, 3, 6, 7, 0, 13, tzinfo=UTC), 2),
        ("scheduler", "", datetime(2026, 7, 10, 7, 0, 43, tzinfo=UTC), 3),
    ):
        yield Span(kind=kind, about=about, start=start, end=start + timedelta(days=days, hours=5))


_LENGTHS: Final = {
    "snapshot-busy": (timedelta(seconds=20), timedelta(minutes=2), timedelta(hours=1)),
    "snapshot-broken": (timedelta(hours=1), timedelta(days=8)),
    "copy-busy": (timedelta(seconds=50), timedelta(minutes=20), timedelta(hours=6)),
    "copy-broken": (timedelta(days=4), timedelta(days=16)),
    "copy-partial": (timedelta(days=2), timedelta(days=9)),
    "source-offline": (timedelta(days=3), timedelta(days=12)),
    "source-empty": (timedelta(days=2),),
    "delete-busy": (timedelta(minutes=1), timedelta(days=3)),
}


def _failures(subclient: SubclientPlan, schedules: Sequence[SchedulePlan], chance: random.Random) -> Iterator[Span]:
    """Each begins right before something of the subclient, or at any time."""
    moments = [
        moment
        for schedule in schedules
        if schedule.concerns(subclient) and schedule.operation in {"snapshot", "backup_copy", "aging"}
        for moment in schedule.times.moments(FIRST_DAY + timedelta(days=10), QUIET_FROM - timedelta(days=20))
    ]
    for kind in chance.sample(sorted(_LENGTHS), 3):
        start = chance.choice(sorted(moments)) - timedelta(seconds=5)
        length = chance.choice(_LENGTHS[kind])
        yield Span(kind=kind, about=subclient.path, start=start, end=start + length)


_WAYS: Final = (
    *("pick", "prevent", "prevent", "unmark", "recopy", "copy this", "copy now"),
    *("pin", "pin", "unpin", "snapshot", "snapshot", "grow", "acknowledge"),
)


def _acts(subclient: SubclientPlan, chance: random.Random) -> Iterator[Act]:
    """Six by chance; whoever's source looked empty is acknowledged in November."""
    length = int((QUIET_FROM - FIRST_DAY).total_seconds() // 3600)
    for _ in range(6):
        at = FIRST_DAY + timedelta(hours=chance.randrange(240, length), minutes=7, seconds=17)
        forever = chance.random() < 0.2
        yield Act(
            at=at,
            subclient=subclient,
            what=chance.choice(_WAYS),
            nth=chance.choice((0, 0, 0, 1, 2)),
            backup=chance.choice(subclient.policy.backups).name,
            level=chance.choice(("full", "incremental", "incremental", "differential")),
            until=None if forever else at + timedelta(days=chance.randrange(3, 60)),
        )
    yield Act(at=datetime(2026, 11, 20, 9, 7, 17, tzinfo=UTC), subclient=subclient, what="acknowledge")


assert QUIET_FROM < END
