"""Form fields from a driver's options: one per field of its ``Options`` dataclass, named ``option_<field>``.

What is typed goes to :mod:`jobs.engine.options` as it is; its refusals come back beside the field. Secrets are
write-only: their fields are always rendered empty.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobs.engine.options import FieldSpec, FieldType
from jobs.engine.plan import Secret
from policies.services.writing import OPTION_PREFIX

_UNITS: Final = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
SECRET_IS_SET: Final = "Set. Leave empty to keep it; it is never shown."  # noqa: S105 - a help text


def option_fields(
    specs: Collection[FieldSpec], *, stored: Mapping[str, object], stored_secrets: Collection[str]
) -> dict[str, forms.Field]:
    """Fields in the order declared, filled with what is stored, else with the defaults."""
    return {
        OPTION_PREFIX + spec.name: _field(
            spec, initial=stored.get(spec.name, spec.default), is_set=spec.name in stored_secrets
        )
        for spec in specs
    }


def typed_options(specs: Collection[FieldSpec], cleaned: Mapping[str, Any]) -> dict[str, object]:
    """The options as JSON, without secrets; fields left empty are left out and take their defaults."""
    typed = {spec.name: cleaned.get(OPTION_PREFIX + spec.name) for spec in specs if not spec.secret}
    return {name: value for name, value in typed.items() if value not in {None, ""}}


def typed_secrets(specs: Collection[FieldSpec], cleaned: Mapping[str, Any]) -> dict[str, Secret]:
    """The secrets that were typed."""
    typed = {spec.name: cleaned.get(OPTION_PREFIX + spec.name) for spec in specs if spec.secret}
    return {name: Secret(str(value).replace("\r\n", "\n")) for name, value in typed.items() if value}


def suggest(field: forms.Field, id: str, values: Collection[str]) -> None:  # noqa: A002
    """Values that a text field offers; anything else may be typed. ``id`` is that of the list on the page."""
    field.widget = SuggestingInput(id=f"{id}-suggestions", values=values, attrs=field.widget.attrs)


class SuggestingInput(forms.TextInput):
    """A text input with a list of what is known."""

    def __init__(self, *, id: str, values: Collection[str], attrs: dict[str, Any] | None = None) -> None:  # noqa: A002
        super().__init__({**(attrs or {}), "list": id})
        self._list = format_html(
            '<datalist id="{}">{}</datalist>',
            id,
            format_html_join("", '<option value="{}">', ((one,) for one in values)),
        )

    def render(self, *args: Any, **kwargs: Any) -> SafeString:
        return super().render(*args, **kwargs) + self._list


class SecretTextarea(forms.Textarea):
    """For secrets of several lines; what was typed is never sent back."""

    def __init__(self) -> None:
        super().__init__(attrs={"rows": 5, "class": "mono", "spellcheck": "false", "autocomplete": "off"})

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, None, attrs)


class ConditionalField(forms.CharField):
    """Needed or not by what other fields say: called neither."""

    is_conditional = True


def secret_field(
    *,
    label: str,
    help_text: str,
    is_set: bool = False,
    required: bool = False,
    is_multiline: bool = False,
    is_conditional: bool = False,
) -> forms.CharField:
    """An input for a secret that is never filled in by the server or the browser."""
    password = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"})
    kind = ConditionalField if is_conditional and not is_set else forms.CharField
    return kind(
        label=label,
        required=required and not is_set,
        strip=False,
        widget=SecretTextarea() if is_multiline else password,
        help_text=f"{help_text} {SECRET_IS_SET}".strip() if is_set else help_text,
    )


def size_text(size: int) -> str:
    """Bytes as the options read them back exactly: ``10 GiB``, or the plain number."""
    for unit, name in _UNITS:
        if size and size % unit == 0:
            return f"{size // unit} {name}"
    return str(size)


def _field(spec: FieldSpec, *, initial: object, is_set: bool) -> forms.Field:
    shared: dict[str, Any] = {"label": spec.label, "help_text": spec.help, "required": spec.required}
    match spec.type:
        case FieldType.SECRET:
            return secret_field(
                label=spec.label,
                help_text=spec.help,
                is_set=is_set,
                required=spec.required,
                is_multiline=spec.is_multiline,
                is_conditional=spec.is_conditional,
            )
        case FieldType.BOOLEAN:
            return forms.BooleanField(**shared | {"required": False}, initial=initial)
        case FieldType.CHOICE:
            return forms.ChoiceField(**shared, initial=initial, choices=spec.choices)
        case FieldType.LINES:
            lines = "\n".join(str(line) for line in initial) if isinstance(initial, list | tuple) else ""
            return forms.CharField(**shared, initial=lines, widget=_textarea())
        case FieldType.INTEGER:
            return forms.IntegerField(
                **shared,
                initial=initial,
                min_value=spec.minimum,
                max_value=spec.maximum,
            )
        case FieldType.BYTES:
            text = size_text(initial) if isinstance(initial, int) else ""
            shared["help_text"] = f"{spec.help} For example 10 GiB.".strip()
            return forms.CharField(**shared, initial=text)
        case FieldType.PATH:
            return forms.CharField(**shared, initial=initial, widget=_mono())
        case FieldType.TEXT if spec.is_command:
            return forms.CharField(**shared, initial=initial, widget=_mono())
        case FieldType.TEXT:
            return forms.CharField(**shared, initial=initial)


def _mono() -> forms.TextInput:
    return forms.TextInput(attrs={"class": "mono", "spellcheck": "false", "autocomplete": "off"})


def _textarea() -> forms.Textarea:
    return forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"})
