"""What a job can fail with besides the engine's own errors: part of the same tree, so pages treat all alike.

::

    Retryable
    ├── NodeSilent             an access node did not answer a question in time
    └── SourceNotThere         the copy or snapshot it is fed from is not there yet
    Permanent
    ├── ConfigurationDeleted   what the job works on was deleted meanwhile
    ├── ProcessLost            its process was lost too often
    ├── CommandFailed          a command of the subclient did not run, ended badly, or took too long
    ├── TestFailed             a step of a Test did not pass
    ├── VerificationFailed     something on a medium is damaged or missing
    ├── RepairIncomplete       something on a medium is in no place that was asked
    ├── DrillFailed            a restore drill did not give back what was copied
    ├── RevertChanged          a revert would cost more now than was shown and accepted
    ├── SampleDataFailed       a job of the sample data did not end as planned
    └── Unexpected             an error nobody foresaw; the node's log has the details
"""

from __future__ import annotations

from jobs.engine.errors import Permanent, Retryable


class ConfigurationDeleted(Permanent):
    code = "configuration-deleted"
    default_hint = "Nothing is left to do for this job; launch a new one where the data is now."


class ProcessLost(Permanent):
    code = "process-lost"
    default_hint = "Look at the node's log and memory, then resubmit the job."


class CommandFailed(Permanent):
    code = "command-failed"
    default_hint = "Try the command on the access node as the account that runs it, then correct it on the subclient."


class TestFailed(Permanent):
    __test__ = False

    code = "test-failed"


class VerificationFailed(Permanent):
    code = "verification-failed"
    default_hint = "The result names what is damaged and which paths it touches; repair the medium."


class RepairIncomplete(Permanent):
    code = "repair-incomplete"
    default_hint = "The result names what cannot be restored whole. Copy those snapshots again where they still exist."


class DrillFailed(Permanent):
    code = "drill-failed"
    default_hint = "Verify the medium with 100 percent, then repair it. The failed files of this job say what is wrong."


class RevertChanged(Permanent):
    code = "revert-changed"
    default_hint = "Look at the revert again: its page shows what would be lost now."


class SampleDataFailed(Permanent):
    code = "sample-data"
    default_hint = "The job it names says more."


class NodeSilent(Retryable):
    code = "node-silent"
    default_hint = "Look on the page of the access nodes whether it is online and not overloaded, then try again."


class SourceNotThere(Retryable):
    """RULES B6: what the copy is fed from has not got the snapshot yet."""

    code = "source-not-there"
    default_hint = "It is tried again. Copy the snapshot to the source first, or let the policy allow the primary."


class Unexpected(Permanent):
    code = "unexpected"
    default_hint = "The node's log has the details. Resubmit the job; if it fails again, report it."
