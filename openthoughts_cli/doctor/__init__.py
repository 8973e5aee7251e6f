"""What works on this machine, what does not, and the command that mends it.

    check.py      one finding: ok, warn or fail, what is so, how to mend it
    machine.py    Python, memory, disk, browser
    packages.py   what is installed, against what this version asks for
    services.py   keys and their form, the Tinker server, the hub, W&B, the clock
    work.py       the local engine, the sandbox, the indexes

Nothing is paid for, nothing is changed, and no secret is read into a finding.
"""

from __future__ import annotations

from openthoughts_cli.doctor.check import Check, Status, worst
from openthoughts_cli.doctor.examine import examine

__all__ = ["Check", "Status", "examine", "worst"]
