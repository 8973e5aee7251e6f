"""Many runs beside each other, and planning a large grid.

    python benchmarks/sweeps.py              # about 5 minutes on an idle machine
    python benchmarks/sweeps.py --write      # and write docs/benchmarks/sweeps.md

runs   64 runs of 100 steps beside each other against one run of 100 steps, on an engine with Tinker's
       clock cycles (`tests/doubles/clocked_engine.py`): wall time from the start of the process to its
       end, imports, planning, logs, checkpoints and held-out NLL every 20 steps included, and the
       highest resident memory. 64 processes are not tried: each costs its imports.
plan   `--dry-run` of a grid of 1,000 cells: when none has begun (there are no files but the subset's), and when
       all are done, with 1,000 rows of metrics each, beside polars parsing those files in one scan
show   `ot runs show` of a sweep of 500 finished runs: benchmarks/sweeps_show.py

Each measurement is a process of its own. CPU time (user and system) is beside the wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sweeps_show import make_run, show

REPO = Path(__file__).parents[1]
METRIC_ROWS = 1_000

RUN = """
import sys
sys.path.insert(0, {repo!r})
from pathlib import Path
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.sweeps.verb import run_sweep
from tests.doubles.clocked_engine import ClockedEngine


def clocked(config, *, store, listener):
    engine = ClockedEngine(cycle_s={cycle_s}, latency_s=0.05, sample_s=0.5)
    engine.info = ModelInfo("smollm2-135m", 8192, hidden_size=576)
    return engine


config = SweepConfig(
    name={name!r},
    base=dict(
        engine="tinker", model="smollm2-135m", batch_size=32, epochs=14, max_steps={steps},
        evals=dict(nll=dict(every=20)), wandb=dict(mode="disabled"),
    ),
    subset=dict(dataset="sample", limit=256, tokenizer="smollm2-135m", name="bench"),
    held_out=dict(dataset="sample", limit=32, seed=3, tokenizer="smollm2-135m", name="held"),
    axes={{"train.learning_rate": [1e-5 * (i + 1) for i in range({cells})]}},
)
result = run_sweep(config, open_engine=clocked, dry_run={dry_run})
if {dry_run}:
    states = [cell.state for cell in result.plan.cells]
    assert len(states) == {cells} and set(states) == {{{state!r}}}, states[:3]
    Path("identities.txt").write_text("\\n".join(cell.identity for cell in result.plan.cells))
else:
    assert result.status == "done" and result.done == {cells}, result
"""

POLARS = """
import glob, polars
paths = glob.glob("runs/*/metrics.jsonl")
assert len(polars.scan_ndjson(paths, infer_schema_length=None).collect()) >= {rows}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process: seconds on the clock, seconds of processor, MiB at the highest."""

    wall_s: float
    cpu_s: float
    mib: float


def measure(code: str, folder: Path) -> Cost:
    """Run a Python process in `folder`.

    Raises:
        SystemExit: it failed.
    """
    environ = {
        **os.environ,
        "OT_RUNS": "runs",
        "OT_SUBSETS": "subsets",
        "OT_SWEEPS": "sweeps",
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TINKER_API_KEY": "tml-not-used-the-engine-is-scripted",
    }
    report = folder / "usage.json"
    tail = (
        "\nimport json, resource\nu = resource.getrusage(resource.RUSAGE_SELF)\n"
        f"open({str(report)!r}, 'w').write(json.dumps([u.ru_utime + u.ru_stime, u.ru_maxrss]))\n"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code) + tail],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s = time.monotonic() - began
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    cpu_s, kib = json.loads(report.read_text())
    return Cost(wall_s, cpu_s, kib / 1024)


def sweep(
    folder: Path, name: str, cells: int, *, steps: int, cycle_s: float, planned: str = ""
) -> Cost:
    """Run a grid, or only plan it: `planned` is the state that all its cells must be in then."""
    settings = {"steps": steps, "cycle_s": cycle_s, "dry_run": bool(planned), "state": planned}
    return measure(RUN.format(repo=str(REPO), name=name, cells=cells, **settings), folder)


def runs(folder: Path, steps: int, cycle_s: float) -> list[str]:
    # both find their subsets cut: the rows are the same, and cutting is measured elsewhere
    one = sweep(folder, "one", 1, steps=steps, cycle_s=cycle_s)
    many = sweep(folder, "many", 64, steps=steps, cycle_s=cycle_s)
    ratio = many.wall_s / one.wall_s
    return [
        f"| 1 run of {steps} steps, cycles of {cycle_s:g} s | {line(one)} | 1.00 | |",
        f"| 64 runs of {steps} steps beside each other | {line(many)} | {ratio:.2f} | "
        f"{verdict(ratio <= 1.15 and many.mib < 4096)} at most 1.15, under 4 GiB |",
    ]


def plan(folder: Path, cells: int) -> list[str]:
    new = sweep(folder, "plan", cells, steps=METRIC_ROWS, cycle_s=0.0, planned="waiting")
    draw = random.Random(7)
    for number, identity in enumerate((folder / "identities.txt").read_text().split()):
        place = folder / "runs" / f"2026-11-24-{number:06d}-plan-{identity[-6:]}"
        make_run(place, identity, METRIC_ROWS, draw)
    parsed = measure(POLARS.format(rows=cells * METRIC_ROWS), folder)
    done = sweep(folder, "plan", cells, steps=METRIC_ROWS, cycle_s=0.0, planned="done")
    ratio = done.cpu_s / parsed.cpu_s
    return [
        f"| plan a grid of {cells:,} cells, none begun | {line(new)} | | "
        f"{new.cpu_s / cells * 1000:.1f} ms of CPU a cell |",
        f"| polars: parse the {cells:,} logs of {METRIC_ROWS:,} rows | {line(parsed)} | 1.00 | |",
        f"| plan the same grid, all done | {line(done)} | {ratio:.2f} (CPU) "
        f"| {verdict(ratio <= 3)} at most 3 |",
    ]


def line(cost: Cost) -> str:
    return f"{cost.wall_s:.1f} s | {cost.cpu_s:.1f} s | {cost.mib:,.0f} MiB"


def verdict(met: bool) -> str:
    return "met:" if met else "MISSED:"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=["runs", "plan", "show"])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--cycle-s", type=float, default=1.0)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    tables: list[list[str]] = []
    head = ["| what | wall | CPU | memory | ratio | goal |", "|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if given.only != "show":
            sweep(folder, "warm", 1, steps=2, cycle_s=0.0)
        if given.only in (None, "runs"):
            tables.append([*head, *runs(folder, given.steps, given.cycle_s)])
        if given.only in (None, "plan"):
            tables.append([*head, *plan(folder, given.cells)])
    if given.only in (None, "show"):
        tables.append(show(runs=500, rows=METRIC_ROWS, repeat=3))
    table = "\n\n".join("\n".join(lines) for lines in tables)
    print(table)
    if given.write:
        load = os.getloadavg()[0]
        text = (
            f"# Sweeps\n\n{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
            f"{platform.machine()}, Python {platform.python_version()}, load {load:.1f}. Made by "
            f"`python benchmarks/sweeps.py --write`.\n\n```\n{__doc__}```\n\n{table}\n"
        )
        (REPO / "docs/benchmarks/sweeps.md").write_text(text)


if __name__ == "__main__":
    main()
