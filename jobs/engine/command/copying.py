"""``init``, ``backup`` and ``restore``."""

from __future__ import annotations

import getpass
import os
import socket
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Final

from ..errors import InvalidOptions, NotInCopy
from ..events import Counters
from ..operations import backup_copy
from ..operations import restore as restoring
from ..plan import CopyPlan, CopySettings, Overwrite, RestorePlan, SourceRoot, StoredPath
from ..repository.repository import Repository
from ..repository.snapshot_file import find_snapshot_file
from .console import size, write_json
from .session import Session

DONE: Final = 0
WITH_EXCEPTIONS: Final = 3


def init(_arguments: Namespace, session: Session) -> int:
    repository = Repository.create(session.media, session.password, clock=session.clock)
    if session.as_json:
        write_json({"event": "result", "repository": repository.id})
    else:
        print(f"Repository {repository.id[:12]} made. Without its password nobody can read it: keep it safe.")
    return DONE


def backup(arguments: Namespace, session: Session) -> int:
    result = backup_copy.run(
        _copy_plan(arguments, session), session.media, session.password, session.sink, session.control, session.clock
    )
    counters = result.counters
    if session.as_json:
        write_json({"event": "result", **asdict(result)})
        return _exit_code(counters)
    print(
        f"snapshot file {result.snapshot_file_id[:8]}: {counters.files_done:,} files, {size(counters.bytes_done)}; "
        f"{counters.files_new:,} new, {counters.files_changed:,} changed, {counters.files_unmodified:,} unchanged; "
        f"read {size(counters.bytes_read)}, new {size(counters.bytes_new)}, stored {size(counters.bytes_stored)}"
    )
    if result.source_note:
        print(result.source_note)
    return _exit_code(counters)


def restore(arguments: Namespace, session: Session) -> int:
    repository = session.open()
    snapshot = find_snapshot_file(repository, arguments.snapshot)
    if snapshot.id is None:
        raise NotInCopy("The snapshot file is not stored.")
    plan = RestorePlan(
        snapshot_file_id=snapshot.id,
        target=Path(arguments.target).absolute(),
        paths=tuple(_stored(path) for path in arguments.path),
        overwrite=Overwrite(arguments.overwrite.replace("-", " ")),
        with_metadata=not arguments.no_metadata,
        dry_run=arguments.dry_run,
        readers=arguments.readers,
        index_cache=session.cache,
    )
    result = restoring.run_opened(plan, repository, session.sink, session.control, session.clock)
    counters = result.counters
    if session.as_json:
        write_json({"event": "result", **asdict(result)})
        return _exit_code(counters)
    verb = "would be restored" if arguments.dry_run else "restored"
    print(
        f"{counters.files_done:,} files, {size(counters.bytes_done)} {verb}; {result.files_skipped:,} left as they are"
    )
    return _exit_code(counters)


def _copy_plan(arguments: Namespace, session: Session) -> CopyPlan:
    source = Path(os.path.abspath(arguments.source))
    stored_as = _stored(arguments.stored_as or str(source))
    previous = Path(os.path.abspath(arguments.previous)) if arguments.previous else None
    return CopyPlan(
        roots=(SourceRoot(directory=source, stored_as=stored_as, previous=previous),),
        hostname=arguments.host or socket.gethostname(),
        username=getpass.getuser(),
        taken_at_ns=session.clock.now_ns(),
        find_parent=not arguments.full,
        tags=tuple(arguments.tag),
        settings=CopySettings(
            compression_level=min(arguments.level, 19), readers=arguments.readers, state_directory=session.cache
        ),
    )


def _stored(path: str) -> StoredPath:
    if not path.startswith("/"):
        raise InvalidOptions(f"“{path}” is not an absolute path.", field="path", hint="Begin it with a slash.")
    return StoredPath(os.fsencode(os.path.normpath(path)).rstrip(b"/"))


def _exit_code(counters: Counters) -> int:
    return WITH_EXCEPTIONS if counters.exceptions else DONE
