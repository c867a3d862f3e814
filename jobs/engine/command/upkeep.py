"""``check``, ``forget``, ``prune`` and ``unlock``."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import asdict
from datetime import timedelta

from ..errors import InvalidOptions
from ..ids import FileId
from ..operations import check as checking
from ..operations import forget as forgetting
from ..operations import prune as pruning
from ..operations.rotation import Pace
from ..operations.touching import Touched
from ..repository.lock_file import clear_locks
from ..repository.snapshot_file import find_snapshot_file
from .console import size, write_json
from .session import Session


def check(arguments: Namespace, session: Session) -> int:
    plan = checking.CheckPlan(pace=Pace(percent=arguments.read_data))
    result = checking.run(plan, session.media, session.password, session.sink, session.control, session.clock)
    if session.as_json:
        write_json({"event": "result", "ok": result.ok, **asdict(result)})
        return 0 if result.ok else 1
    print(
        f"{result.snapshot_files} snapshot files, {result.trees:,} trees, {result.blobs:,} blobs, "
        f"{result.packs:,} packs; {result.packs_read:,} packs ({size(result.bytes_read)}) read"
    )
    for touched in result.touched:
        print(f"cannot be restored whole: {_named(touched)}")
    if result.touched_count > len(result.touched):
        print(f"and {result.touched_count - len(result.touched):,} more paths")
    print("No errors were found." if result.ok else f"{len(result.problems)} problems; each is named above.")
    return 0 if result.ok else 1


def _named(touched: Touched) -> str:
    path = os.fsdecode(touched.path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    below = " and everything below it" if touched.is_folder else ""
    return f"{path}{below} (in {', '.join(file[:8] for file in touched.files)})"


def forget(arguments: Namespace, session: Session) -> int:
    plan = _forget_plan(arguments, session)
    result = forgetting.run(plan, session.media, session.password, session.sink, session.control, session.clock)
    if session.as_json:
        removed = [snapshot.id for snapshot in result.removed]
        kept = [{"id": item.snapshot.id, "reasons": item.reasons} for item in result.kept]
        write_json({"event": "result", "removed": removed, "kept": kept, "dry_run": plan.dry_run})
        return 0
    for item in result.kept:
        print(f"keep    {(item.snapshot.id or '')[:8]}  {', '.join(item.reasons)}")
    for snapshot in result.removed:
        print(f"{'would go' if plan.dry_run else 'removed '} {(snapshot.id or '')[:8]}")
    return 0


def _forget_plan(arguments: Namespace, session: Session) -> forgetting.ForgetPlan:
    policy = forgetting.KeepPolicy(
        last=arguments.keep_last,
        hourly=arguments.keep_hourly,
        daily=arguments.keep_daily,
        weekly=arguments.keep_weekly,
        monthly=arguments.keep_monthly,
        yearly=arguments.keep_yearly,
        within=timedelta(days=arguments.keep_within or 0),
        tags=tuple(frozenset({tag}) for tag in arguments.keep_tag),
    )
    if not arguments.snapshots:
        if policy.keeps_nothing:
            raise InvalidOptions("Nothing says what to keep.", field="keep", hint="Give SNAPSHOTs or a --keep option.")
        return forgetting.ForgetPlan(policy=policy, hostname=arguments.host, dry_run=arguments.dry_run)
    if not policy.keeps_nothing:
        raise InvalidOptions("Give either SNAPSHOTs or --keep options.", field="keep")
    repository = session.open()
    ids = tuple(FileId(found) for name in arguments.snapshots if (found := find_snapshot_file(repository, name).id))
    return forgetting.ForgetPlan(ids=ids, dry_run=arguments.dry_run)


def prune(arguments: Namespace, session: Session) -> int:
    plan = pruning.PrunePlan(
        max_unused_percent=arguments.max_unused, dry_run=arguments.dry_run, index_cache=session.cache
    )
    result = pruning.run(plan, session.media, session.password, session.sink, session.control, session.clock)
    if session.as_json:
        write_json({"event": "result", "dry_run": plan.dry_run, **asdict(result)})
        return 0
    would = "would be " if plan.dry_run else ""
    print(
        f"{result.packs_removed + result.unreferenced_removed:,} packs {would}removed, {result.packs_repacked:,} "
        f"{would}repacked; {size(result.freed_bytes)} of {size(result.bytes_before)} {would}freed"
    )
    return 0


def unlock(arguments: Namespace, session: Session) -> int:
    removed = clear_locks(session.open(), everything=arguments.all)
    if session.as_json:
        write_json({"event": "result", "removed": removed})
    else:
        print(f"{len(removed)} locks removed.")
    return 0
