"""File servers and subclients: what is protected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.db import transaction

from jobs.engine.errors import EngineError
from jobs.engine.media.base import TestReport
from jobs.engine.options import field_specs
from policies import audit
from policies.content_paths import cleaned_paths
from policies.models import AccessNode, FileServer, StoragePolicy, Subclient
from policies.resolve import build_engine, engine_kind
from policies.services import writing
from policies.services.media import failed_step


class FileServerValues(TypedDict, total=False):
    """What a form or script may give. ``options`` are the engine's, complete and without secrets."""

    name: str
    description: str
    engine: str
    options: dict[str, object]
    access_nodes: Iterable[AccessNode]
    max_sessions: int
    max_incrementals: int | None
    is_active: bool


class SubclientValues(TypedDict, total=False):
    file_server: FileServer
    name: str
    description: str
    content_paths: list[str]
    policy: StoragePolicy
    access_nodes: Iterable[AccessNode]
    is_active: bool


def create_file_server(
    *,
    user: audit.Actor,
    secrets: writing.Secrets | None = None,
    how: str = audit.How.WEB,
    **values: Unpack[FileServerValues],
) -> FileServer:
    """Touches no storage: press Test, or take a snapshot, to see whether the settings are right."""
    server = FileServer()
    return writing.create(server, values=_checked(server, values, secrets), secrets=secrets, user=user, how=how)


@transaction.atomic
def update_file_server(
    file_server: FileServer,
    *,
    user: audit.Actor,
    secrets: writing.Secrets | None = None,
    how: str = audit.How.WEB,
    **values: Unpack[FileServerValues],
) -> FileServer:
    """Secrets that are not given stay."""
    checked = _checked(file_server, values, secrets)
    writing.update(file_server, values=checked, secrets=secrets, user=user, how=how)
    writing.drop_other_secrets(file_server, keep=_secret_names(file_server.engine))
    return file_server


def delete_file_server(file_server: FileServer, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Raises CannotDelete while it has subclients."""
    writing.delete(file_server, user=user, how=how)


def create_subclient(*, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[SubclientValues]) -> Subclient:
    """``file_server``, ``name``, ``content_paths`` and ``policy`` are needed."""
    return writing.create(Subclient(), values=_checked_subclient(values), user=user, how=how)


def update_subclient(
    subclient: Subclient, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[SubclientValues]
) -> Subclient:
    """The file server of a subclient never changes: its snapshots lie there."""
    if "file_server" in values and values["file_server"].pk != subclient.file_server_id:
        raise ValidationError({"file_server": "A subclient stays on its file server. Create a new one on the other."})
    return writing.update(subclient, values=_checked_subclient(values), user=user, how=how)


def delete_subclient(subclient: Subclient, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Raises CannotDelete while it has snapshots."""
    writing.delete(subclient, user=user, how=how)


def run_file_server_test(file_server: FileServer) -> TestReport:
    """**Test**: take, open, list and delete a probe snapshot. Writes no row; never raises EngineError."""
    try:
        return build_engine(file_server).test()
    except EngineError as error:
        return TestReport(steps=(failed_step("settings", error),))


def _checked(server: FileServer, values: FileServerValues, secrets: writing.Secrets | None) -> FileServerValues:
    name = values.get("engine", server.engine)
    try:
        kind = engine_kind(name)
    except EngineError as error:
        raise ValidationError({"engine": error.sentence}) from error
    options = values.get("options", server.options if name == server.engine else {})
    known = writing.known_secrets(server, secrets, fields=_secret_names(name))
    return values | {"options": writing.checked_options(kind.options, options, known)}


def _secret_names(engine: str) -> set[str]:
    return {spec.name for spec in field_specs(engine_kind(engine).options) if spec.secret}


def _checked_subclient(values: SubclientValues) -> SubclientValues:
    if "content_paths" not in values:
        return values
    try:
        return values | {"content_paths": cleaned_paths(values["content_paths"])}
    except ValidationError as error:
        raise ValidationError({"content_paths": error.messages}) from error
