"""``python -m snapcopy_site``: how the supervisor starts its own children."""

from __future__ import annotations

import sys

from snapcopy_site.cli import main

if __name__ == "__main__":
    sys.exit(main())
