"""How much of a run's time is the client's own doing.

    python benchmarks/training.py             # everything, about 5 minutes; --only pipeline for a part
    python benchmarks/training.py --write     # and write docs/benchmarks/training.md

pipeline  the real loop (log, checkpoints, evaluations) on an engine with Tinker's clock cycles, against
          the schedule that no client could beat, beside a loop that awaits each request and one that
          stands still while it evaluates. Cycles are five times shorter than 2 s, but for the last.
cpu       the client's processor time a step at 32 x 4,096 tokens: the loop alone, and with the real
          Tinker SDK and a server in a process of its own
memory    resident memory over 10,000 steps, with the log and the state of the live view
local     steps/s on the local engine against a bare transformers + peft loop on the same batches
view      what the live view costs: processor time a second, on a terminal of 80 x 24
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["GOMP_SPINCOUNT"] = "0"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

from benchmarks.training_local import local_rates, view_cost
from benchmarks.training_ways import evaluate_inline, make_run, naive, our_loop, some_rows
from openthoughts_cli.cli.render.train_view import TrainState
from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.training.prepare import Prepared
from tests.doubles.clocked_engine import ClockedEngine
from tests.doubles.tinker_server import KEY, TinkerServer

REPO = Path(__file__).parents[1]
BATCH, TOKENS = 32, 4096
EVALS = {
    "nll": BenchmarkConfig(every=5),
    "arithmetic": BenchmarkConfig(every=10, limit=30, n=7, max_tokens=64),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One row of the table. `ratio` is what the goal speaks of."""

    part: str
    what: str
    value: str
    ratio: str
    goal: str = ""
    met: bool | None = None


def ideal_s(engine: ClockedEngine, steps: int) -> float:
    """All requests queued at once: a step a cycle, then the last save. Nothing can be faster."""
    cycles = steps + 1 + engine.work_share
    return 2 * engine.latency_s + cycles * engine.cycle_s - engine.latency_s / 2


def evaluation_s(engine: ClockedEngine) -> float:
    """An evaluation's slowest chain: a sampler, and one request."""
    return 2 * engine.latency_s + engine.sample_s


def pipeline(folder: Path) -> list[Line]:
    rows = some_rows(BATCH, TOKENS)
    lines: list[Line] = []
    for cycle_s, latency_s, steps in (
        (0.4, 0.01, 40),
        (0.4, 0.04, 40),
        (0.4, 0.1, 40),
        (2.0, 0.5, 12),
    ):
        name = f"cycles of {cycle_s:g} s, latency {latency_s * 1000:g} ms"

        def engine(cycle_s: float = cycle_s, latency_s: float = latency_s) -> ClockedEngine:
            return ClockedEngine(cycle_s=cycle_s, latency_s=latency_s, sample_s=4 * cycle_s)

        ideal = ideal_s(engine(), steps)
        run = make_run(engine().info, rows, steps=steps, batch_size=BATCH, epochs=1)
        took = asyncio.run(our_loop(engine(), run, folder / name))
        lines += [
            Line("pipeline", f"{name}: ideal, {steps} steps", f"{ideal:.2f} s", "1.000"),
            against("pipeline", f"{name}: ot train", took, ideal, most=1.03),
        ]
        few = dataclasses.replace(run, batches=run.batches[: max(steps // 4, 4)])
        took = asyncio.run(naive(engine(), few))
        lines.append(
            against(
                "pipeline", f"{name}: await each request", took, ideal_s(engine(), len(few.batches))
            )
        )
        if (cycle_s, latency_s) == (0.4, 0.04):
            lines += with_evaluations(name, engine, rows, folder)
    return lines


def with_evaluations(
    name: str, engine: Callable[[], ClockedEngine], rows: Any, folder: Path
) -> list[Line]:
    """The same beside held-out NLL every 5 steps and 30 problems x 7 answers every 10."""
    run = make_run(engine().info, rows, steps=40, batch_size=BATCH, epochs=1, evals=EVALS)
    ideal = ideal_s(engine(), 40) + evaluation_s(engine())
    ours = asyncio.run(our_loop(engine(), run, folder / "evals"))
    inline = asyncio.run(evaluate_inline(engine(), run, folder / "inline"))
    return [
        Line("pipeline", f"{name}, evaluations: ideal", f"{ideal:.2f} s", "1.000"),
        against("pipeline", f"{name}, evaluations: ot train", ours, ideal, most=1.05),
        against("pipeline", f"{name}, evaluations: inline", inline, ideal),
    ]


def against(part: str, what: str, took: float, ideal: float, most: float | None = None) -> Line:
    ratio = took / ideal
    goal = "" if most is None else f"at most {most:.2f}"
    return Line(part, what, f"{took:.2f} s", f"{ratio:.3f}", goal, most and ratio <= most)


def cpu(folder: Path) -> list[Line]:
    rows = some_rows(BATCH, TOKENS)
    steps = 100
    run = make_run(ClockedEngine().info, rows, steps=steps, batch_size=BATCH, epochs=1)
    asyncio.run(our_loop(ClockedEngine(), shortened(run, 5), folder / "warm"))
    began = time.process_time()
    asyncio.run(our_loop(ClockedEngine(), run, folder / "alone"))
    alone_s = (time.process_time() - began) / steps
    sdk_s = with_sdk(rows, folder)
    return [
        cpu_line("the loop alone", alone_s),
        cpu_line("with the Tinker SDK (its JSON and its HTTP)", sdk_s),
    ]


def cpu_line(what: str, seconds: float, step_s: float = 2.0) -> Line:
    share = seconds / step_s
    text = f"{seconds * 1000:.1f} ms a step of {BATCH} x {TOKENS:,} tokens"
    return Line(
        "cpu", what, text, f"{share:.1%} of a core at {step_s:g} s a step", "under 5%", share < 0.05
    )


def with_sdk(rows: Any, folder: Path, steps: int = 24) -> float:
    """Processor time a step through the real SDK, the server being another process."""
    from openthoughts_cli.engine.tinker import TinkerEngine

    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdin is not None
    os.environ["TINKER_API_KEY"] = KEY
    url = server.stdout.readline().strip()

    async def train(name: str, run: Prepared) -> float:
        async with TinkerEngine(EngineConfig(kind="tinker", base_url=url)) as engine:
            began = time.process_time()
            await our_loop(engine, run, folder / name)
            return time.process_time() - began

    run = make_run(ModelInfo(SERVED, 32_768), rows, steps=steps, batch_size=BATCH, epochs=1)
    try:
        warm_s = asyncio.run(train("sdk-warm", shortened(run, 4)))
        return (asyncio.run(train("sdk", run)) - warm_s) / (steps - 4)
    finally:
        server.stdin.close()
        server.wait()


SERVED = "Qwen/Qwen3-4B-Instruct-2507"


def serve() -> None:
    engine = ClockedEngine()
    engine.info = ModelInfo(SERVED, 32_768)
    with TinkerServer(lambda: engine) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def shortened(run: Prepared, steps: int) -> Prepared:
    return dataclasses.replace(run, batches=run.batches[:steps])


def memory(folder: Path, steps: int = 10_000) -> list[Line]:
    run = make_run(
        ClockedEngine().info, some_rows(64, 64), steps=steps, batch_size=4, epochs=1, save_every=100
    )
    state = TrainState()
    seen: dict[int, float] = {}

    def hear(event: Any) -> None:
        state.hear(event)
        if (
            step := getattr(event, "total_steps", 0) and getattr(event, "step", 0)
        ) % 1000 == 0 and step:
            seen[step] = resident_mb()

    asyncio.run(our_loop(ClockedEngine(), run, folder / "memory", listener=hear))
    early, late = seen[1000], seen[steps]
    text = f"{early:.1f} MB after 1,000 steps, {late:.1f} MB after {steps:,}"
    return [
        Line(
            "memory",
            "log, checkpoints, view",
            text,
            f"{late - early:+.1f} MB",
            "flat (under 3 MB)",
            late - early < 3,
        )
    ]


def resident_mb() -> float:
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def local(folder: Path) -> list[Line]:
    ours, bare = local_rates(folder)
    ratio = statistics.median(ours) / statistics.median(bare)
    return [
        Line("local", "bare transformers + peft", f"{statistics.median(bare):.3f} s a step", "1.000"),
        Line(
            "local", "ot train", f"{statistics.median(ours):.3f} s a step", f"{ratio:.3f}",
            "at most 1.10", ratio <= 1.1,
        ),
    ]  # fmt: skip


def view(folder: Path) -> list[Line]:
    del folder
    share = view_cost()
    cores = os.cpu_count() or 1
    text = f"{1000 * share:.1f} ms of processor time a second"
    return [
        Line(
            "view",
            f"a step and 4 answers a second, {cores} cores",
            text,
            f"{share / cores:.2%}",
            "under 1%",
            share / cores < 0.01,
        )
    ]


PARTS: dict[str, Callable[[Path], list[Line]]] = {
    "pipeline": pipeline,
    "cpu": cpu,
    "memory": memory,
    "local": local,
    "view": view,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=[*PARTS], action="append")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/training.md")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve()
        return
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start"
    )
    print(machine, flush=True)
    lines: list[Line] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.only or PARTS:
            for line in PARTS[name](Path(folder)):
                lines.append(line)
                print(shown(line), flush=True)
    print(f"{time.perf_counter() - began:.0f} s in all")
    if chosen.write:
        write(lines, machine)


def shown(line: Line) -> str:
    verdict = {True: "met", False: "MISSED", None: ""}[line.met]
    return f"{line.part:9s} {line.what:62s} {line.value:>44s}  {line.ratio:>28s}  {line.goal} {verdict}"


def write(lines: list[Line], machine: str) -> None:
    notes = (__doc__ or "").partition("\n\n")[2].partition("\n\n")[2]
    rows = "\n".join(
        f"| {line.part} | {line.what} | {line.value} | {line.ratio} | {line.goal} | "
        f"{ {True: 'yes', False: 'no', None: ''}[line.met] } |"
        for line in lines
    )
    text = f"""# Training: what the client costs

Made by `python benchmarks/training.py --write` on {datetime.now(UTC):%Y-%m-%d}: {machine}.
Ratios of wall time are to the line "ideal" or "bare" above them.

| part | what | measured | ratio | goal | met |
|---|---|---|---|---|---|
{rows}

```text
{notes.rstrip()}
```
"""
    (REPO / "docs/benchmarks/training.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
