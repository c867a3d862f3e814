"""What a search asks for, in the address: ``?q=report&which=all&…``."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.utils import timezone

from jobs.catalog.searching import Kinds, Question, Which
from policies.models import FileServer, Subclient
from policies.selectors.visible import Person, visible_file_servers, visible_subclients

_MIB: Final = 2**20
_LARGEST: Final = Decimal(2**42)
_FIRST_DAY: Final = date(1, 1, 3)
_LAST_DAY: Final = date(9999, 12, 28)
"""What lies beyond cannot be told in every time zone."""
_DAY: Final = forms.DateInput(attrs={"type": "date"})
_KINDS: Final = (
    (Kinds.ANY.value, "Anything"),
    (Kinds.FILE.value, "Files"),
    (Kinds.FOLDER.value, "Folders"),
    (Kinds.SYMLINK.value, "Symbolic links"),
    (Kinds.OTHER.value, "Devices and pipes"),
)
_WHICH: Final = (
    (Which.EXISTING.value, "What is there now"),
    (Which.ALL.value, "Also what is gone"),
    (Which.DELETED.value, "Only what is gone"),
)


class SearchForm(forms.Form):
    """Choices hold what the user may see. Days are in the current time zone and belong to the range."""

    q = forms.CharField(label="Name, part of a name, or path", required=False, strip=True, max_length=4096)
    exact = forms.BooleanField(label="The whole name, to the letter", required=False)
    which = forms.ChoiceField(label="Which", choices=_WHICH, required=False)
    server = forms.ModelChoiceField(
        FileServer.objects.none(),
        label="File server",
        required=False,
        empty_label="Any file server",
        to_field_name="name",
    )
    subclient = forms.ModelChoiceField(Subclient.objects.none(), required=False, empty_label="Any subclient")
    kind = forms.ChoiceField(label="Type", choices=_KINDS, required=False)
    smallest = forms.DecimalField(label="At least, MiB", required=False, min_value=0, max_value=_LARGEST)
    largest = forms.DecimalField(label="At most, MiB", required=False, min_value=0, max_value=_LARGEST)
    modified_from = forms.DateField(label="Modified from", required=False, widget=_DAY)
    modified_until = forms.DateField(label="Modified to", required=False, widget=_DAY)
    existed_from = forms.DateField(label="There from", required=False, widget=_DAY)
    existed_until = forms.DateField(label="There to", required=False, widget=_DAY)

    def __init__(self, *args: Any, user: Person, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._choose("server", visible_file_servers(user).order_by("name"))
        subclients = visible_subclients(user).select_related("file_server")
        self._choose("subclient", subclients.order_by("file_server__name", "name"))
        self.fields["q"].widget.attrs |= {
            "type": "search",
            "placeholder": "report, *.docx, /srv/data/plan.txt",
            "autocomplete": "off",
            "data-shortcut-search": True,
        }

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        for first, last in (
            ("smallest", "largest"),
            ("modified_from", "modified_until"),
            ("existed_from", "existed_until"),
        ):
            low, high = given.get(first), given.get(last)
            if low is not None and high is not None and low > high:
                label = str(self.fields[first].label).lower()
                self.add_error(last, f"This is before “{label}”. Exchange the two.")
        return given

    def question(self) -> Question:
        """Of a valid form."""
        given = self.cleaned_data
        server, subclient = given["server"], given["subclient"]
        return Question(
            text=given["q"],
            is_exact=given["exact"],
            file_server=server.name if server else None,
            subclient_id=subclient.pk if subclient else None,
            kinds=Kinds(given["kind"]),
            smallest=_bytes(given["smallest"]),
            largest=_bytes(given["largest"]),
            modified_from=_start(given["modified_from"]),
            modified_until=_end(given["modified_until"]),
            existed_from=_start(given["existed_from"]),
            existed_until=_end(given["existed_until"]),
            which=Which(given["which"] or Which.EXISTING),
        )

    @property
    def main_fields(self) -> list[forms.BoundField]:
        """What is shown at once beside the text."""
        return [self[name] for name in ("subclient", "which", "kind")]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        """What is folded in."""
        names = ("server", "smallest", "largest", "modified_from", "modified_until", "existed_from", "existed_until")
        return [self[name] for name in names]

    @property
    def uses_more(self) -> bool:
        return any(self.data.get(field.name) for field in self.more_fields)

    @property
    def is_filtered(self) -> bool:
        return any(self.data.get(name) for name in self.fields if name != "q")

    def _choose(self, name: str, rows: Any) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = rows


def _bytes(mebibytes: Decimal | None) -> int | None:
    return int(mebibytes * _MIB) if mebibytes is not None else None


def _start(day: date | None) -> datetime | None:
    """Its first moment, None for None."""
    if day is None:
        return None
    return timezone.make_aware(datetime.combine(min(max(day, _FIRST_DAY), _LAST_DAY), time.min))


def _end(day: date | None) -> datetime | None:
    """Its last moment, None for None."""
    start = _start(day)
    return start + timedelta(days=1, microseconds=-1) if start is not None else None
