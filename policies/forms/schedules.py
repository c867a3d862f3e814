"""The form of a schedule: what it starts, of what, how often; with the next runs as they would come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone

from jobs.rules.recurrence import InvalidRecurrence, Recurrence, describe, next_slots
from policies import audit
from policies.forms.recurrence_choices import (
    FIELDS_OF,
    HOURS,
    LAST_DAY,
    Repeat,
    choices_of,
    cron_of,
    zone_choices,
)
from policies.forms.service_form import SWITCH, Section, ServiceForm
from policies.models import (
    Copy,
    CopyKind,
    FileServer,
    Installation,
    Media,
    MissedRun,
    Schedule,
    ScheduledLevel,
    ScheduledOperation,
    StoragePolicy,
    Subclient,
    VerifyHow,
    Weekday,
)
from policies.models.policy_choices import BACKUP_KINDS
from policies.services import create_schedule, update_schedule

SHOWN_RUNS: Final = 5
_SWITCHES: Final = {
    "hx-post": "",
    "hx-trigger": "change",
    "hx-vals": f'{{"{SWITCH}": "1"}}',
    "hx-target": "#object-form",
    "hx-select": "#object-form",
    "hx-swap": "outerHTML",
}
_FIELDS_OF_OPERATION: Final[dict[str, tuple[str, ...]]] = {
    ScheduledOperation.SNAPSHOT: ("level",),
    ScheduledOperation.BACKUP_COPY: ("copy",),
    ScheduledOperation.SECONDARY_COPY: ("copy",),
    ScheduledOperation.VERIFY: ("verify_how",),
    ScheduledOperation.DRILL: ("drill_files", "drill_mib"),
}
_FIELDS_OF_VERIFY: Final[dict[str, tuple[str, ...]]] = {
    VerifyHow.DAYS: ("verify_days",),
    VerifyHow.PERCENT: ("verify_percent",),
}
_OF_OPERATIONS: Final = ("copy", "level", "verify_how", "verify_days", "verify_percent", "drill_files", "drill_mib")
_STORED_AS_ASKED: Final = tuple(name for name in _OF_OPERATIONS if name != "copy")
_OF_MEDIA: Final = (ScheduledOperation.PRUNE, ScheduledOperation.VERIFY)
_SCOPES: Final[dict[str, type[StoragePolicy | FileServer | Subclient | Media]]] = {
    "policy": StoragePolicy,
    "file_server": FileServer,
    "subclient": Subclient,
    "media": Media,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The next runs as they would come: each in the schedule's zone and in UTC. ``problem``: why there are none."""

    words: str = ""
    zone: str = ""
    slots: tuple[tuple[datetime, datetime], ...] = ()
    problem: str = ""


class ScheduleForm(ServiceForm):
    """Add a schedule, or edit ``instance``; only the fields of the chosen operation and recurrence are there."""

    name = forms.CharField(max_length=64, help_text="Short: nightly, weekly-full. No spaces.")
    operation = forms.ChoiceField(
        label="What it starts", choices=ScheduledOperation.choices, widget=forms.RadioSelect(attrs=_SWITCHES)
    )
    of = forms.ChoiceField(label="Of what")
    copy = forms.ModelChoiceField(
        Copy.objects.none(), required=False, empty_label="Every copy that is due", label="To which copy"
    )
    level = forms.ChoiceField(
        choices=ScheduledLevel.choices,
        help_text="The first of a subclient is a full whatever is asked; each job says what it ran as, and why.",
    )
    verify_how = forms.ChoiceField(
        label="How much of the data is read back",
        choices=VerifyHow.choices,
        widget=forms.RadioSelect(attrs=_SWITCHES),
        help_text="The structure, every folder and what was found damaged before are looked at in any case.",
    )
    verify_days = forms.IntegerField(
        label="Days within which everything was read",
        min_value=1,
        max_value=32_000,
        help_text="Each run reads as much as it takes. Let it run at least as often.",
    )
    drill_files = forms.IntegerField(
        label="Files to restore of each copy",
        min_value=1,
        max_value=10_000,
        help_text="At most so many, chosen at random from the newest backup copy.",
    )
    drill_mib = forms.IntegerField(
        label="MiB to restore of each copy",
        min_value=1,
        max_value=1024 * 1024,
        help_text="At most so much, on a scratch directory of the node; nothing of it stays.",
    )
    verify_percent = forms.IntegerField(
        label="Percent of the stored data to read back",
        min_value=1,
        max_value=100,
        help_text="Other parts each time, so that in the end everything was read.",
    )
    repeat = forms.ChoiceField(label="How often", choices=Repeat.choices, widget=forms.RadioSelect(attrs=_SWITCHES))
    every_hours = forms.TypedChoiceField(
        label="Every", coerce=int, choices=[(hours, "hour" if hours == 1 else f"{hours} hours") for hours in HOURS]
    )
    minute = forms.IntegerField(label="At minute", min_value=0, max_value=59)
    days = forms.TypedMultipleChoiceField(
        label="On", coerce=int, choices=Weekday.choices, widget=forms.CheckboxSelectMultiple
    )
    day_of_month = forms.TypedChoiceField(
        label="On day",
        coerce=int,
        choices=[*((day, str(day)) for day in range(1, 32)), (LAST_DAY, "the last of the month")],
        help_text="A month without this day is passed over.",
    )
    at = forms.TimeField(label="At", widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    cron = forms.CharField(
        label="Cron expression",
        max_length=120,
        help_text="Minute, hour, day, month, day of week: “0 20 * * MON-FRI”. “L” is the last day of a month.",
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off"}),
    )
    time_zone = forms.ChoiceField(
        help_text="On the nights when its clocks change, a time they skip runs right after; one they show twice, once."
    )
    jitter_minutes = forms.IntegerField(
        label="Spread over minutes",
        min_value=0,
        max_value=1440,
        help_text="Starts up to so much later, so that not everything starts at once. 0 = on time.",
    )
    missed = forms.ChoiceField(
        label="When it was missed",
        choices=MissedRun.choices,
        help_text="After an outage: run once as soon as possible, however many were missed; or wait for the next.",
    )
    is_active = forms.BooleanField(label="Active", required=False, help_text="Off: it starts only with Run now.")

    def __init__(
        self, *args: Any, instance: Schedule | None = None, initial: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        self.instance = instance
        refilled = {name: value for name, value in (initial or {}).items() if value not in (None, "", [])}
        stored = _stored(instance) if instance else {}
        super().__init__(*args, initial=_proposed() | stored | refilled, **kwargs)
        self.operation_name = self._chosen("operation", ScheduledOperation.values)
        self.repeat_name = self._chosen("repeat", Repeat.values)
        self._keep_what_is_asked()
        self._fill_choices()

    def sections(self) -> list[Section]:
        """Besides the switching fields and the recurrence, which the template lays out."""
        return [Section(title="", fields=self.some("of", *_OF_OPERATIONS))]

    @property
    def recurrence_fields(self) -> list[forms.BoundField]:
        return self.some(*FIELDS_OF[self.repeat_name], "time_zone")

    @property
    def preview(self) -> Preview:
        """Of what is on the form now, saved or not."""
        try:
            values = {name: self._present(name) for name in (*FIELDS_OF[self.repeat_name], "time_zone")}
            recurrence = Recurrence(cron=cron_of(self.repeat_name, values), zone=str(values["time_zone"]))
        except InvalidRecurrence as error:
            return Preview(problem=error.sentence)
        except (forms.ValidationError, ValueError):
            return Preview(problem="Fill in how often, then the next runs are shown here.")
        slots = next_slots(recurrence, timezone.now(), SHOWN_RUNS)
        zone = ZoneInfo(recurrence.zone)
        return Preview(
            words=describe(recurrence.cron),
            zone=recurrence.zone,
            slots=tuple((slot.astimezone(zone), slot) for slot in slots),
            problem="" if slots else "It never comes.",
        )

    def clean(self) -> dict[str, Any]:
        cleaned = dict(super().clean() or {})
        if not self.errors:
            try:
                cleaned["cron"] = cron_of(self.repeat_name, cleaned)
            except ValueError as error:
                self.add_error("repeat", str(error))
        return cleaned

    def save(self, *, user: audit.Actor) -> Schedule | None:
        """The saved schedule; None when something was refused, which the form then shows."""
        values = self._values()
        if self.instance:
            schedule = self.instance
            return self.try_to_save(lambda: update_schedule(schedule, user=user, **values))
        return self.try_to_save(lambda: create_schedule(user=user, **values))

    def _values(self) -> Any:
        given = self.cleaned_data
        kind, _, pk = given["of"].partition(":")
        scope = dict.fromkeys(_SCOPES) | ({kind: _SCOPES[kind].objects.get(pk=pk)} if kind else {})
        same = ("name", "operation", "cron", "time_zone", "missed", "is_active")
        asked = {name: given[name] for name in _STORED_AS_ASKED if name in given}
        return (
            scope
            | asked
            | {name: given[name] for name in same}
            | {"copy": given.get("copy"), "jitter_seconds": given["jitter_minutes"] * 60}
        )

    def show_refusal(self, refusal: forms.ValidationError) -> None:
        """What the row's own check says of a reference is said at the field that chooses it."""
        if hasattr(refusal, "error_dict"):
            told = refusal.error_dict
            for name, shown in [*((scope, "of") for scope in _SCOPES), ("jitter_seconds", "jitter_minutes")]:
                if name in told and shown in self.fields:
                    told[shown] = told.pop(name)
            if "cron" in told and "cron" not in self.fields:
                told["repeat"] = told.pop("cron")
        super().show_refusal(refusal)

    def _chosen(self, name: str, known: list[str]) -> str:
        posted = self.data.get(self.add_prefix(name)) if self.is_bound else self.initial.get(name)
        return str(posted) if posted in known else known[0]

    def _keep_what_is_asked(self) -> None:
        asked = set(_FIELDS_OF_OPERATION.get(self.operation_name, ()))
        if "verify_how" in asked:
            asked |= set(_FIELDS_OF_VERIFY.get(self._chosen("verify_how", VerifyHow.values), ()))
        of_operations = set(_OF_OPERATIONS) - asked
        of_repeats = {name for names in FIELDS_OF.values() for name in names} - set(FIELDS_OF[self.repeat_name])
        for name in of_operations | of_repeats:
            del self.fields[name]
        if self.operation_name == ScheduledOperation.AGING:
            self.fields["of"].required = False
            self.fields["of"].widget = forms.HiddenInput()

    def _fill_choices(self) -> None:
        _choose(self.fields["of"], scope_choices(self.operation_name))
        _choose(self.fields["time_zone"], zone_choices(present=str(self.initial["time_zone"])))
        if self.operation_name in _OF_MEDIA:
            self.fields["of"].required = False
        copies = self.fields.get("copy")
        if isinstance(copies, forms.ModelChoiceField):
            is_backup = self.operation_name == ScheduledOperation.BACKUP_COPY
            kinds = BACKUP_KINDS if is_backup else (CopyKind.SECONDARY_SNAP, CopyKind.SECONDARY_BACKUP)
            copies.queryset = Copy.objects.filter(kind__in=kinds).select_related("policy")

    def _present(self, name: str) -> Any:
        """What is on the form now, cleaned. Raises ValidationError."""
        raw = self[name].value()
        return self.fields[name].clean(raw)


def scope_choices(operation: str) -> list[Any]:
    """What a schedule of this operation can be of, grouped by kind."""
    if operation == ScheduledOperation.AGING:
        return [("", "Everything")]
    if operation in _OF_MEDIA:
        return [("", "Every active medium"), *((f"media:{medium.pk}", medium.name) for medium in Media.objects.all())]
    subclients = Subclient.objects.select_related("file_server").order_by("file_server__name", "name")
    groups: list[tuple[str, list[tuple[str, str]]]] = [
        ("Storage policies", [(f"policy:{policy.pk}", policy.name) for policy in StoragePolicy.objects.all()]),
        ("File servers", [(f"file_server:{server.pk}", server.name) for server in FileServer.objects.all()]),
        ("Subclients", [(f"subclient:{subclient.pk}", subclient.path) for subclient in subclients]),
    ]
    return [("", "Choose"), *(group for group in groups if group[1])]


def _choose(field: forms.Field, choices: list[Any]) -> None:
    if isinstance(field, forms.ChoiceField):
        field.choices = choices


def _proposed() -> dict[str, Any]:
    installation = Installation.objects.filter(pk=1).first()
    return {
        "operation": ScheduledOperation.SNAPSHOT.value,
        "level": ScheduledLevel.INCREMENTAL.value,
        "verify_how": VerifyHow.DAYS.value,
        "verify_days": 30,
        "verify_percent": 5,
        "drill_files": 25,
        "drill_mib": 1024,
        "repeat": Repeat.DAILY.value,
        "every_hours": 4,
        "minute": 0,
        "days": [Weekday.SUNDAY.value],
        "day_of_month": 1,
        "at": time(20, 0),
        "time_zone": installation.time_zone if installation else "UTC",
        "jitter_minutes": 0,
        "missed": MissedRun.CATCH_UP.value,
        "is_active": True,
    }


def _stored(schedule: Schedule) -> dict[str, Any]:
    kinds = [name for name in _SCOPES if getattr(schedule, f"{name}_id") is not None]
    names = ("name", "operation", "time_zone", "missed", "is_active", *_STORED_AS_ASKED)
    return {
        **{name: getattr(schedule, name) for name in names},
        "of": f"{kinds[0]}:{getattr(schedule, f'{kinds[0]}_id')}" if kinds else "",
        "copy": schedule.copy_id,
        "jitter_minutes": schedule.jitter_seconds // 60,
        **choices_of(schedule.cron),
    }
