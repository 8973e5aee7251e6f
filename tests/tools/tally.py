"""Counts of what the soak tests did, over all their processes, and the report that adds them up.

A test calls `tally("kills of ot train")`; where `$SOAK_REPORT` names a file, the count is appended to
it at once, so that a run that is stopped has counted too. `python -m tests.tools.tally FILE` prints
the sums.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

__all__ = ["SOAK", "tally"]

SOAK = int(os.environ.get("OT_TEST_SOAK", "1"))
"""How many times the usual number of tries; 1 in `make test`."""


def tally(kind: str, count: int = 1) -> None:
    """Count something that was tried, or lost."""
    if place := os.environ.get("SOAK_REPORT"):
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(json.dumps({kind: count}) + "\n")


def main(place: str) -> int:
    """Print the sums; 1 when anything was lost."""
    total: Counter[str] = Counter()
    for line in Path(place).read_text(encoding="utf-8").splitlines():
        total.update(json.loads(line))
    total.setdefault("lost", 0)
    for kind in sorted(total, key=lambda kind: (kind == "lost", kind)):
        print(f"{total[kind]:>9,}  {'anything lost' if kind == 'lost' else kind}")
    return int(total["lost"] > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
