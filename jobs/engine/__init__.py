"""The copy engine: takes snapshots, writes backup copies in the restic format, reads them back.

Pure: no Django, no RQ, no Redis, no database. It is importable and usable alone, from a plain script.
The Django half of ``jobs`` turns rows into the frozen plans of :mod:`jobs.engine.plan`, and the events of
:mod:`jobs.engine.events` back into rows.
"""

import os
from typing import Final

# NumPy's BLAS starts a spinning thread per core when it is imported, a third of the start of a small copy, and threads
# are what a process that forks its readers should not have. Nothing here multiplies matrices.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

VERSION: Final = "0.1.0"
"""As in ``pyproject.toml``; written into snapshot files."""
