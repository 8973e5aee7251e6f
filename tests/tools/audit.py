"""The installed packages against the advisories on PyPI, as far as the registry answers.

`python -m tests.tools.audit` runs pip-audit where it is installed. A registry without a
vulnerability service (a mirror, a firewall) is no clean bill of health, and is told as what it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

__all__ = ["main", "verdict"]


def verdict(report: dict[str, Any]) -> tuple[int, list[str]]:
    """The exit code and what to say of a report of `pip-audit --format json`."""
    packages: list[dict[str, Any]] = report["dependencies"]
    skipped = [package for package in packages if "skip_reason" in package]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, fixed in "
        f"{', '.join(found.get('fix_versions') or ['no version yet'])}"
        for package in packages
        for found in package.get("vulns", [])
    ]
    checked = len(packages) - len(skipped)
    summary = f"audited {checked} packages: {len(lines)} advisories"
    if skipped:
        summary += f"; {len(skipped)} COULD NOT BE AUDITED: no advisories for them in this registry"
    return int(bool(lines)), [*lines, summary]


def main() -> int:
    """Run pip-audit; 1 when a package has an advisory."""
    command = [*(sys.executable, "-m", "pip_audit", "--local"), *("--format", "json")]
    done = subprocess.run(
        [*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        code, lines = verdict(json.loads(done.stdout))
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        code, lines = 0, [f"NOT AUDITED: {last}"]
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
