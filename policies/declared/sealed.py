"""The configuration as it is kept in the repository of a medium, and as it comes back from there (no secret in either).

It comes back into an installation that has the medium already, under whatever name. What needs a secret that nobody
typed is left out, with everything that refers to it, and named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jobs.engine.options import field_specs
from jobs.engine.plan import Secret
from jobs.engine.snapshots.registry import ENGINES
from policies.declared.picture import Plain, picture
from policies.declared.problems import DeclaredRefused, Problem
from policies.declared.reading import Declared, read
from policies.declared.secrets import TYPED
from policies.models import Media

FORMAT: Final = 1
_SECTIONS: Final = {"media": "medium", "file_servers": "file server"}
_BACKUP: Final = ("primary_backup", "secondary_backup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A secret that the configuration refers to: of ``section`` media or file_servers, the object's name, its field."""

    section: str
    name: str
    field: str

    @property
    def key(self) -> str:
        return f"{self.section}:{self.name}:{self.field}"

    @property
    def label(self) -> str:
        return f"{self.field.replace('_', ' ').capitalize()} of the {_SECTIONS[self.section]} {self.name}"


def sealed_text(medium: Media) -> bytes:
    """What is kept on ``medium``: the same bytes as long as nothing changes."""
    kept = {"snapcopy_configuration": FORMAT, "medium": medium.name, "configuration": picture()}
    return json.dumps(kept, ensure_ascii=False, indent=1).encode()


def opened(text: bytes) -> Plain | None:
    """What was kept, as plain data; None if it is no such thing, or of a later format."""
    try:
        kept = json.loads(text)
        if "\0" in json.dumps(kept, ensure_ascii=False).encode().decode() or b"\\u0000" in text:
            return None
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(kept, dict) and kept.get("snapcopy_configuration") == FORMAT
    return kept if is_ours and isinstance(kept.get("configuration"), dict) else None


def counts(kept: Plain) -> dict[str, int]:
    """How many objects of each section, for people."""
    sections = ("file_servers", "subclients", "policies", "schedules", "media", "access_nodes")
    return {name: len(kept["configuration"].get(name, ())) for name in sections}


def needed_secrets(kept: Plain) -> list[Needed]:
    """All but those of the medium it was kept on, which has its own already."""
    return [
        Needed(section=section, name=item["name"], field=field)
        for section in _SECTIONS
        for item in kept["configuration"].get(section, ())
        if (section, item["name"]) != ("media", kept["medium"])
        for field in item.get("secrets", ())
    ]


def commands_of(kept: Plain) -> list[tuple[str, str]]:
    """(what it belongs to, command) of everything that would run on access nodes: a person looks at it before."""
    engines = [
        (one["name"], one["options"][spec.name])
        for one in kept["configuration"].get("file_servers", ())
        if one.get("engine") in ENGINES
        for spec in field_specs(ENGINES[one["engine"]].options)
        if spec.is_command and one.get("options", {}).get(spec.name)
    ]
    return engines + [
        (f"{one['file_server']}/{one['name']}", one[key])
        for one in kept["configuration"].get("subclients", ())
        for key in ("pre_command", "post_command")
        if one.get(key)
    ]


def rebuilt(
    kept: Plain, medium: Media, typed: Mapping[str, Secret], *, with_schedules: bool = False
) -> tuple[Declared, list[str]]:
    """What is to be applied, and what is left out. ``typed`` maps :attr:`Needed.key` to a secret.

    Schedules come back switched off unless ``with_schedules``. Raises DeclaredRefused for what cannot be read.
    """
    try:
        needed = needed_secrets(kept)
        lacking = {(one.section, one.name) for one in needed if one.key not in typed}
        wanted, left_out = _without(kept, medium, lacking)
        for schedule in wanted["schedules"]:
            schedule["active"] = schedule["active"] and with_schedules
    except (KeyError, TypeError, AttributeError) as error:
        raise DeclaredRefused([Problem(line=0, path="", sentence="The configuration is not complete.")]) from error
    declared = read(json.dumps(wanted))
    for one in needed:
        for entry in declared.entries.get(one.section, []):
            if entry.name == one.name:
                entry.values["secrets"][one.field] = {TYPED: typed[one.key]}
    return declared, left_out


def _without(kept: Plain, medium: Media, lacking: set[tuple[str, str]]) -> tuple[Plain, list[str]]:
    """A copy in which the medium has its name of today and what lacks a secret is nowhere referred to."""
    plain: Plain = json.loads(json.dumps(kept["configuration"]))
    own, media = kept["medium"], {name for section, name in lacking if section == "media"}
    servers = {name for section, name in lacking if section == "file_servers"}
    left_out = [f"the {_SECTIONS[section]} {name}" for section, name in sorted(lacking)]
    plain["media"] = [one for one in plain["media"] if one["name"] not in {*media, own}]
    plain["file_servers"] = [one for one in plain["file_servers"] if one["name"] not in servers]
    gone = {f"{one['file_server']}/{one['name']}" for one in plain["subclients"] if one["file_server"] in servers}
    plain["subclients"] = [one for one in plain["subclients"] if one["file_server"] not in servers]
    left_out += [f"the subclient {path}" for path in sorted(gone)]
    dropped: set[str] = set()
    for policy in plain["policies"]:
        policy["excluded_subclients"] = [path for path in policy["excluded_subclients"] if path not in gone]
        dropped |= _fit_copies(policy, own, medium.name, media, servers)
    left_out += [f"the copy {path}" for path in sorted(dropped)]
    kept_schedules = []
    for schedule in plain["schedules"]:
        if schedule["medium"] == own:
            schedule["medium"] = medium.name
        is_gone = schedule["medium"] in media or schedule["file_server"] in servers or schedule["subclient"] in gone
        if is_gone or schedule["copy"] in dropped:
            left_out.append(f"the schedule {schedule['name']}")
        else:
            kept_schedules.append(schedule)
    plain["schedules"] = kept_schedules
    return plain, left_out


def _fit_copies(policy: Plain, own: str, name: str, media: set[str], servers: set[str]) -> set[str]:
    """Drop copies on what is left out. What they fed is fed by snapshots; the first backup copy is the primary."""
    dropped = {copy["name"] for copy in policy["copies"] if copy["medium"] in media or copy["target_server"] in servers}
    policy["copies"] = [copy for copy in policy["copies"] if copy["name"] not in dropped]
    for copy in policy["copies"]:
        copy["medium"] = name if copy["medium"] == own else copy["medium"]
        copy["source"] = None if copy["source"] in dropped else copy["source"]
    if policy["backup_source"] in dropped:
        policy["backup_source"] = None
    backups = [copy for copy in policy["copies"] if copy["kind"] in _BACKUP]
    if dropped and backups and all(copy["kind"] != _BACKUP[0] for copy in backups):
        backups[0]["kind"], backups[0]["source"] = _BACKUP[0], None
    return {f"{policy['name']}/{copy}" for copy in dropped}
