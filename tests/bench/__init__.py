"""The benchmark: ours beside restic, borg and rsync in one run (``python -m tests.bench --help``); no tests."""
