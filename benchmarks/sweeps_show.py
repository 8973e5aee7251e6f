"""Showing a sweep of 500 finished runs, beside polars parsing the same files.

    python benchmarks/sweeps_show.py [--runs 500] [--rows 1000] [--repeat 3]

Each run has 1,000 rows of metrics.jsonl, as many events, two benchmarks with their scores. Ours is
all that `ot runs show` does, imports included: find the runs, read their states, logs and scores,
rank, test all pairs, render. Polars' is `read_ndjson` of the same metrics.jsonl files, one by one and
all in one scan, imports included. Each is a process of its own, in turns; the best of the repeats
counts. Wall-clock time and CPU time (user and system).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OURS = """
from openthoughts_cli.cli.render.leaderboard import render_board
from openthoughts_cli.sweeps.layout import load_sweep
from openthoughts_cli.sweeps.rank import rank_sweep
from rich.console import Console
board = rank_sweep(load_sweep("bench"))
assert len(board.entries) == {runs} and all(entry.rank for entry in board.entries), board.warnings
with open("/dev/null", "w") as file:
    Console(file=file, width=120).print(render_board(board))
"""
EACH = """
import glob, polars
rows = sum(len(polars.read_ndjson(path)) for path in glob.glob("runs/*/metrics.jsonl"))
assert rows >= {rows}, rows
"""
SCAN = """
import glob, polars
paths = glob.glob("runs/*/metrics.jsonl")
assert len(polars.scan_ndjson(paths, infer_schema_length=None).collect()) >= {rows}
"""


def make(root: Path, runs: int, rows: int) -> None:
    """A finished sweep of `runs` cells under `root`."""
    draw = random.Random(7)
    cells = []
    for number in range(runs):
        identity = f"{number:032x}"
        place = root / "runs" / f"2026-11-24-{number:06d}-bench-{identity[-6:]}"
        rate = (number + 1) * 1e-6
        cells.append(
            {
                "name": f"learning_rate={rate:g}",
                "recipe": f"learning_rate={rate:g}",
                "axes": {"train.learning_rate": rate},
                "seed": 0,
                "identity": identity,
                "baseline": number == 0,
            }
        )
        make_run(place, identity, rows, draw)
    sweep = root / "sweeps" / "bench" / "sweep.json"
    sweep.parent.mkdir(parents=True)
    grid = {"metric": "eval/arithmetic/mean@1"}
    record = {"format": 1, "name": "bench", "grid": grid, "held_out": None, "cells": cells}
    sweep.write_text(json.dumps(record))


def make_run(place: Path, identity: str, rows: int, draw: random.Random) -> None:
    """One run, done."""
    evals = {"nll": {"every": 100, "at_end": True}, "arithmetic": {"at_end": True}}
    config = {"model": "m", "engine": {"kind": "tinker"}, "subset": "s", "evals": evals}
    split = {"held_out_digest": "h", "train_rows": 900, "held_out_rows": 100}
    record = {"identity": identity, "total_steps": rows, "split": split, "created": "2026-11-24"}
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config, indent=2))
    (place / "record.json").write_text(json.dumps(record, indent=2))
    stamp = "2026-11-24T10:00:00.000+00:00"
    metrics, events = [], [{"event": "run_started", "time": stamp, "attempt": 1}]
    for step in range(1, rows + 1):
        line = {
            "step": step,
            "epoch": step / 200,
            "progress": step / rows,
            "learning_rate": 1e-4 * (1 - step / rows),
            "num_tokens": 31_000 + draw.randrange(2_000),
            "num_loss_tokens": 30_000,
            "train_mean_nll": 0.6 + draw.random(),
            "time/step": 2 + draw.random(),
            "optim/grad_norm": draw.random(),
            "attempt": 1,
        }
        metrics.append(line)
        events.append({"event": "step", "time": stamp, **line, "most_spent_usd": step * 1e-3})
        if step % 100 == 0 or step == rows:
            nll = 1 + draw.random()
            metrics.append({"step": step, "eval/nll/mean": nll, "attempt": 1})
            write_scores(place, "nll", step, {"mean": nll}, [])
    right = [draw.randrange(8) for _ in range(30)]
    problems = [
        {"id": f"p{i}", "group": "", "answers": 7, "correct": n, "truncated": 0}
        for i, n in enumerate(right)
    ]
    mean = sum(right) / 7 / 30
    metrics.append({"step": rows, "eval/arithmetic/mean@1": mean, "attempt": 1})
    write_scores(place, "arithmetic", rows, {"mean@1": mean}, problems)
    events.append({"event": "run_finished", "time": stamp, "attempt": 1, "status": "done"})
    for name, lines in (("metrics.jsonl", metrics), ("events.jsonl", events)):
        (place / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    saved = {"name": "final", "batch": rows, "final": True, "sampler_path": "tinker://x"}
    (place / "checkpoints.jsonl").write_text(json.dumps(saved) + "\n")
    actual = {"usd": 1.25, "sampled_tokens": 100_000, "train_tokens": 1, "seconds": 1.0}
    (place / "receipt.json").write_text(json.dumps({"actual": actual}))


def write_scores(
    place: Path, name: str, step: int, metrics: dict[str, float], problems: list[object]
) -> None:
    """One scores.json."""
    directory = place / "evals" / name / f"step-{step}"
    directory.mkdir(parents=True)
    config = {"data": {"digest": "d"}, "renderer": {"digest": "r"}, "prompt": "p", "sampling": {}}
    record = {"benchmark": name, "step": step, "metrics": metrics, "problems": problems}
    (directory / "scores.json").write_text(json.dumps({**record, "config": config}, indent=2))


def measure(code: str, root: Path) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a process that runs the code in `root`."""
    environ = {
        **os.environ,
        "OT_RUNS": str(root / "runs"),
        "OT_SWEEPS": str(root / "sweeps"),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environ, check=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def show(runs: int, rows: int, repeat: int) -> list[str]:
    """Make the files, measure, and give the lines of a Markdown table."""
    total = runs * rows
    ways = {
        f"`ot runs show` of {runs:,} runs": OURS.replace("{runs}", str(runs)),
        "polars, file by file": EACH.replace("{rows}", str(total)),
        "polars, one scan": SCAN.replace("{rows}", str(total)),
    }
    with tempfile.TemporaryDirectory(prefix="ot-show-") as name:
        root = Path(name)
        make(root, runs, rows)
        taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(repeat):
            for way, code in ways.items():
                taken[way].append(measure(code, root))
    best = {way: (min(w for w, _ in some), min(c for _, c in some)) for way, some in taken.items()}
    least_wall, least_cpu = best["polars, one scan"]
    return [
        f"| {total:,} rows of metrics, {runs:,} finished runs | wall | ratio | CPU | ratio |",
        "|---|---|---|---|---|",
        *(
            f"| {way} | {wall:.2f} s | {wall / least_wall:.2f} | {cpu:.2f} s | {cpu / least_cpu:.2f} |"
            for way, (wall, cpu) in best.items()
        ),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    print("\n".join(show(options.runs, options.rows, options.repeat)))


if __name__ == "__main__":
    main()
