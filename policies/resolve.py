"""From rows to the engine's objects: the only place where stored options and secrets become drivers.

Build drivers in the process that uses them, on the access node. Everything raises errors of the engine's tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils import timezone

from jobs.engine.media.base import Media as MediaDriver
from jobs.engine.media.board import MediaBoard
from jobs.engine.media.cached import Cached
from jobs.engine.media.layers import LOCAL as LIMITS_OF_LOCAL
from jobs.engine.media.layers import REMOTE as LIMITS_OF_REMOTE
from jobs.engine.media.layers import Limits, layered
from jobs.engine.media.registry import MEDIA, MediaKind
from jobs.engine.options import FieldSpec, field_specs, parse_options
from jobs.engine.plan import Secret as PlainSecret
from jobs.engine.snapshots.base import Capability, SnapshotEngine
from jobs.engine.snapshots.registry import ENGINES, EngineKind
from jobs.rules.bandwidth import InForce, limit_at, parse_calendar, rate_text
from policies.errors import KindUnknown, SecretMissing
from policies.models import FileServer, Installation, Media
from policies.models.installation import new_install_id
from policies.secrets import REPOSITORY_PASSWORD, secret_fields, secrets_of
from snapcopy_site.lib.home import Home


def media_kind(name: str) -> MediaKind:
    """Raises KindUnknown."""
    if name not in MEDIA:
        raise KindUnknown(f"This version has no kind of medium called “{name}”.")
    return MEDIA[name]


def engine_kind(name: str) -> EngineKind:
    """Raises KindUnknown."""
    if name not in ENGINES:
        raise KindUnknown(f"This version has no snapshot engine called “{name}”.")
    return ENGINES[name]


def option_specs(kind: MediaKind | EngineKind) -> tuple[FieldSpec, ...]:
    """The settings of a kind, for forms."""
    return field_specs(kind.options)


def install_id() -> str:
    """This installation's id (RULES O2)."""
    row, _created = Installation.objects.get_or_create(pk=1, defaults={"install_id": new_install_id()})
    return row.install_id


def resolve_media(media: Media, *, board: MediaBoard | None = None) -> MediaDriver:
    """The driver of a medium in its wrappers. Raises KindUnknown, InvalidOptions, SecretUnreadable.

    ``board`` is what the processes of a job share of it, and who gives one keeps its bandwidth as it should be; None =
    the limit of this moment counts for as long as the driver is used.
    """
    driver = build_media(media.kind, media.options, secrets_of(media))
    if board is None:
        board = MediaBoard(bytes_per_second=bandwidth_now(media).bytes_per_second or 0)
    wrapped = layered(driver, limits_of(media), board=board)
    if media._state.adding or not media_kind(media.kind).is_remote:
        return wrapped
    return Cached(wrapped, Home.current().media_cache(media.pk))


def limits_of(media: Media) -> Limits:
    """The medium's own limits, and those of its kind where it has none. Raises KindUnknown."""
    own = LIMITS_OF_REMOTE if media_kind(media.kind).is_remote else LIMITS_OF_LOCAL
    return replace(
        own,
        transfers=media.parallel_transfers or own.transfers,
        retries=own.retries if media.retries is None else media.retries,
        timeout_seconds=media.timeout_seconds or own.timeout_seconds,
    )


def bandwidth_now(media: Media) -> InForce:
    """The bandwidth limit of this moment by the installation's clocks. Makes no query where there is no calendar."""
    zone = Installation.objects.get(pk=1).time_zone if media.bandwidth_calendar else "UTC"
    calendar = parse_calendar(media.bandwidth_calendar)
    return limit_at(timezone.now(), calendar, otherwise=media.bandwidth_limit, zone=zone)


def build_media(kind_name: str, options: Mapping[str, object], secrets: Mapping[str, PlainSecret]) -> MediaDriver:
    """A driver from settings that may not be stored yet. Raises KindUnknown, InvalidOptions."""
    kind = media_kind(kind_name)
    return kind.build(_parse(kind, options, secrets))


def media_password(media: Media) -> PlainSecret:
    """The repository password. Raises SecretMissing, SecretUnreadable."""
    password = secrets_of(media).get(REPOSITORY_PASSWORD)
    if password is None:
        raise SecretMissing(f"The medium “{media}” has no repository password.", hint="Type it on the medium's form.")
    return password


def build_engine(file_server: FileServer) -> SnapshotEngine:
    """The snapshot engine of a file server. Raises KindUnknown, InvalidOptions, SecretUnreadable."""
    return build_snapshot_engine(file_server.engine, file_server.options, secrets_of(file_server))


def build_snapshot_engine(
    engine_name: str, options: Mapping[str, object], secrets: Mapping[str, PlainSecret]
) -> SnapshotEngine:
    """An engine from settings that may not be stored yet. Raises KindUnknown, InvalidOptions."""
    kind = engine_kind(engine_name)
    return kind.build(_parse(kind, options, secrets), install_id())


def _parse(kind: MediaKind | EngineKind, options: Mapping[str, object], secrets: Mapping[str, PlainSecret]) -> Any:
    own = {spec.name for spec in field_specs(kind.options)}
    return parse_options(kind.options, options, {name: value for name, value in secrets.items() if name in own})


def engine_label(file_server: FileServer) -> str:
    """The engine's name for people; its key if this version does not have it."""
    kind = ENGINES.get(file_server.engine)
    return kind.label if kind else file_server.engine


def incremental_limit(file_server: FileServer) -> int | None:
    """RULES L2: the file server's own limit, never above that of its engine; None = there is none."""
    limits = [limit for limit in (file_server.max_incrementals, engine_limit(file_server)) if limit]
    return min(limits, default=None)


def engine_limit(file_server: FileServer) -> int | None:
    """RULES L2: what the storage itself allows, as far as its last Test tells; None = no limit."""
    kind = ENGINES.get(file_server.engine)
    return kind.level_limit(file_server.options, facts_found(file_server)) if kind else None


def has_tokens(file_server: FileServer) -> bool:
    """RULES L5: whether it is told with each dump what to build on, and keeps no dates of its own."""
    kind = ENGINES.get(file_server.engine)
    return kind is not None and kind.has_tokens(file_server.options, facts_found(file_server))


def is_dump_stream(engine: str) -> bool:
    """Whether backup copies of this engine's file servers are dumps, as the file server streams them."""
    return engine in dump_stream_engines()


def is_point(engine: str) -> bool:
    """Whether what its snapshot jobs make is a point in the history, and nothing that lies on the storage."""
    return engine in point_engines()


def point_engines() -> list[str]:
    """For queries."""
    dumped = [ENGINES[name] for name in dump_stream_engines()]
    return [kind.name for kind in dumped if Capability.DUMP_OF_SNAPSHOT not in kind.capabilities]


def dump_stream_engines() -> list[str]:
    """For queries."""
    return [kind.name for kind in ENGINES.values() if Capability.DUMP_STREAM in kind.capabilities]


def found_label(file_server: FileServer) -> str:
    """What a Test of it finds that can be content, such as “Volumes”; empty = nothing is found."""
    kind = ENGINES.get(file_server.engine)
    return kind.finds if kind else ""


def facts_found(file_server: FileServer) -> Mapping[str, Any]:
    """What the last Test found, by the names that the engine gives it; empty = no Test yet."""
    facts: Mapping[str, Any] = (file_server.last_test or {}).get("facts") or {}
    return facts


def media_label(media: Media) -> str:
    """The kind's name for people; its key if this version does not have it."""
    kind = MEDIA.get(media.kind)
    return kind.label if kind else media.kind


def stock_place(media: Media) -> str:
    """What ``restic -r`` takes for the medium; '' where stock restic has no way there."""
    kind = MEDIA.get(media.kind)
    return kind.stock(media.options) if kind else ""


def described_limits(media: Media) -> dict[str, object]:
    """The limits of a medium for its page: ``bandwidth`` and ``calendar`` as text, ``limits`` as they count."""
    try:
        limits: Limits | None = limits_of(media)
    except KindUnknown:
        limits = None
    return {
        "bandwidth": rate_text(media.bandwidth_limit),
        "calendar": media.bandwidth_calendar.splitlines(),
        "limits": limits,
    }


def described_options(owner: Media | FileServer) -> list[tuple[FieldSpec, object]]:
    """The settings of a medium or file server for its page; secrets only as whether they are set."""
    kind: MediaKind | EngineKind | None = (
        MEDIA.get(owner.kind) if isinstance(owner, Media) else ENGINES.get(owner.engine)
    )
    if kind is None:
        return []
    have = secret_fields(owner)
    return [
        (spec, spec.name in have if spec.secret else _for_people(spec, owner.options.get(spec.name, spec.default)))
        for spec in field_specs(kind.options)
    ]


def _for_people(spec: FieldSpec, value: object) -> object:
    """A choice by its label."""
    return dict(spec.choices).get(value, value) if isinstance(value, str) else value
