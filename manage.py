#!/usr/bin/env python3
"""The same program as the console script ``snapcopy``, for a checkout that is not installed."""

from __future__ import annotations

import sys

from snapcopy_site.cli import main

if __name__ == "__main__":
    sys.exit(main())
