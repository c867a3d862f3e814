#!/usr/bin/env python3
"""The same program as the console script ``snapcopy``, for a checkout that is not installed."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older one would fail with a riddle instead
    sys.exit("SnapCopy needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")

from snapcopy_site.cli import main

if __name__ == "__main__":
    sys.exit(main())
