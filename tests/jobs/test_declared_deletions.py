"""RULES R9 for the configuration as a file: what an apply would delete is listed, and refused until it is confirmed."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs.models import BackupCopy, CopyState
from jobs.services.aging import age_everything
from policies.models import AuditEntry, Copy, Subclient
from tests.factories import backup_copy_of, make_media, make_policy, make_subclient
from tests.job_factories import make_backup_copy, make_snapshot

pytestmark = pytest.mark.django_db

SHORTER = "policies: [{name: gold, description: new, copies: [{name: backup, retention: {days: 10, cycles: 1}}]}]"
LONGER = "policies: [{name: gold, copies: [{name: backup, retention: {days: 900, cycles: 1}}]}]"


@pytest.fixture(autouse=True)
def subclient() -> Subclient:
    """Fulls of the last four weeks, all copied, kept for ever."""
    made = make_subclient(policy=make_policy(media=make_media()))
    copy = backup_copy_of(made.policy)
    Copy.objects.filter(pk=copy.pk).update(retention="infinite", retention_days=None, retention_cycles=None)
    for number, days in enumerate((28, 21, 14, 7, 0)):
        taken = make_snapshot(made, n=number, taken_at=timezone.now() - timedelta(days=days, hours=1))
        make_backup_copy(taken, copy, ran_level="full")
    return made


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(text: str, *options: str) -> tuple[int, str]:
        """Exit code, and what was said."""
        file, said = tmp_path / "file.yaml", StringIO()
        file.write_text(text)
        try:
            call_command("apply", "-f", str(file), *options, stdout=said)
        except CommandError as refusal:
            return refusal.returncode, said.getvalue() + str(refusal)
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()
        return 0, said.getvalue()

    return run


def retention() -> str:
    return Copy.objects.get(kind="primary_backup").retention


def test_R9_an_apply_that_would_delete_is_refused_and_changes_nothing(run: Any, subclient: Subclient) -> None:
    entries = AuditEntry.objects.count()
    code, said = run(SHORTER)
    assert code == 5
    assert "Nothing was changed. The next aging would delete 3 snapshots and backup copies" in said
    assert said.count(f"deletes backup copy {subclient.path} on backup:") == 3
    assert "--confirm-deletions" in said
    assert retention() == "infinite"
    subclient.policy.refresh_from_db()
    assert subclient.policy.description == ""
    assert AuditEntry.objects.count() == entries


def test_R9_a_plan_lists_each_deletion_with_its_reason(run: Any) -> None:
    code, said = run(SHORTER, "--plan")
    assert code == 2
    assert said.count("    deletes backup copy ") == 3
    assert "Deleted at the next aging: 3. Applying it needs --confirm-deletions." in said
    plain = json.loads(run(SHORTER, "--plan", "--json")[1])
    (copy,) = [change for change in plain["changes"] if change["kind"] == "copy"]
    assert len(copy["deletions"]) == 3
    assert all(one["reason"] and one["at"] for one in copy["deletions"])


def test_R9_confirmed_it_is_applied_and_aging_deletes_exactly_what_was_listed(run: Any) -> None:
    listed = {
        one["label"].rpartition(": ")[2]
        for change in json.loads(run(SHORTER, "--plan", "--json")[1])["changes"]
        for one in change["deletions"]
    }
    assert run(SHORTER, "--confirm-deletions")[0] == 0
    age_everything()
    aged = BackupCopy.objects.filter(state=CopyState.AGED).values_list("snapshot__name", flat=True)
    assert set(aged) == listed


def test_R9_a_machine_reads_the_question_as_json(run: Any) -> None:
    code, said = run(SHORTER, "--json")
    answer = json.loads(said)
    assert (code, answer["plan"], len(answer["changes"][0]["deletions"])) == (5, False, 3)
    assert "--confirm-deletions" in answer["problems"][0]["remedy"]


def test_R9_what_deletes_nothing_asks_nothing(run: Any) -> None:
    assert run(LONGER)[0] == 0
    assert retention() == "basic"
    assert run(LONGER)[0] == 0
