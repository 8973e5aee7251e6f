"""What the sandbox costs for one program, beside its peers, as ratios.

    python benchmarks/sandbox.py [--rounds 30]

The sandbox against bubblewrap + `python -I` alone, running the same program. Rounds are interleaved
and medians compared, so that a busy machine slows all alike. Many programs: benchmarks/evals.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from openthoughts_cli.evals.sandbox import Sandbox
from openthoughts_cli.evals.sandbox.bubblewrap import bubblewraps
from openthoughts_cli.evals.sandbox.view import interpreter

_PROGRAM = "print(sum(map(int, input().split())))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    chosen = parser.parse_args()
    sandbox = Sandbox()
    print(f"{sandbox.require().isolation}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    _one_program(sandbox, chosen.rounds)


def _one_program(sandbox: Sandbox, rounds: int) -> None:
    bare = [interpreter(), "-I", "-c", _PROGRAM]
    around = [bubblewraps()[0].path, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"]
    around += ["--proc", "/proc", "--dev", "/dev"]

    def plain(command: list[str]) -> Callable[[], bytes]:
        return lambda: (
            subprocess.run(command, input=b"1 2\n", capture_output=True, check=True).stdout
        )

    ways: dict[str, Callable[[], bytes]] = {
        "bubblewrap + python -I": plain([*around, *bare]),
        "bubblewrap + python -I -S": plain([*around, bare[0], "-S", *bare[1:]]),
        "python -I": plain(bare),
        "sandbox": lambda: sandbox.run(_PROGRAM, stdin=b"1 2\n").stdout,
        "no sandbox, same runner": lambda: unsafe.run(_PROGRAM, stdin=b"1 2\n").stdout,
    }
    unsafe = Sandbox(unsafe=True)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            assert way() == b"3\n", name
            times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(series) for name, series in times.items()}
    base = medians["bubblewrap + python -I"]
    print(f"one program, median of {rounds}")
    for name, value in medians.items():
        print(f"  {name:28s} {1000 * value:7.1f} ms   {value / base:5.2f}x")
    strict = medians["sandbox"] / medians["bubblewrap + python -I -S"]
    print(f"  sandbox / bubblewrap + python -I: {medians['sandbox'] / base:.2f}x (goal <= 1.6)")
    print(f"  sandbox / the same without site:  {strict:.2f}x\n")


if __name__ == "__main__":
    main()
