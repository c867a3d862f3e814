"""File servers and subclients: what is protected."""

from __future__ import annotations

import copy as shallow
import shlex
from collections.abc import Iterable
from typing import TypedDict, Unpack

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction

from jobs.engine.errors import EngineError
from jobs.engine.media.base import TestReport
from jobs.engine.options import field_specs
from policies import audit
from policies.content_paths import cleaned_paths
from policies.models import AccessNode, FileServer, StoragePolicy, Subclient
from policies.resolve import build_engine, engine_kind, facts_found
from policies.selectors.deletion import has_data
from policies.services import writing
from policies.services.copy_checks import engine_problem
from policies.services.media import failed_step
from policies.services.stream_checks import path_problems


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
    pre_command: str
    post_command: str


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
    """Secrets that are not given stay. The engine can change only while no snapshot of it is known."""
    checked = _checked(file_server, values, secrets)
    if values.get("engine", file_server.engine) != file_server.engine:
        _refuse_other_engine(file_server, values["engine"])
    _refuse_storage_of_others(file_server, checked)
    writing.update(file_server, values=checked, secrets=secrets, user=user, how=how)
    writing.drop_other_secrets(file_server, keep=_secret_names(file_server.engine))
    return file_server


def delete_file_server(file_server: FileServer, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Raises CannotDelete while it has subclients."""
    writing.delete(file_server, user=user, how=how)


def create_subclient(*, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[SubclientValues]) -> Subclient:
    """``file_server``, ``name``, ``content_paths`` and ``policy`` are needed."""
    checked = _checked_subclient(values)
    if "file_server" in values and "policy" in values:
        _refuse_foreign_policy(values["policy"], values["file_server"])
    if "file_server" in values:
        _refuse_shared_paths(values["file_server"], checked.get("content_paths", ()))
    return writing.create(Subclient(), values=checked, user=user, how=how)


def update_subclient(
    subclient: Subclient, *, user: audit.Actor, how: str = audit.How.WEB, **values: Unpack[SubclientValues]
) -> Subclient:
    """The file server of a subclient never changes: its snapshots lie there."""
    if "file_server" in values and values["file_server"].pk != subclient.file_server_id:
        raise ValidationError({"file_server": "A subclient stays on its file server. Create a new one on the other."})
    checked = _checked_subclient(values)
    if "policy" in values and values["policy"].pk != subclient.policy_id:
        _refuse_foreign_policy(values["policy"], subclient.file_server)
    _refuse_shared_paths(subclient.file_server, checked.get("content_paths", ()), but=subclient)
    return writing.update(subclient, values=checked, user=user, how=how)


def delete_subclient(subclient: Subclient, *, user: audit.Actor, how: str = audit.How.WEB) -> None:
    """Raises CannotDelete while it has snapshots."""
    writing.delete(subclient, user=user, how=how)


def run_file_server_test(file_server: FileServer) -> TestReport:
    """**Test**: what its engine does for it. Writes no row; never raises EngineError."""
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
    checked = writing.checked_options(kind.options, options, known)
    _refuse_limit(kind.level_limit(checked, facts_found(server)), values.get("max_incrementals"))
    return values | {"options": checked}


def _refuse_limit(allowed: int | None, wanted: int | None) -> None:
    """RULES L2: the form can lower what the storage knows."""
    if allowed is not None and wanted is not None and wanted > allowed:
        raise ValidationError(
            {"max_incrementals": f"The file server itself knows {allowed} levels. Type at most {allowed}, or nothing."}
        )


def _secret_names(engine: str) -> set[str]:
    return {spec.name for spec in field_specs(engine_kind(engine).options) if spec.secret}


def _refuse_other_engine(server: FileServer, engine: str) -> None:
    """Snapshots of one engine cannot be read by another."""
    with_data = [subclient.path for subclient in server.subclients.select_related("file_server") if has_data(subclient)]
    if with_data or has_data(server):
        whose = f" of {', '.join(with_data[:5])}" if with_data else ""
        raise ValidationError(
            {
                "engine": f"There are snapshots{whose} of the engine {server.engine}, which no other engine reads. "
                "Delete them first, or add another file server."
            }
        )
    for subclient in server.subclients.select_related("policy"):
        if problem := engine_problem(subclient.policy, engine=engine, server_id=server.pk):
            raise ValidationError({"engine": f"{subclient.name}: {problem}"})
    for copy in server.replicated_copies.select_related("policy"):
        if copy.policy.subclients.exclude(file_server__engine=engine).exists():
            raise ValidationError({"engine": f"The copy {copy} brings snapshots of the engine {server.engine} here."})


def _refuse_foreign_policy(policy: StoragePolicy, server: FileServer) -> None:
    if problem := engine_problem(policy, engine=server.engine, server_id=server.pk):
        raise ValidationError({"policy": problem})


def _refuse_shared_paths(server: FileServer, paths: Iterable[str], *, but: Subclient | None = None) -> None:
    if problems := path_problems(server, list(paths), but=but):
        raise ValidationError({"content_paths": problems})


def _refuse_storage_of_others(server: FileServer, checked: FileServerValues) -> None:
    """Under new settings it may be the storage that another file server is already."""
    if server.options == checked["options"] and server.engine == checked.get("engine", server.engine):
        return
    changed = shallow.copy(server)
    changed.options, changed.engine = checked["options"], checked.get("engine", server.engine)
    for subclient in server.subclients.select_related("file_server"):
        if problems := path_problems(changed, subclient.content_paths, but=subclient):
            raise ValidationError({NON_FIELD_ERRORS: problems})


def _checked_subclient(values: SubclientValues) -> SubclientValues:
    problems: dict[str, list[str]] = {}
    for name in ("pre_command", "post_command"):
        problem = _command_problem(str(values.get(name, "")))
        if problem:
            problems[name] = [problem]
    if "content_paths" in values:
        try:
            values = values | {"content_paths": cleaned_paths(values["content_paths"])}
        except ValidationError as error:
            problems["content_paths"] = error.messages
    if problems:
        raise ValidationError(problems)
    return values


def _command_problem(command: str) -> str:
    """It is split into an argument list as a shell would, but no shell runs it (RULES S1)."""
    if not command.isprintable():
        return "One line, without control characters."
    try:
        shlex.split(command)
    except ValueError:
        return "A quotation mark is not closed."
    return ""
