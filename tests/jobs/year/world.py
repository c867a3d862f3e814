"""The plan of the year as rows of the product, through its services; what people do in it; what it ends with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobs import services
from jobs.engine.plan import Secret
from jobs.models import BackupCopy, How, Initiator, Job, Mark, Snapshot, SnapshotState
from jobs.rules import states
from policies import services as configuration
from policies.models import AccessNode, Copy, Media, Schedule, StoragePolicy, Subclient
from policies.secrets import REPOSITORY_PASSWORD
from policies.services.copy_checks import ExtendedValues

from .machines import Machines
from .picture import COPIED, CopyFact, Picture, SnapshotFact
from .plan import WEEK_START, ZONE, Act, BackupPlan, PolicyPlan, SchedulePlan, Year


@dataclass(slots=True)
class World:
    """The rows of the plan's names."""

    year: Year
    policies: dict[str, StoragePolicy] = field(default_factory=dict)
    copies: dict[tuple[str, str], Copy] = field(default_factory=dict)
    subclients: dict[str, Subclient] = field(default_factory=dict)

    def build(self) -> None:
        year = self.year
        Schedule.objects.all().delete()
        configuration.update_settings(user=None, time_zone=ZONE, week_start=WEEK_START)
        nodes = {name: AccessNode.objects.create(name=name, slots=64, cores=8, load_1m=0.1) for name in year.nodes}
        for policy in year.policies:
            self._add_policy(policy)
        servers = {
            server.name: configuration.create_file_server(
                user=None,
                name=server.name,
                engine=server.engine,
                options={},
                access_nodes=[nodes[server.node]],
                max_incrementals=server.limit,
                max_sessions=3,
            )
            for server in year.servers
        }
        for one in year.subclients:
            self.subclients[one.name] = configuration.create_subclient(
                user=None,
                name=one.name,
                file_server=servers[one.server.name],
                policy=self.policies[one.policy.name],
                content_paths=[one.path],
            )
            if one.is_excluded:
                self.policies[one.policy.name].excluded_subclients.add(self.subclients[one.name])
        for schedule in year.schedules:
            self._add_schedules(schedule)

    def act(self, act: Act) -> None:
        """What a person does, by the service behind the button. A refusal changes nothing."""
        subclient = Subclient.objects.get(pk=self.subclients[act.subclient.name].pk)
        copy = self.copies[act.subclient.policy.name, act.backup] if act.backup else None
        present = list(subclient.snapshots.filter(state=SnapshotState.PRESENT).order_by("-taken_at")[: act.nth + 1])
        snapshot = present[-1] if present else None
        row = BackupCopy.objects.filter(snapshot=snapshot, copy=copy).first()
        who: dict[str, Any] = {"initiator": Initiator.PERSON, "how": How.WEB}
        try:
            match act.what:
                case "snapshot":
                    services.launch_snapshot(subclient, level=act.level, **who)
                case "copy now":
                    services.launch_backup_copy(subclient, copy, **who)
                case "copy this" if snapshot is not None:
                    services.launch_backup_copy(subclient, copy, snapshot=snapshot, **who)
                case "recopy" if row is not None and row.is_on_media:
                    services.recopy(row)
                case "pick" | "prevent" | "unmark" if row is not None:
                    mark = {"pick": Mark.PICK, "prevent": Mark.PREVENT, "unmark": Mark.NONE}[act.what]
                    services.mark_copies([row], mark=mark)
                case "pin" if snapshot is not None:
                    services.pin_snapshots([snapshot], until=act.until)
                case "unpin":
                    services.unpin_snapshots(present)
                case "acknowledge":
                    services.acknowledge_source(subclient, user=None)
                case "grow":
                    more = f"{act.subclient.path}-{len(subclient.content_paths)}"
                    paths = [*subclient.content_paths, more]
                    configuration.update_subclient(subclient, user=None, content_paths=paths)
        except (services.JobRefusal, services.NothingFrozen):
            return

    def _add_policy(self, plan: PolicyPlan) -> None:
        policy = configuration.create_policy(
            user=None,
            name=plan.name,
            is_inline=plan.is_inline,
            selection=plan.selection,
            selection_period=plan.period,
            selection_starts_on=plan.starts_on,
            defer_days=plan.defer_days,
            overdue_action=plan.overdue_action,
        )
        StoragePolicy.objects.filter(pk=policy.pk).update(catalog=plan.catalog)
        policy.refresh_from_db()
        self.policies[plan.name] = policy
        if plan.is_spool or plan.snap_days or plan.snap_count:
            snap = policy.copies.get(kind="primary_snap")
            retention = "spool" if plan.is_spool else "days" if plan.snap_days else "count"
            configuration.update_copy(
                snap,
                user=None,
                retention=retention,
                retention_days=plan.snap_days,
                retention_count=plan.snap_count,
            )
        for backup in plan.backups:
            self.copies[plan.name, backup.name] = self._add_copy(policy, backup)

    def _add_copy(self, policy: StoragePolicy, plan: BackupPlan) -> Copy:
        name = f"{policy.name}-{plan.name}"
        medium = configuration.create_media(
            user=None,
            name=name,
            kind="shelf",
            options={"shelf": name},
            secrets={REPOSITORY_PASSWORD: Secret("correct horse")},
        )
        Media.objects.filter(pk=medium.pk).update(repository_id=f"{medium.pk:064x}")
        kept: dict[str, Any] = {"retention": "infinite"}
        if plan.days is not None:
            kept = {"retention": "basic", "retention_days": plan.days, "retention_cycles": plan.cycles}
        rules: list[ExtendedValues] = [
            {"period": rule.period, "pick": rule.pick, "days": rule.days} for rule in plan.extended
        ]
        return configuration.create_copy(policy, user=None, name=plan.name, media=medium, extended=rules, **kept)

    def _add_schedules(self, plan: SchedulePlan) -> None:
        """Pruning is of one medium each."""
        media = list(Media.objects.order_by("pk")) if plan.operation == "prune" else [None]
        for medium in media:
            values: dict[str, Any] = {"media": medium} if medium else {}
            if plan.policy is not None:
                values["policy"] = self.policies[plan.policy.name]
            configuration.create_schedule(
                user=None,
                now=self.year.begin,
                name=f"{plan.name}-{medium.name}" if medium else plan.name,
                operation=plan.operation,
                level=plan.level,
                cron=plan.times.cron,
                time_zone=plan.times.zone,
                missed=plan.missed,
                **values,
            )

    def loose_ends(self, machines: Machines) -> list[str]:
        """Where rows and the world outside disagree; empty = storage and media hold what the rows say."""
        present = Snapshot.objects.filter(state=SnapshotState.PRESENT)
        wrong = [f"snapshot {name}" for name in set(present.values_list("name", flat=True)) ^ set(machines.storage)]
        there = {file_id for shelf in machines.shelves.values() for file_id in shelf}
        for row in BackupCopy.objects.filter(snapshot_file_id__isnull=False):
            is_there = row.snapshot_file_id in there
            if is_there != (row.forgotten_at is None):
                wrong.append(f"{row}: {row.state}, {'there' if is_there else 'not there'}")
        bad = Job.objects.filter(state__in=states.ACTIVE) | Job.objects.filter(error_code="unexpected")
        return wrong + [f"{job} {job.operation} {job.state} {job.error_sentence}" for job in bad]

    def picture(self) -> Picture:
        """Everything that was ever taken and copied, with what became of it."""
        picture = Picture()
        for snapshot in Snapshot.objects.select_related("subclient").order_by("taken_at"):
            key = (snapshot.subclient.name, snapshot.taken_at)
            picture.snapshots[key] = SnapshotFact(
                level=snapshot.ran_level,
                number=snapshot.level_number,
                by=snapshot.initiator,
                state=snapshot.state,
                deleted_at=snapshot.deleted_at,
            )
        rows = BackupCopy.objects.select_related("snapshot__subclient", "copy", "parent__snapshot")
        for row in rows:
            picture.copies[row.snapshot.subclient.name, row.copy.name, row.snapshot.taken_at] = CopyFact(
                state=row.state,
                level=row.ran_level,
                number=row.level_number,
                base=row.parent.snapshot.taken_at if row.parent and row.state in COPIED else None,
                failures=row.failures,
                copied_at=row.copied_at,
                aged_at=row.aged_at,
                forgotten_at=row.forgotten_at,
            )
        for run in Schedule.objects.values_list("name", "runs__slot", "runs__state"):
            if run[1] is not None:
                picture.slots.add((run[0], run[1], run[2] == "missed"))
        return picture
