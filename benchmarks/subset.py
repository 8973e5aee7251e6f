"""Cutting a subset: our ways beside their peers, as ratios in one run. Needs the extra `bench`.

    python benchmarks/subset.py [--rows 40000] [--rounds 3] [--slice-rows 400]
        [--markdown FILE] [--json FILE]

Every way runs in a process of its own (benchmarks/subset_ways.py says what each does), the rounds are
interleaved so that a busy machine slows all alike, and medians are compared. "work" is choosing and
writing with all libraries imported; "process" is all from start to exit; memory is the most that any
one process had, "cpu" what all its processes and threads used together. Files are in the page cache. Ways with a star ran on a slice and are scaled by rows
or bytes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

# Nothing large may be imported here: a child's peak memory would begin with ours.
_WORKERS = min(os.cpu_count() or 1, 2)
_MOST_S = 600
"""A way that takes longer is ended, and with it the benchmark."""


class Run(NamedTuple):
    work_s: float
    process_s: float
    cpu_s: float
    peak_mb: float
    result: dict[str, float]


class Bench:
    """Runs ways and keeps what was measured, by (way, files, limit)."""

    def __init__(self, chosen: argparse.Namespace, scratch: Path) -> None:
        self.chosen = chosen
        self.scratch = scratch
        self.runs: dict[tuple[str, int, int], list[Run]] = defaultdict(list)
        self.corpus = Path(self._python("corpus.py", "--rows", str(chosen.rows)).splitlines()[-1])
        self.tokenizer = self._python(
            "-c",
            "from openthoughts_cli.chat.renderer import load_renderer as load;"
            "print(load('Qwen/Qwen3-8B').tokenizer_file.parent)",
        ).splitlines()[-1]

    def _python(self, *arguments: str) -> str:
        words = [str(HERE / arguments[0]) if arguments[0].endswith(".py") else arguments[0]]
        command = [sys.executable, *words, *arguments[1:]]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=_env())
        return done.stdout

    def part(self, files: int) -> Path:
        from corpus import part_of_corpus

        return part_of_corpus(self.corpus, files)

    def run(self, way: str, files: int = 16, max_tokens: int = 4096) -> None:
        out = Path(tempfile.mkdtemp(dir=self.scratch))
        command = [sys.executable, str(HERE / "subset_ways.py"), way]
        command += ["--corpus", str(self.part(files)), "--tokenizer", self.tokenizer]
        command += ["--out", str(out), "--max-tokens", str(max_tokens)]
        command += ["--limit", str(self.chosen.limit), "--workers", str(_WORKERS)]
        command += ["--slice-rows", str(self.chosen.slice_rows)]
        # Each number of files has its own index; without one, there is none.
        cache = "empty" if way == "ours_stream" else f"index-{files}"
        environment = _env() | {"OT_CACHE": str(self.scratch / cache)}
        log = out / "log"
        started = time.perf_counter()
        with log.open("w") as errors:
            child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )
            watch = _Watch(child.pid)
            assert child.stdout is not None
            guard = threading.Timer(_MOST_S, child.kill)
            guard.start()
            said = child.stdout.read()
            _, status, usage = os.wait4(child.pid, 0)
            guard.cancel()
        took = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        peak = max(watch.stop(), usage.ru_maxrss / 1024)
        if child.returncode:
            raise SystemExit(f"{way} ended with {child.returncode}:\n{log.read_text()[-3000:]}")
        result = json.loads(said.splitlines()[-1])
        work = result.pop("work_s")
        cpu = usage.ru_utime + usage.ru_stime
        self.runs[way, files, max_tokens].append(Run(work, took, cpu, peak, result))
        print(
            f"  {way:20} {files:3} files, limit {max_tokens:6}: work {work:7.2f} s, "
            f"process {took:7.2f} s, cpu {cpu:7.2f} s, {peak:6.0f} MB, {result}",
            file=sys.stderr,
            flush=True,
        )
        shutil.rmtree(out, ignore_errors=True)

    def median(self, way: str, files: int = 16, max_tokens: int = 4096) -> Run:
        runs = self.runs[way, files, max_tokens]
        return Run(
            statistics.median(run.work_s for run in runs),
            statistics.median(run.process_s for run in runs),
            statistics.median(run.cpu_s for run in runs),
            max(run.peak_mb for run in runs),
            runs[-1].result,
        )


class _Watch:
    """The most memory that a process or one of its descendants had, looked at 50 times a second."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak_kb = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._done.wait(0.02):
            waiting = [self._pid]
            while waiting:
                pid = waiting.pop()
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
                except OSError:
                    continue
                waiting += map(int, children.split())
                for line in status.splitlines():
                    if line.startswith("VmHWM:"):
                        self._peak_kb = max(self._peak_kb, int(line.split()[1]))

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self._peak_kb / 1024


def _env() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(HERE.parent), "HF_HUB_OFFLINE": "1"}


def measure(bench: Bench) -> None:
    _warm(bench.corpus)
    for _ in range(bench.chosen.rounds):
        bench.run("decode_and_tokenise")
        for files in (4, 8, 16):
            shutil.rmtree(bench.scratch / f"index-{files}", ignore_errors=True)
            bench.run("ours_index_build", files)
            bench.run("ours_with_index", files)
            bench.run("ours_stream", files)
        bench.run("estimate")
        for max_tokens in (4096, 16384):
            bench.run("polars_scan", max_tokens=max_tokens)
            bench.run("duckdb_stream", max_tokens=max_tokens)
            if max_tokens != 4096:
                bench.run("ours_stream", max_tokens=max_tokens)
    for way in ("datasets_filter", "polars_tokenizers", "tokenise_slowly"):
        bench.run(way)


def report(bench: Bench) -> str:
    rows = bench.chosen.rows
    math_rows = bench.median("polars_scan").result["rows"]
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {_machine()}; {rows:,} rows ({math_rows:,} of math), "
        f"{_text_gb(bench):.2f} GB of text; job: math, at most so many tokens, "
        f"{bench.chosen.limit} rows, saved; median of {bench.chosen.rounds} rounds.",
        "",
    ]
    lines += _job_table(bench, math_rows)
    lines += _build_table(bench)
    lines += _growth_table(bench)
    lines += _rounds_table(bench)
    lines += _targets(bench, math_rows)
    return "\n".join(lines) + "\n"


_NAMES = {
    "ours_with_index": "ours, with the index",
    "ours_stream": "ours, without an index",
    "estimate": "pages and len // 4 (not exact, not seeded)",
    "duckdb_stream": "duckdb stream + gigatoken",
    "polars_scan": "polars scan + gigatoken",
    "polars_tokenizers": "polars scan + tokenizers*",
    "datasets_filter": "datasets.filter + tokenizers*",
}


def _scaled(bench: Bench, way: str, math_rows: float) -> Run:
    run = bench.median(way)
    if way not in ("datasets_filter", "polars_tokenizers"):
        return run
    work = run.work_s * math_rows / run.result["rows"]
    process, cpu = run.process_s - run.work_s + work, run.cpu_s * work / run.work_s
    return Run(work, process, cpu, run.peak_mb, run.result)


def _job_table(bench: Bench, math_rows: float) -> list[str]:
    ours = bench.median("ours_with_index")
    lines = [
        "| at most 4,096 tokens | work s | process s | cpu s | peak MB | work / ours | "
        "process / ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for way, name in _NAMES.items():
        run = _scaled(bench, way, math_rows)
        lines.append(
            f"| {name} | {run.work_s:.2f} | {run.process_s:.2f} | {run.cpu_s:.2f} | "
            f"{run.peak_mb:.0f} | "
            f"{run.work_s / ours.work_s:.1f} | {run.process_s / ours.process_s:.1f} |"
        )
    lines += [
        "",
        "| at most 16,384 tokens | work s | process s | cpu s | peak MB |",
        "|---|---|---|---|---|",
    ]
    for way in ("ours_stream", "duckdb_stream", "polars_scan"):
        run = bench.median(way, max_tokens=16384)
        lines.append(
            f"| {_NAMES[way]} | {run.work_s:.2f} | {run.process_s:.2f} | {run.cpu_s:.2f} | "
            f"{run.peak_mb:.0f} |"
        )
    return [*lines, ""]


def _slow_pass(bench: Bench) -> float:
    run, whole = bench.median("tokenise_slowly"), bench.median("decode_and_tokenise")
    return run.work_s * whole.result["bytes"] / run.result["bytes"]


def _build_table(bench: Bench) -> list[str]:
    build, bare = bench.median("ours_index_build"), bench.median("decode_and_tokenise")
    slow = _slow_pass(bench)
    return [
        f"| all rows, {_WORKERS} processes | work s | cpu s | peak MB a process | / decode and tokenise |",
        "|---|---|---|---|---|",
        f"| build of the index | {build.work_s:.2f} | {build.cpu_s:.2f} | {build.peak_mb:.0f} | "
        f"{build.work_s / bare.work_s:.2f} |",
        f"| decode and tokenise alone | {bare.work_s:.2f} | {bare.cpu_s:.2f} | "
        f"{bare.peak_mb:.0f} | 1.00 |",
        f"| the same with tokenizers, all cores* | {slow:.1f} | | "
        f"{bench.median('tokenise_slowly').peak_mb:.0f} | {slow / bare.work_s:.0f} |",
        "",
    ]


def _growth_table(bench: Bench) -> list[str]:
    lines = [
        "| rows | with the index: work s | peak MB | without: work s | peak MB | build s |",
        "|---|---|---|---|---|---|",
    ]
    for files in (4, 8, 16):
        query, stream = bench.median("ours_with_index", files), bench.median("ours_stream", files)
        lines.append(
            f"| {bench.chosen.rows * files // 16:,} | {query.work_s:.2f} | {query.peak_mb:.0f} | "
            f"{stream.work_s:.2f} | {stream.peak_mb:.0f} | "
            f"{bench.median('ours_index_build', files).work_s:.2f} |"
        )
    return [*lines, ""]


def _rounds_table(bench: Bench) -> list[str]:
    lines = ["| every round | files | limit | work s |", "|---|---|---|---|"]
    for (way, files, max_tokens), runs in sorted(bench.runs.items()):
        each = ", ".join(f"{run.work_s:.2f}" for run in runs)
        lines.append(f"| {way} | {files} | {max_tokens:,} | {each} |")
    return [*lines, ""]


def _as_json(bench: Bench) -> str:
    runs = [
        {"way": way, "files": files, "max_tokens": max_tokens, **run._asdict()}
        for (way, files, max_tokens), found in bench.runs.items()
        for run in found
    ]
    return json.dumps({"machine": _machine(), "rows": bench.chosen.rows, "runs": runs}, indent=1)


def _targets(bench: Bench, math_rows: float) -> list[str]:
    index, stream = bench.median("ours_with_index"), bench.median("ours_stream")
    far = bench.median("ours_stream", max_tokens=16384)
    build, bare = bench.median("ours_index_build"), bench.median("decode_and_tokenise")
    guess = bench.median("estimate")
    slow = _scaled(bench, "datasets_filter", math_rows)
    peers = {
        limit: min(
            bench.median(way, max_tokens=limit).work_s for way in ("polars_scan", "duckdb_stream")
        )
        for limit in (4096, 16384)
    }
    small = bench.median("ours_with_index", 4)
    lean = [bench.median("ours_stream", files).peak_mb for files in (4, 8, 16)] + [far.peak_mb]
    found = [
        ("index: work, times faster than the estimate", guess.work_s / index.work_s, ">=", 5),
        ("index: process, times faster", guess.process_s / index.process_s, ">=", 2.5),
        ("index: times faster than datasets.filter*", slow.work_s / index.work_s, ">=", 300),
        ("index: peak MB", index.peak_mb, "<", 600),
        ("index: time at 4x the rows", index.work_s / small.work_s, "<", 3),
        ("no index, 4,096: fastest peer / ours", peers[4096] / stream.work_s, ">=", 1),
        ("no index, 16,384: fastest peer / ours", peers[16384] / far.work_s, ">=", 1),
        ("no index: peak MB", max(lean), "<", 1000),
        ("no index: peak MB at 4x the rows, times", lean[2] / lean[0], "<", 1.25),
        ("build / decode and tokenise", build.work_s / bare.work_s, "<=", 1.6),
        ("build: peak MB a process", build.peak_mb, "<", 800),
        ("build: times faster than with tokenizers*", _slow_pass(bench) / build.work_s, ">=", 60),
    ]
    lines = ["| figure | measured | wanted | reached |", "|---|---|---|---|"]
    for name, value, sign, wanted in found:
        reached = {">=": value >= wanted, "<=": value <= wanted, "<": value < wanted}[sign]
        lines.append(f"| {name} | {value:.2f} | {sign} {wanted} | {'yes' if reached else 'NO'} |")
    return lines


def _text_gb(bench: Bench) -> float:
    return bench.median("decode_and_tokenise").result["bytes"] / 1e9


def _machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    name = names[0] if names else platform.machine()
    return f"{os.cpu_count()} cores of {name}, Python {platform.python_version()}"


def _warm(folder: Path) -> None:
    for path in sorted(folder.glob("*.parquet")):
        with path.open("rb") as file:
            while file.read(1 << 22):
                pass


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slice-rows", type=int, default=400)
    parser.add_argument(
        "--limit", type=int, help="rows chosen; unset: 500, or fewer of a small corpus"
    )
    parser.add_argument("--scratch", type=Path, help="a folder for indexes and results; temporary")
    parser.add_argument("--markdown", type=Path, help="write the tables there too")
    parser.add_argument(
        "--json", type=Path, help="write every run there, of a benchmark that was stopped too"
    )
    chosen = parser.parse_args()
    chosen.limit = chosen.limit or min(500, chosen.rows // 80)
    if chosen.scratch:
        chosen.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=chosen.scratch, prefix="ot-bench-") as scratch:
        bench = Bench(chosen, Path(scratch))
        try:
            measure(bench)
        finally:
            if chosen.json:
                chosen.json.write_text(_as_json(bench) + "\n", encoding="utf-8")
        text = report(bench)
    print(text)
    if chosen.markdown:
        chosen.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
