"""The filter of the activity page."""

from __future__ import annotations

from django import forms
from django.http import QueryDict

from policies.audit import Action
from policies.selectors.activity import ActivityFilter, kinds_in_activity, people_in_activity
from policies.selectors.visible import Person


class ActivityFilterForm(forms.Form):
    """Lives in the address; every field may be empty."""

    person = forms.ChoiceField(required=False)
    kind = forms.ChoiceField(required=False, label="Object")
    action = forms.ChoiceField(required=False, choices=[("", "Any"), *Action.choices])
    words = forms.CharField(required=False, label="Name", widget=forms.SearchInput(attrs={"data-shortcut-search": ""}))
    since = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, data: QueryDict, *, user: Person) -> None:
        super().__init__(data, label_suffix="")
        for name, values in (("person", people_in_activity(user)), ("kind", kinds_in_activity(user))):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
            field.choices = [
                ("", "Any"),
                *((value, value.capitalize() if name == "kind" else value) for value in values),
            ]

    @property
    def is_filtered(self) -> bool:
        return any(self.data.get(name) for name in self.fields)

    def wanted(self) -> ActivityFilter:
        """Fields that make no sense do not filter."""
        self.is_valid()
        cleaned = self.cleaned_data
        return ActivityFilter(
            person=cleaned.get("person", ""),
            kind=cleaned.get("kind", ""),
            action=cleaned.get("action", ""),
            words=cleaned.get("words", ""),
            since=cleaned.get("since"),
            until=cleaned.get("until"),
        )
