"""``apply`` and ``export``: one file for the whole configuration, twice the same is nothing, secrets never in it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import CommandError, call_command

from policies.declared.applying import apply
from policies.declared.picture import picture
from policies.declared.problems import DeclaredRefused
from policies.declared.reading import read
from policies.declared.schema import SECTIONS
from policies.models import (
    AuditEntry,
    BlackoutWindow,
    Copy,
    Installation,
    Media,
    Schedule,
    StoragePolicy,
    Subclient,
)
from policies.resolve import media_password
from tests.factories import PASSWORD, make_file_server, make_media, make_policy
from tests.job_factories import make_snapshot
from tests.policies.declared import exported, forget_everything

pytestmark = pytest.mark.django_db

WHOLE = """
version: 1
settings:
  time_zone: Europe/Berlin
  week_start: monday
access_nodes:
  - name: n1
    slots: 3
    address: n1.example
media:
  - name: disk-a
    kind: disk
    options: {path: /srv/a, min_free_bytes: 10 GiB}
    secrets:
      repository_password: {file: PASSWORD_FILE}
  - name: disk-b
    kind: disk
    options: {path: /srv/b}
    secrets:
      repository_password: {env: TEST_DISK_B}
file_servers:
  - name: fs1
    engine: directory
    options: {area: /var/tmp/area-1}
    access_nodes: [n1]
    max_incrementals: 9
  - name: vault
    engine: directory
    options: {area: /var/tmp/area-2}
policies:
  - name: gold
    inline: true
    backup_source: vault
    selection: last_full
    selection_period: week
    selection_starts_on: 2026-01-01
    excluded_subclients: [fs1/scratch]
    copies:
      - {name: snap, kind: primary_snap, retention: spool}
      - {name: vault, kind: secondary_snap, target_server: vault, retention: {count: 12}}
      - name: offsite
        kind: secondary_backup
        medium: disk-b
        source: backup
        retention: infinite
      - name: backup
        kind: primary_backup
        medium: disk-a
        media_agents: [n1]
        retention: {days: 30, cycles: 2}
        extended:
          - {period: month, pick: last, days: 365}
          - {period: year}
subclients:
  - {file_server: fs1, name: home, content_paths: [/srv/home], policy: gold, pre_command: sync now}
  - {file_server: fs1, name: scratch, content_paths: [/srv/scratch], policy: gold}
schedules:
  - {name: hourly, operation: snapshot, policy: gold, cron: 0 * * * *, time_zone: Europe/Berlin, level: incremental}
  - {name: saturdays, operation: secondary_copy, policy: gold, copy: gold/vault, cron: 30 1 * * 6}
blackout_windows:
  - {name: office, operations: [prune], days: [monday, friday], starts_at: 08:00, ends_at: "17:30"}
"""


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    secret = tmp_path / "secret"
    secret.write_text("from the file\n")
    monkeypatch.setenv("TEST_DISK_B", "from the variable")
    return WHOLE.replace("PASSWORD_FILE", str(secret))


def run(text: str, tmp_path: Path, *words: str) -> tuple[int, str]:
    """(exit code, output) of ``apply``."""
    file, output = tmp_path / "declared.yaml", StringIO()
    file.write_text(text)
    try:
        call_command("apply", "-f", str(file), *words, stdout=output)
    except SystemExit as end:
        return int(end.code or 0), output.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, output.getvalue()


def refusal(text: str) -> str:
    with pytest.raises(DeclaredRefused) as refused:
        apply(read(text))
    return str(refused.value)


def test_a_file_makes_a_whole_configuration(whole: str) -> None:
    apply(read(whole))
    gold = StoragePolicy.objects.get()
    kinds = list(gold.copies.order_by("precedence").values_list("name", "kind"))
    assert kinds == [
        ("snap", "primary_snap"),
        ("vault", "secondary_snap"),
        ("offsite", "secondary_backup"),
        ("backup", "primary_backup"),
    ]
    assert [str(rule) for rule in Copy.objects.get(name="backup").extended.all()] == [
        "last full of each month: 365 days",
        "first full of each year: for ever",
    ]
    assert gold.backup_source == Copy.objects.get(name="vault")
    assert [subclient.path for subclient in gold.excluded_subclients.all()] == ["fs1/scratch"]
    assert media_password(Media.objects.get(name="disk-a")).reveal() == "from the file"
    assert media_password(Media.objects.get(name="disk-b")).reveal() == "from the variable"
    assert Media.objects.get(name="disk-a").options["min_free_bytes"] == 10 * 2**30
    assert (Installation.objects.get().time_zone, Installation.objects.get().week_start) == ("Europe/Berlin", 0)
    assert BlackoutWindow.objects.get(name="office").days == [0, 4]
    assert Schedule.objects.get(name="saturdays").copy == gold.backup_source


def test_a_second_apply_changes_nothing_and_says_so(whole: str, tmp_path: Path) -> None:
    code, said = run(whole, tmp_path)
    assert (code, "changed." in said) == (0, True)
    entries, times = AuditEntry.objects.count(), list(Copy.objects.values_list("updated_at", flat=True))
    code, said = run(whole, tmp_path)
    assert (code, said.strip()) == (0, "Nothing to do: the configuration is as the file says.")
    assert AuditEntry.objects.count() == entries
    assert list(Copy.objects.values_list("updated_at", flat=True)) == times


def test_a_plan_shows_the_difference_changes_nothing_and_exits_2(whole: str, tmp_path: Path) -> None:
    code, said = run(whole, tmp_path, "--plan")
    assert code == 2
    assert "+ medium disk-a" in said
    assert "+ copy gold/backup" in said
    assert "would change" in said
    assert not Media.objects.exists()
    run(whole, tmp_path)
    assert run(whole, tmp_path, "--plan")[0] == 0
    code, said = run(whole.replace("days: 30", "days: 31"), tmp_path, "--plan")
    assert code == 2
    assert "~ copy gold/backup\n    retention: {days: 30, cycles: 2} -> {days: 31, cycles: 2}" in said


def test_what_is_exported_makes_the_same_installation_again(whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(read(whole))
    first = exported()
    forget_everything()
    monkeypatch.setenv("SNAPCOPY_MEDIA_DISK_A_REPOSITORY_PASSWORD", "one")
    monkeypatch.setenv("SNAPCOPY_MEDIA_DISK_B_REPOSITORY_PASSWORD", "two")
    apply(read(first))
    assert exported() == first
    assert apply(read(first)) == []


def test_an_export_holds_no_secret_and_an_apply_of_it_keeps_those_that_are_stored(whole: str) -> None:
    apply(read(whole))
    text = exported()
    assert "from the" not in text
    assert apply(read(text)) == []
    assert media_password(Media.objects.get(name="disk-a")).reveal() == "from the file"


def test_a_placeholder_is_refused_where_nothing_is_stored(whole: str) -> None:
    apply(read(whole))
    text = exported()
    forget_everything()
    said = refusal(text)
    assert "The variable SNAPCOPY_MEDIA_DISK_A_REPOSITORY_PASSWORD is not set." in said
    assert "media[disk-a].secrets" in said
    assert not Media.objects.exists()


def test_a_changed_secret_is_planned_without_its_text(whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(read(whole))
    monkeypatch.setenv("TEST_DISK_B", "a new one")
    (change,) = apply(read(whole), plan=True)
    assert (change.name, change.fields) == ("disk-b", {"secrets.repository_password": ["set", "changed"]})
    apply(read(whole))
    assert media_password(Media.objects.get(name="disk-b")).reveal() == "a new one"


def test_it_is_audited_as_the_command_line(whole: str) -> None:
    apply(read(whole))
    assert set(AuditEntry.objects.values_list("how", flat=True)) == {"cli"}


def test_what_the_file_does_not_name_stays(whole: str) -> None:
    make_policy(name="silver")
    apply(read(whole))
    apply(read("policies: [{name: gold, description: new}]"))
    gold = StoragePolicy.objects.get(name="gold")
    assert (gold.description, gold.is_inline, gold.copies.count()) == ("new", True, 4)
    assert StoragePolicy.objects.filter(name="silver").exists()


def test_absent_deletes_and_an_absent_object_that_is_not_there_is_fine(whole: str) -> None:
    apply(read(whole))
    text = """
    policies: [{name: gold, copies: [{name: offsite, state: absent}]}]
    media: [{name: disk-b, state: absent}]
    schedules: [{name: hourly, state: absent}, {name: never, state: absent}]
    """
    kinds = [(change.action.value, change.kind, change.name) for change in apply(read(text))]
    assert ("delete", "medium", "disk-b") in kinds
    assert ("delete", "copy", "gold/offsite") in kinds
    assert ("delete", "schedule", "hourly") in kinds
    assert apply(read(text)) == []


def test_what_is_needed_is_not_deleted_and_nothing_else_changes(whole: str) -> None:
    apply(read(whole))
    make_snapshot(Subclient.objects.get(name="home"))
    before = picture()
    said = refusal("settings: {week_start: sunday}\nsubclients: [{file_server: fs1, name: home, state: absent}]")
    assert "subclients[fs1/home]" in said
    assert "line 2" in said
    assert picture() == before


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("policys: []", ["line 1", "There is no key “policys” here.", "Did you mean “policies”?"]),
        ("policies:\n  - name: gold\n    inlin: true", ["line 3, policies[gold].inlin", "Did you mean “inline”?"]),
        ("policies:\n  - inline: true", ["line 2", "needs its name"]),
        ("policies:\n  - {name: a}\n  - {name: a}", ["line 3", "twice"]),
        ("media: {}", ["line 1", "Here belongs a list"]),
        ("- a", ["Here belongs a mapping"]),
        ("settings: {week_start: someday}", ["settings.week_start", "One of: monday"]),
        ("settings: {time_zone: Mars/Base}", ["settings.time_zone", "no such time zone"]),
        ("access_nodes: [{name: n, slots: 65}]", ["access_nodes[n].slots", "From 1 to 64"]),
        ("access_nodes: [{name: n, slots: two}]", ["a whole number"]),
        ("access_nodes: [{name: on}]", ["access_nodes[on].name", 'Write it in quotes: "on"']),
        ("policies: [{name: p, selection_starts_on: soon}]", ["not a day", "2026-01-31"]),
        ("policies: [{name: p, selection: first_full}]", ["policies[p].selection_period", "Choose the period"]),
        ("policies: [{name: p, active: maybe}]", ["true or false"]),
        ("policies: [{name: p, copies: [{name: c}]}]", ["policies[p].copies[c]", "needs kind"]),
        (
            "policies: [{name: p, copies: [{name: c, kind: primary_backup, medium: nowhere}]}]",
            ["policies[p].copies[c].medium", "There is no medium nowhere."],
        ),
        ("policies: [{name: p, copies: [{name: c, kind: primary_snap, retention: {years: 1}}]}]", ["no retention"]),
        (
            "policies: [{name: p, copies: [{name: c, kind: primary_snap, retention: {days: 3, cycles: 1}}]}]",
            ["policies[p].copies[c].retention", "kept by"],
        ),
        ("media: [{name: m, kind: disk, secrets: {repository_password: hello}}]", ["only as a reference"]),
        (
            "media: [{name: m, kind: disk, options: {path: /x}, secrets: {repository_password: {file: /no/such}}}]",
            ["media[m].secrets", "/no/such cannot be read"],
        ),
        ("file_servers: [{name: f, engine: punchcards}]", ["file_servers[f].engine", "punchcards"]),
        ("media: [{name: m, kind: disk}]", ["media[m].secrets.repository_password", "always encrypted"]),
        (
            "file_servers: [{name: f, engine: directory, options: {area: relative}}]",
            ["file_servers[f].options.area", "absolute"],
        ),
        ("subclients: [{file_server: f, name: s, content_paths: [/a], policy: p}]", ["no storage policy p"]),
        ("schedules: [{name: s, operation: aging, cron: whenever}]", ["schedules[s].cron"]),
        ("version: 2", ["Write 1."]),
        ("a: [", ["line 1", "not YAML"]),
        ("policies: !!python/object/apply:os.system [ls]", ["line 1"]),
    ],
)
def test_a_fault_is_told_with_its_line_its_path_and_the_remedy(text: str, parts: list[str]) -> None:
    said = refusal(text)
    assert [part for part in parts if part not in said] == [], said
    assert not StoragePolicy.objects.exists()
    assert not Media.objects.exists()


def test_every_fault_of_a_file_is_told_at_once() -> None:
    said = refusal("policies:\n  - {name: a, x: 1}\n  - {name: b, y: 2}\nmedia: 3")
    assert [line.split(":")[0].split(",")[0] for line in said.splitlines()] == ["line 2", "line 3", "line 4"]


def test_a_refusal_is_4_and_json_for_programs(tmp_path: Path) -> None:
    code, said = run("polcies: []", tmp_path)
    assert code == 4
    assert "Nothing was changed." in said
    code, said = run("polcies: []", tmp_path, "--json")
    assert code == 4
    (problem,) = json.loads(said)["problems"]
    assert (problem["line"], problem["path"]) == (1, "polcies")
    with pytest.raises(CommandError) as refused:
        call_command("apply", "-f", str(tmp_path / "nowhere.yaml"))
    assert refused.value.returncode == 4


def test_a_plan_as_json_names_every_change(whole: str, tmp_path: Path) -> None:
    code, said = run(whole, tmp_path, "--plan", "--json")
    shown = json.loads(said)
    assert (code, shown["plan"], shown["problems"]) == (2, True, [])
    assert {"action": "create", "kind": "medium", "name": "disk-a", "fields": {}, "deletions": []} in shown["changes"]


def test_json_is_read_too(whole: str) -> None:
    apply(read(whole))
    output = StringIO()
    call_command("export", "--json", stdout=output)
    assert apply(read(output.getvalue())) == []


def test_an_empty_file_is_nothing_to_do(tmp_path: Path) -> None:
    assert run("", tmp_path)[0] == 0


def test_a_medium_declared_without_its_secrets_keeps_them() -> None:
    medium = make_media(name="disk-z")
    apply(read("media: [{name: disk-z, description: new}]"))
    medium.refresh_from_db()
    assert medium.description == "new"
    assert media_password(medium).reveal() == PASSWORD


def test_the_file_of_the_documentation_can_be_applied(tmp_path: Path) -> None:
    page = (Path(settings.BASE_DIR) / "templates" / "docs" / "declared.md").read_text()
    example = page.split("## The keys\n\n```\n")[1].split("```")[0]
    secret = tmp_path / "password"
    secret.write_text("hidden")
    make_media(name="disk-b")
    make_file_server(name="other", engine="btrfs", volume="/other")
    text = example.replace("/etc/snapcopy/disk-a.password", str(secret)).replace("[files/scratch]", "[files/home]")
    apply(read(text))
    assert apply(read(text)) == []
    sections = {section.name for section in SECTIONS}
    assert sections <= set(yaml.safe_load(text))
