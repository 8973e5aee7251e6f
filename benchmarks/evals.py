"""What evaluating costs beyond the model itself, as ratios.

    python benchmarks/evals.py [--answers 40] [--latency-s 3] [--lines 10000] [--only tests]

tests     stored LiveCodeBench-like answers on all cores, in tests a second: the sandbox, the same
          pool without one, and `exec` in this process (what in-process graders do: no isolation, no
          limits, no fresh process; it serves as the bound)
sampling  30 problems x 7 answers against the in-memory engine, whose requests take a fixed time:
          the evaluation against its slowest chain (one request alone), and against one at a time
grading   stored AIME and GPQA answers of 8,000 characters: `ot grade`'s code against reading the
          same file (its lines as JSON), in processor time: it waits for nothing
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.evals.benchmark import benchmark
from openthoughts_cli.evals.lcb_judge import LCB_LIMITS, Judge
from openthoughts_cli.evals.run import evaluate
from openthoughts_cli.evals.sandbox import Sandbox, machine_slots
from openthoughts_cli.evals.stored import GradeSummary, grade_stored
from openthoughts_cli.problems.livecodebench_tests import Test
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.scripted_sampler import CharRenderer

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
    parser.add_argument("--answers", type=int, default=40)
    parser.add_argument("--latency-s", type=float, default=3.0)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--only", choices=["tests", "sampling", "grading"])
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    if chosen.only in (None, "tests"):
        _many_tests(Sandbox(), chosen.answers)
    if chosen.only in (None, "sampling"):
        asyncio.run(_sampling(chosen.latency_s))
    if chosen.only in (None, "grading"):
        for name in ("aime25", "gpqa"):
            _grading(name, chosen.lines)


async def _sampling(latency_s: float) -> None:
    model = ModelInfo("tiny/bigram", 4096)
    rows = [{"id": str(i), "problem": f"What is {i}?", "answer": i} for i in range(30)]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "problems.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))

        async def run(name: str, count: int, concurrency: int) -> float:
            settings = BenchmarkConfig(n=7, max_tokens=16, limit=count, data=str(data))
            engine = MemoryEngine([model], vocab_size=64, latency_s=latency_s)
            sampler = await engine.create_sampler(model.name)
            started = time.perf_counter()
            await evaluate(
                benchmark("aime25"),
                sampler,
                CharRenderer(),
                settings,
                directory=Path(folder) / name,
                step=0,
                lineage={},
                concurrency=concurrency,
            )
            return time.perf_counter() - started

        chain = await run("chain", 1, 1)
        whole = await run("whole", 30, 256)
        queue = await run("queue", 5, 1) * 6
    print(f"30 problems x 7 answers, an engine that takes {latency_s:g} s a request")
    print(f"  one request alone            {chain:8.2f} s")
    print(f"  the evaluation               {whole:8.2f} s   {whole / chain:6.2f}x (goal <= 1.1)")
    print(f"  one request after another    {queue:8.2f} s   {queue / chain:6.2f}x\n")


def _row(name: str, number: int) -> dict[str, Any]:
    if name == "aime25":
        return {"problem": f"What is {number}?", "answer": str(number % 1000)}
    wrong = {f"Incorrect Answer {i}": f"wrong {i}" for i in (1, 2, 3)}
    return {"Question": f"Which {number}?", "Correct Answer": "right", **wrong}


def _grading(name: str, count: int) -> None:
    """Answers as models write them: long thinking with boxes in it, then the answer."""
    thinking = (
        "So we try $x^2 + \\frac{1}{2}$, hence \\boxed{7} perhaps. Wait, check it again.\n" * 110
    )
    kind = benchmark(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.jsonl"
        with path.open("w") as file:
            for number in range(count):
                answer = str(number % 1000) if name == "aime25" else "ABCD"[number % 4]
                text = f"<think>{thinking}</think>The answer is \\boxed{{{answer}}}."
                file.write(json.dumps({"problem": _row(name, number), "completion": text}) + "\n")
        reading: list[float] = []
        grading: list[float] = []
        for _ in range(5):
            started = time.process_time()
            with path.open("rb") as lines:
                assert sum(len(json.loads(line)) for line in lines) == 2 * count
            reading.append(time.process_time() - started)
            started = time.process_time()
            summary = GradeSummary(name)
            for _ in grade_stored(kind, path, summary):
                pass
            grading.append(time.process_time() - started)
            assert summary.answers == count
            assert summary.verdicts["no-answer"] == 0
        megabytes = path.stat().st_size / 1e6
    base, took = statistics.median(reading), statistics.median(grading)
    print(f"{count:,} {name} answers, {megabytes:,.0f} MB, processor time, median of 5")
    print(f"  reading the file's JSON      {base:8.3f} s")
    print(f"  grading, reading included    {took:8.3f} s   {took / base:6.2f}x\n")


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
