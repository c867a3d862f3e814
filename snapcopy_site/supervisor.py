"""``snapcopy up``."""
from __future__ import annotations
from collections.abc import Sequence

def main(arguments: Sequence[str]) -> int:
    """Start everything."""
    raise SystemExit("up: under construction")
