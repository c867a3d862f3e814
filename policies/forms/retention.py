"""Fields that say how long a copy keeps what it holds, in the words of the field (RULES R1-R3, P)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.utils.safestring import SafeString

from policies.forms.service_form import Section, ServiceForm, described_choice
from policies.models import Copy, CopyKind, Period, Pick, Retention
from policies.models.policy_choices import BACKUP_KINDS
from policies.services.copy_checks import MOST_EXTENDED, RETENTIONS, ExtendedValues

DEFAULT_DAYS: Final = 30
DEFAULT_CYCLES: Final = 1
DEFAULT_SNAP_DAYS: Final = 7
FIGURES: Final = ("retention_days", "retention_cycles", "retention_count")
_SENTENCES: Final = {
    Retention.BASIC: "Kept until both are over. A cycle is a full and everything that follows until the next full; it "
    "ages as a whole, and the one that runs now always stays.",
    Retention.DAYS: "Each snapshot is kept for so many days from its job's start.",
    Retention.COUNT: "Only the newest ones are kept. Those that must still be copied stay beside them.",
    Retention.SPOOL: "A snapshot is deleted as soon as its backup copy succeeded. Engines that need a base for the "
    "next copy keep the newest copied one when a schedule took it. Whoever takes a snapshot by hand and wants it to "
    "stay turns this off first.",
    Retention.INFINITE: "Nothing is ever deleted by itself.",
}


class ConditionalNumber(forms.IntegerField):
    """Needed with one choice and left out with the others: neither required nor optional for people."""

    is_conditional = True


class ConditionalChoice(forms.ChoiceField):
    """As above."""

    is_conditional = True


def retention_fields(kind: str) -> dict[str, forms.Field]:
    """How long, and the figures that this kind of copy can have."""
    fields: dict[str, forms.Field] = {"retention": _retention_field(kind)}
    if kind in BACKUP_KINDS:
        fields["retention_days"] = _number("Days", "From the start of the copy's job.", least=0)
        fields["retention_cycles"] = _number("Cycles", "Full copies with all that depends on them.", least=0)
    else:
        fields["retention_days"] = _number("Days", "From the start of the snapshot's job.", least=1)
        fields["retention_count"] = _number("Number of snapshots", "Of each subclient.", least=1)
    fields["ages"] = forms.BooleanField(
        label="Aging on",
        required=False,
        help_text="Off: nothing here is deleted, whatever the retention says, until it is switched on again.",
    )
    return fields


def extended_fields() -> dict[str, forms.Field]:
    """Three rows of period, pick and days; a row without a period is no rule (RULES R3)."""
    fields: dict[str, forms.Field] = {}
    for number in range(1, MOST_EXTENDED + 1):
        fields[f"extended_{number}_pick"] = ConditionalChoice(
            label=f"Rule {number}: keep the", choices=Pick.choices, required=False
        )
        fields[f"extended_{number}_period"] = ConditionalChoice(
            label="full of each", choices=[("", "no rule"), *Period.choices], required=False
        )
        fields[f"extended_{number}_days"] = _number("for days", "Empty = for ever.", least=1)
    return fields


def retention_sections(form: ServiceForm) -> list[Section]:
    """The fields of both functions, with those that belong to one choice shown only with it."""
    is_backup = "retention_cycles" in form.fields
    sections = [Section(title="Retention", fields=form.some("retention"))]
    if is_backup:
        basic = form.some("retention_days", "retention_cycles")
        sections.append(Section(title="", fields=basic, when="basic", is_row=True))
    else:
        sections.append(Section(title="", fields=form.some("retention_days"), when="days"))
        sections.append(Section(title="", fields=form.some("retention_count"), when="count"))
    sections.append(Section(title="", fields=form.some("ages")))
    if is_backup:
        text = (
            "Keeps some fulls longer than the days and cycles above do. Each rule must be longer than the basic days."
        )
        for number in range(1, MOST_EXTENDED + 1):
            names = [f"extended_{number}_{part}" for part in ("pick", "period", "days")]
            title = "Extended retention" if number == 1 else ""
            sections.append(
                Section(title=title, text=text if title else "", fields=form.some(*names), when="basic", is_row=True)
            )
    return sections


def retention_initial(copy: Copy | None, kind: str) -> dict[str, Any]:
    """What is stored, or what a new copy is proposed."""
    if copy is not None:
        stored: dict[str, Any] = {name: getattr(copy, name) for name in ("retention", "ages", *FIGURES)}
        for number, rule in enumerate(copy.extended.all(), 1):
            stored |= {f"extended_{number}_{part}": getattr(rule, part) for part in ("pick", "period", "days")}
        return stored
    if kind in BACKUP_KINDS:
        figures = {"retention_days": DEFAULT_DAYS, "retention_cycles": DEFAULT_CYCLES}
        return {"retention": Retention.BASIC, "ages": True, **figures}
    return {"retention": Retention.DAYS, "ages": True, "retention_days": DEFAULT_SNAP_DAYS}


def typed_retention(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed as values of a copy; figures of another choice are left behind."""
    names = ("retention", "ages", *FIGURES)
    values = {name: cleaned[name] for name in names if name in cleaned}
    if "extended_1_period" in cleaned:
        values["extended"] = typed_extended(cleaned) if cleaned["retention"] == Retention.BASIC else []
    return values


def typed_extended(cleaned: Mapping[str, Any]) -> list[ExtendedValues]:
    """The rows that name a period."""
    rows = [
        {part: cleaned.get(f"extended_{number}_{part}") for part in ("pick", "period", "days")}
        for number in range(1, MOST_EXTENDED + 1)
    ]
    return [
        {"period": row["period"], "pick": row["pick"] or Pick.FIRST.value, "days": row["days"]}
        for row in rows
        if row["period"]
    ]


def _retention_field(kind: str) -> forms.ChoiceField:
    choices: list[tuple[str, SafeString]] = [
        (retention.value, described_choice(retention.label, _SENTENCES[retention]))
        for retention in RETENTIONS[CopyKind(kind)]
    ]
    return forms.ChoiceField(label="Keep", choices=choices, widget=forms.RadioSelect)


def _number(label: str, help_text: str, *, least: int) -> forms.IntegerField:
    return ConditionalNumber(label=label, help_text=help_text, min_value=least, max_value=100_000, required=False)
