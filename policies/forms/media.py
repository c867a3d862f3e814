"""The form of a medium."""

from __future__ import annotations

from typing import Any

from django import forms

from jobs.engine.media.layers import REMOTE
from jobs.engine.media.registry import MEDIA
from jobs.engine.plan import Secret
from jobs.rules.bandwidth import InvalidCalendarError, parse_rate, rate_text
from policies import audit
from policies.forms.kind_form import KindForm
from policies.forms.option_fields import secret_field
from policies.forms.service_form import Section, kind_choices, kind_field
from policies.models import Media
from policies.models.media import LONGEST_TIMEOUT, MOST_RETRIES, MOST_TRANSFERS, SHORTEST_TIMEOUT
from policies.secrets import REPOSITORY_PASSWORD, secret_fields
from policies.services import create_media, update_media

_LIMITS = ("bandwidth_calendar", "parallel_transfers", "retries", "timeout_seconds")
_PLAIN = ("name", "description", "kind", "is_active", *_LIMITS)


class RateField(forms.CharField):
    """A bandwidth as people write it. Cleans to bytes per second; empty = None."""

    def clean(self, value: Any) -> int | None:
        text = super().clean(value)
        try:
            return parse_rate(text) if text else None
        except InvalidCalendarError as error:
            raise forms.ValidationError(error.sentence) from error


class MediaForm(KindForm):
    """Create a medium, or edit ``instance``. ``kind`` is the kind asked for in the address.

    ``has_repository``: one lies there already, and shows whether its password was typed right.
    """

    kinds = MEDIA

    name = forms.CharField(
        max_length=64, help_text="Short, as it appears in commands and on every page. No spaces: offsite-disk."
    )
    description = forms.CharField(required=False, help_text="Where it stands, whom to ask. For people only.")
    is_active = forms.BooleanField(
        label="Active",
        required=False,
        help_text="Off: no copy is written to it. What lies there can still be restored.",
    )
    bandwidth_limit = RateField(
        required=False,
        help_text="Most that all jobs together write and read, like 20 MiB/s. Empty: no limit. A change counts for "
        "running jobs within seconds.",
    )
    bandwidth_calendar = forms.CharField(
        label="Other limits by the hour",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "Mon-Fri 08-18: 20 MiB/s\nSat,Sun 00-24: no limit"}),
        help_text="One line for each, like Mon-Fri 08-18: 20 MiB/s. The first that fits decides; outside of all, the "
        "limit above does.",
    )
    parallel_transfers = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_TRANSFERS,
        help_text=f"Files that one job writes or reads at once. Empty: {REMOTE.transfers} over a network.",
    )
    retries = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_RETRIES,
        help_text=f"How often what fails is tried again, with growing pauses. Empty: {REMOTE.retries} over a network; "
        "a directory is not tried again.",
    )
    timeout_seconds = forms.IntegerField(
        label="Timeout in seconds",
        required=False,
        min_value=SHORTEST_TIMEOUT,
        max_value=LONGEST_TIMEOUT,
        help_text="For one operation, and a second more for each 64 KiB it moves. Empty: "
        f"{REMOTE.timeout_seconds:.0f} over a network.",
    )

    def __init__(
        self,
        *args: Any,
        instance: Media | None = None,
        kind: str | None = None,
        has_repository: bool = False,
        **kwargs: Any,
    ) -> None:
        self.instance, self.has_repository = instance, has_repository
        stored = instance.kind if instance else None
        initial = {"is_active": True} | (kwargs.pop("initial", None) or {})
        if instance:
            initial = {
                "name": instance.name,
                "description": instance.description,
                "is_active": instance.is_active,
                "bandwidth_limit": "" if instance.bandwidth_limit is None else rate_text(instance.bandwidth_limit),
                **{name: getattr(instance, name) for name in _LIMITS},
            } | initial
        super().__init__(*args, initial=initial, **kwargs)
        self.kind_name = self.choose_kind("kind", asked=kind, stored=stored)
        self.initial["kind"] = self.kind_name
        self.fields["kind"] = kind_field(
            label="Kind", help_text="What the medium is.", choices=kind_choices(self.kinds)
        )
        secrets = secret_fields(instance) if instance else set()
        keeps_kind = instance is not None and self.kind_name == stored
        self.add_options(
            stored=instance.options if instance and keeps_kind else {}, stored_secrets=secrets if keeps_kind else ()
        )
        self._add_password(is_set=REPOSITORY_PASSWORD in secrets)

    def sections(self) -> list[Section]:
        return [
            Section(title="", fields=self.some("name", "description", "kind")),
            Section(title=f"{self.kind_label} settings", fields=self.option_bound_fields()),
            Section(
                title="Repository",
                text="One repository in the restic format lies on each medium. It is always encrypted.",
                fields=self.some(REPOSITORY_PASSWORD, "repeat_password"),
            ),
            Section(
                title="Limits: bandwidth, transfers at once, retries, timeout",
                text="Of this medium, whatever kind it is. All may stay empty.",
                fields=self.some("bandwidth_limit", *_LIMITS),
                folds=True,
            ),
            Section(title="", fields=self.some("is_active")),
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        is_repeated = self.has_repository or cleaned.get(REPOSITORY_PASSWORD) == cleaned.get("repeat_password")
        if not is_repeated and not self.has_error(REPOSITORY_PASSWORD):
            self.add_error("repeat_password", "The two passwords differ. Type both again.")
        return cleaned

    def save(self, *, user: audit.Actor) -> Media | None:
        """The saved medium; None when something was refused, which the form then shows."""
        names = (*_PLAIN, "bandwidth_limit")
        values: dict[str, Any] = {name: self.cleaned_data[name] for name in names if name in self.cleaned_data}
        secrets = self.typed_secrets()
        if self.cleaned_data[REPOSITORY_PASSWORD]:
            secrets[REPOSITORY_PASSWORD] = Secret(self.cleaned_data[REPOSITORY_PASSWORD])
        values["options"] = self.typed_options()
        if self.instance:
            medium = self.instance
            return self.try_to_save(lambda: update_media(medium, user=user, secrets=secrets, **values))
        return self.try_to_save(lambda: create_media(user=user, secrets=secrets, **values))

    def _add_password(self, *, is_set: bool) -> None:
        if is_set:
            text = (
                "The password SnapCopy opens the repository with. A new one here does not change the repository's own."
            )
        elif self.has_repository:
            text = "That of the repository, as restic or SnapCopy was given it. Keep it elsewhere too."
        else:
            text = (
                "Encrypts everything on this medium. Keep it elsewhere too: with it any restic reads your data without "
                "SnapCopy, and without it nobody can. For an existing repository type its password."
            )
        self.fields[REPOSITORY_PASSWORD] = secret_field(
            label="Repository password", help_text=text, is_set=is_set, required=True
        )
        if not self.has_repository:
            self.fields["repeat_password"] = secret_field(
                label="Repeat the password", help_text="", required=not is_set
            )
