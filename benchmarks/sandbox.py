"""What the sandbox costs, beside its peers, as ratios.

    python benchmarks/sandbox.py [--rounds 30] [--answers 40]

1. One program: the sandbox against bubblewrap + `python -I` alone, running the same program.
2. Stored LiveCodeBench-like answers, graded on all cores, in tests a second: the sandbox, the same
   pool without one, and `exec` in this process (what in-process graders do: no isolation, no limits,
   no fresh process; it serves as the bound).

Rounds are interleaved and medians compared, so that a busy machine slows all alike.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from openthoughts_cli.evals.lcb_judge import LCB_LIMITS, Judge
from openthoughts_cli.evals.sandbox import Sandbox, machine_slots
from openthoughts_cli.evals.sandbox.bubblewrap import bubblewraps
from openthoughts_cli.evals.sandbox.view import interpreter
from openthoughts_cli.problems.livecodebench_tests import Test

_PROGRAM = "print(sum(map(int, input().split())))"
_ANSWER = """
from collections import defaultdict
import heapq
def main():
    n = int(input())
    graph = defaultdict(list)
    for i in range(n):
        graph[i].append(((i * 7 + 1) % n, i % 5 + 1))
        graph[i].append(((i + 1) % n, 9))
    best, heap = {}, [(0, 0)]
    while heap:
        cost, node = heapq.heappop(heap)
        if node in best: continue
        best[node] = cost
        for other, weight in graph[node]: heapq.heappush(heap, (cost + weight, other))
    print(max(best.values()))
main()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--answers", type=int, default=40)
    chosen = parser.parse_args()
    sandbox = Sandbox()
    print(f"{sandbox.require().isolation}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    _one_program(sandbox, chosen.rounds)
    _many_tests(sandbox, chosen.answers)


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


def _many_tests(sandbox: Sandbox, answers: int) -> None:
    tests = [Test(f"{n}\n", _in_process(f"{n}\n").strip(), False) for n in (5, 50, 200, 400)]
    count = answers * len(tests)

    def pooled(judge: Judge) -> Callable[[], None]:
        def grade() -> None:
            with ThreadPoolExecutor(machine_slots().count) as pool:
                verdicts = list(
                    pool.map(lambda _: judge.judge(_ANSWER, tests, None).verdict, range(answers))
                )
            assert set(verdicts) == {"correct"}

        return grade

    def in_process() -> None:
        for _ in range(answers):
            for test in tests:
                assert _in_process(test.input).strip() == test.output

    ways = {
        "sandbox": pooled(Judge(sandbox, limits=LCB_LIMITS)),
        "same pool, no sandbox": pooled(Judge(Sandbox(unsafe=True), limits=LCB_LIMITS)),
        "exec in this process": in_process,
    }
    print(f"{answers} answers of {len(tests)} tests on {machine_slots().count} slots")
    rates: dict[str, float] = {}
    for name, way in ways.items():
        started = time.perf_counter()
        way()
        rates[name] = count / (time.perf_counter() - started)
        print(f"  {name:28s} {rates[name]:8.1f} tests/s   {rates[name] / rates['sandbox']:6.2f}x")


def _in_process(given: str) -> str:
    """What in-process graders do: `exec` with patched streams."""
    output, kept = io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(given)
    try:
        with contextlib.redirect_stdout(output):
            exec(compile(_ANSWER, "answer", "exec"), {"__name__": "__main__"})
    finally:
        sys.stdin = kept
    return output.getvalue()


if __name__ == "__main__":
    main()
