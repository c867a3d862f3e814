"""What a job can fail with besides the engine's own errors: part of the same tree, so pages treat all alike.

::

    Permanent
    ├── ConfigurationDeleted   what the job works on was deleted meanwhile
    ├── ProcessLost            its process was lost too often
    ├── TestFailed             a step of a Test did not pass
    ├── SampleDataFailed       a job of the sample data did not end as planned
    └── Unexpected             an error nobody foresaw; the node's log has the details
"""

from __future__ import annotations

from jobs.engine.errors import Permanent


class ConfigurationDeleted(Permanent):
    code = "configuration-deleted"
    default_hint = "Nothing is left to do for this job; launch a new one where the data is now."


class ProcessLost(Permanent):
    code = "process-lost"
    default_hint = "Look at the node's log and memory, then resubmit the job."


class TestFailed(Permanent):
    __test__ = False

    code = "test-failed"


class SampleDataFailed(Permanent):
    code = "sample-data"
    default_hint = "The job it names says more."


class Unexpected(Permanent):
    code = "unexpected"
    default_hint = "The node's log has the details. Resubmit the job; if it fails again, report it."
