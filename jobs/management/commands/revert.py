"""``revert``: put the live data of a subclient back to a snapshot, or only say what that would do."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.engine.errors import EngineError
from jobs.management.cli import BY_SCRIPT, ExitCode, JobCommand, refused
from jobs.management.snapshots import find_snapshot
from jobs.models import Snapshot
from jobs.services import CannotLaunch
from jobs.services.revert import launch_revert
from jobs.services.revert_preview import RevertPreview, preview_revert


class Command(JobCommand):
    help = (
        "Put the live data of a subclient back to a snapshot. --preview says what it would change and which newer "
        "snapshots the storage would delete with it; those are named with --accept-loss, else the job changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_job_arguments(parser)
        parser.add_argument("--snapshot", required=True, metavar="NAME")
        parser.add_argument("--preview", action="store_true", help="change nothing, only say what it would do")
        parser.add_argument("--confirm", default="", metavar="SUBCLIENT", help="name of the subclient: it is meant")
        parser.add_argument(
            "--accept-loss",
            action="append",
            default=[],
            metavar="NAME",
            help="a newer snapshot that may be lost; may be given more than once",
        )
        parser.add_argument("--no-safety-snapshot", action="store_true", help="take none of the live data before")

    def handle(self, *_args: Any, subclient: str, wait: bool, **options: Any) -> None:
        snapshot = find_snapshot(subclient, options["snapshot"])
        try:
            if options["preview"]:
                self._preview(snapshot, as_json=options["json"])
                return
            job = launch_revert(
                snapshot,
                confirmation=options["confirm"],
                accepted=options["accept_loss"],
                with_safety_snapshot=not options["no_safety_snapshot"],
                **BY_SCRIPT,
            )
        except CannotLaunch as refusal:
            raise refused(refusal) from refusal
        except EngineError as error:
            words = f"{error.sentence} {error.hint}".strip()
            raise CommandError(words, returncode=int(ExitCode.FAILED)) from error
        self.run_job(job, wait=wait, as_json=options["json"])

    def _preview(self, snapshot: Snapshot, *, as_json: bool) -> None:
        preview = preview_revert(snapshot)
        if as_json:
            self.stdout.write(json.dumps(_as_dictionary(preview)))
            return
        plan = preview.plan
        at_least = "" if plan.is_counted else "at least "
        self.stdout.write(
            f"{at_least}{plan.created} come back, {plan.replaced} are replaced, {plan.removed} are removed"
        )
        for word, path in preview.examples:
            self.stdout.write(f"  {path} {word}")
        for one in preview.lost:
            copy = "its backup copy stays" if one.is_on_media else "no backup copy of it is on media"
            self.stdout.write(f"lost with it: {one.name} ({copy})")
        for warning in plan.warnings:
            self.stderr.write(warning)


def _as_dictionary(preview: RevertPreview) -> dict[str, object]:
    plan = preview.plan
    return {
        "created": plan.created,
        "replaced": plan.replaced,
        "removed": plan.removed,
        "is_counted": plan.is_counted,
        "is_exchanged": plan.is_exchanged,
        "can_be_safe": preview.can_be_safe,
        "examples": [{"path": path, "becomes": word} for word, path in preview.examples],
        "lost": [
            {
                "snapshot": one.name,
                "job": one.job.pk if one.job else None,
                "is_on_media": one.is_on_media,
                "waits": list(one.waits),
                "held_by": list(one.held_by),
            }
            for one in preview.lost
        ],
        "warnings": list(plan.warnings),
    }
