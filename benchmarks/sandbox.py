"""What the sandbox costs for one program, beside its peers, as ratios.

    python benchmarks/sandbox.py [--rounds 30]

The sandbox against bubblewrap + `python -I` alone, running the same program, by wall time and by
processor time. The processor time is that of the whole tree (bubblewrap's first process inside is
nobody's child when it ends, so this process adopts it); it hardly depends on other load, wall time
does. Rounds are interleaved. Many programs: benchmarks/evals.py.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from openthoughts_cli.evals.sandbox import Sandbox
from openthoughts_cli.evals.sandbox.bubblewrap import bubblewraps
from openthoughts_cli.evals.sandbox.view import interpreter

_PROGRAM = "print(sum(map(int, input().split())))"
_PLAIN, _STRICT = "bubblewrap + python -I", "bubblewrap + python -I -S"
_GOAL = 1.6
_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass(slots=True)
class _Series:
    wall_s: list[float] = field(default_factory=list[float])
    cpu_s: list[float] = field(default_factory=list[float])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    chosen = parser.parse_args()
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sandbox = Sandbox()
    print(f"{sandbox.require().isolation}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    measured = _measure(sandbox, chosen.rounds)
    wall = {name: statistics.median(each.wall_s) for name, each in measured.items()}
    cpu = {name: statistics.fmean(each.cpu_s) for name, each in measured.items()}
    print(f"one program, {chosen.rounds} rounds       wall, median              processor, mean")
    for name in measured:
        print(
            f"  {name:26s} {1000 * wall[name]:7.1f} ms {wall[name] / wall[_PLAIN]:6.2f}x"
            f"   {1000 * cpu[name]:9.1f} ms {cpu[name] / cpu[_PLAIN]:6.2f}x"
        )
    for base in (_PLAIN, _STRICT):
        print(
            f"  sandbox / {base + ':':27s} wall {wall['sandbox'] / wall[base]:.2f}x, "
            f"processor {cpu['sandbox'] / cpu[base]:.2f}x (goal <= {_GOAL})"
        )


def _measure(sandbox: Sandbox, rounds: int) -> dict[str, _Series]:
    bare = [interpreter(), "-I", "-c", _PROGRAM]
    around = [bubblewraps()[0].path, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"]
    around += ["--proc", "/proc", "--dev", "/dev"]
    unsafe = Sandbox(unsafe=True)

    def plain(command: list[str]) -> Callable[[], bytes]:
        return lambda: (
            subprocess.run(
                command, input=b"1 2\n", capture_output=True, check=True, env={}, cwd="/"
            ).stdout
        )

    ways: dict[str, Callable[[], bytes]] = {
        _PLAIN: plain([*around, *bare]),
        _STRICT: plain([*around, bare[0], "-S", *bare[1:]]),
        "python -I -S": plain([bare[0], "-S", *bare[1:]]),
        "sandbox": lambda: sandbox.run(_PROGRAM, stdin=b"1 2\n").stdout,
        "no sandbox, same runner": lambda: unsafe.run(_PROGRAM, stdin=b"1 2\n").stdout,
    }
    measured = {name: _Series() for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            cpu_before, started = _cpu_s(), time.perf_counter()
            assert way() == b"3\n", name
            measured[name].wall_s.append(time.perf_counter() - started)
            measured[name].cpu_s.append(_cpu_s() - cpu_before)
    return measured


def _cpu_s() -> float:
    """Seconds of processor time of this process and of all that ended below it."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main()
