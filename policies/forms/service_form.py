"""What all forms share: sections, saving through a service, and refilling without validating."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Model
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.engine.errors import EngineError
from policies.services.writing import OPTION_PREFIX

Saved = TypeVar("Saved", bound=Model)

SWITCH = "switch"
"""Name of the button that only asks for the fields of another kind."""

REFETCH: Final = {
    "hx-post": "",
    "hx-trigger": "change",
    "hx-vals": f'{{"{SWITCH}": "1"}}',
    "hx-target": "#object-form",
    "hx-select": "#object-form",
    "hx-swap": "outerHTML",
}
"""Attributes of a control whose change fetches the whole form again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Some fields of a form under a heading.

    ``when`` names the choice that they belong to; a style sheet hides them with any other, the server ignores them.
    ``is_row``: side by side where there is room. ``folds``: for the few who need it; shut while nothing is in it.
    """

    title: str
    fields: Sequence[forms.BoundField]
    text: str = ""
    when: str = ""
    is_row: bool = False
    folds: bool = False

    @property
    def is_open(self) -> bool:
        """Whether one that folds has to be seen: something is typed there, or wrong."""
        return any(field.errors or field.value() not in (None, "", False) for field in self.fields)


class ServiceForm(forms.Form):
    """A form whose values a service checks and writes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)

    def sections(self) -> list[Section]:
        """How the form is laid out; by default one section without a heading."""
        return [Section(title="", fields=list(self))]

    def some(self, *names: str) -> list[forms.BoundField]:
        """Bound fields by name; names the form does not have are left out."""
        return [self[name] for name in names if name in self.fields]

    def is_as_proposed(self, name: str) -> bool:
        """Whether a field was posted as the page proposed it, so that another kind's proposal may replace it."""
        return False

    def starting_with(self, prefix: str) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(prefix)]

    def try_to_save(self, write: Callable[[], Saved]) -> Saved | None:
        """Run a service; what it refuses is shown beside the fields, and None is returned."""
        try:
            return write()
        except ValidationError as refusal:
            self.show_refusal(refusal)
        except EngineError as error:
            self.add_error(None, f"{error.sentence} {error.hint}".strip())
        return None

    def show_refusal(self, refusal: ValidationError) -> None:
        """Messages of fields that this form does not have go above the form, with the field's name."""
        if not hasattr(refusal, "error_dict"):
            self.add_error(None, refusal)
            return
        for name, errors in refusal.error_dict.items():
            if name in self.fields:
                self.add_error(name, errors)
                continue
            where = "" if name == NON_FIELD_ERRORS else f"{name.replace('_', ' ').capitalize()}: "
            for error in errors:
                self.add_error(None, where + " ".join(error.messages))


def refill(post: QueryDict, form: ServiceForm, *, same_kind: bool) -> dict[str, Any]:
    """What was typed, as initial values: to show a form again without complaining about what is not finished.

    Of another kind's options only those count that were on the page (an absent check box would read as off) and were
    changed there (one kind's default means nothing to another).
    """
    return {
        name: field.widget.value_from_datadict(post, form.files, form.add_prefix(name))
        for name, field in form.fields.items()
        if not isinstance(field.widget, forms.PasswordInput)
        and (same_kind or not name.startswith(OPTION_PREFIX) or (name in post and not form.is_as_proposed(name)))
    }


def kind_choices(kinds: Mapping[str, Any]) -> list[tuple[str, SafeString]]:
    """Registry entries as radio choices: the label, and below it the honest sentence about the kind."""
    return [(name, described_choice(kind.label, kind.summary)) for name, kind in kinds.items()]


def described_choice(label: str, summary: str) -> SafeString:
    return format_html(
        '<span class="choice-text"><span class="strong">{}</span> <span class="sub">{}</span></span>', label, summary
    )


def kind_field(*, label: str, help_text: str, choices: Collection[tuple[str, SafeString]]) -> forms.ChoiceField:
    """Radio buttons that fetch the fields of the kind chosen; without scripts the form has a button for it."""
    return forms.ChoiceField(
        label=label, help_text=help_text, choices=list(choices), widget=forms.RadioSelect(attrs=REFETCH)
    )
