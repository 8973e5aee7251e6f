"""The explorer's queries beside their peers, as ratios in one run. Needs the extra `bench`.

    python benchmarks/explorer.py [--rows 40000] [--index-rows 1200000] [--rounds 30] [--no-browser]
                                  [--markdown FILE]

Two sizes: the corpus of benchmarks/corpus.py with its texts, where peers page through the parquet files;
and its index scaled to the whole data set (other ids, other questions), where all have the columns in
memory. Rounds of all ways are interleaved, so that a busy machine slows all alike; p95 is compared.
Ours are asked with a new filter each time (cold: the page's filter was never seen) and again (warm: the
next page of it). Memory and the first screen are those of real servers.
"""

# ruff: noqa: B023 - what is timed is called in the round that makes it

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

TOKENIZER = "Qwen/Qwen3-8B"
QUESTIONS = 75_000
WORDS = ("the", "polynomial", "chiral", "angle sequence", "probability limit", "nothingofthekind")


class Times:
    """Seconds by way, rounds interleaved."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def take(self, way: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        found = work()
        self.seconds[way].append(time.perf_counter() - started)
        return found

    def p95(self, way: str) -> float:
        values = sorted(self.seconds[way])
        return values[min(int(len(values) * 0.95), len(values) - 1)]

    def median(self, way: str) -> float:
        return statistics.median(self.seconds[way])

    def row(self, name: str, way: str, than: str) -> str:
        ratio = self.p95(way) / self.p95(than)
        return (
            f"| {name} | {self.median(way) * 1e3:.2f} | {self.p95(way) * 1e3:.2f} | {ratio:.2f} |"
        )


def looked_up(folder: Path) -> Any:
    """The corpus, its index built."""
    from openthoughts_cli.data.browse_open import DataSet, look_up
    from openthoughts_cli.data.index_build import build_index

    looked = look_up(DataSet(str(folder), TOKENIZER))
    if looked.owed:
        print("building the index", file=sys.stderr)
        build_index(looked.index, looked.counter)
        looked = look_up(DataSet(str(folder), TOKENIZER))
    return looked


class ScaledIndex:
    """The index parts of a corpus, repeated under other ids until they have so many rows.

    Written as files, so that loading reads and checks as it does of a real index.
    """

    def __init__(self, looked: Any, folder: Path, rows: int, questions: int = QUESTIONS) -> None:
        import numpy as np
        import pyarrow as pa

        from openthoughts_cli.data.index import write_part
        from openthoughts_cli.data.tabulate import PART_SCHEMA

        self.corpus = looked.index.corpus
        self._looked = looked
        self.states: list[Any] = []
        parts = [looked.index.columns(state, PART_SCHEMA.names) for state in looked.states]
        per_round = sum(part.num_rows for part in parts)
        rounds = -(-rows // per_round)
        distinct = sum(part.num_rows - part.column("question").null_count for part in parts)
        # As many different questions as the data set has, over all rounds.
        keep = max(round(questions / distinct), 1)
        done = 0
        for turn in range(rounds):
            shift = np.uint64(0x9E3779B97F4A7C15 * (turn % keep) & (2**64 - 1))
            for number, part in enumerate(parts):
                if done >= rows:
                    break
                part = part.slice(0, min(part.num_rows, rows - done))
                done += part.num_rows
                columns = {name: part.column(name) for name in PART_SCHEMA.names}
                for name in ("question_high", "question_low"):
                    values = columns[name].to_numpy() + shift
                    columns[name] = pa.array(values, pa.uint64())
                for name in ("content_high", "content_low"):
                    values = columns[name].to_numpy() + np.uint64(turn)
                    columns[name] = pa.array(values, pa.uint64())
                if turn % keep:
                    texts = columns["question"].to_pylist()
                    columns["question"] = pa.array(
                        [text and f"{text} Case {turn}." for text in texts], pa.large_string()
                    )
                table = pa.table(columns, schema=PART_SCHEMA)
                identity = f"{turn:08x}{number:08x}"
                path, size = write_part(folder, identity, table, {"ot_dataset": "scaled"})
                state = looked.states[number]._replace(identity=identity, path=path, num_bytes=size)
                self.states.append(state)

    def columns(self, state: Any, names: Any) -> Any:
        return self._looked.index.columns(state, names)

    def digest(self, states: Any) -> str:
        return self._looked.index.digest(states)


def frames(browse: Any) -> tuple[Any, Any]:
    """The columns of a browse as a polars frame, and its distinct questions in lower case."""
    import polars as pl

    kinds = pl.DataFrame(
        {
            "source": [kind.source for kind in browse.kinds],
            "domain": [kind.domain for kind in browse.kinds],
            "difficulty": [kind.difficulty for kind in browse.kinds],
            "closed": [kind.closed for kind in browse.kinds],
        },
        schema={
            "source": pl.Categorical,
            "domain": pl.Categorical,
            "difficulty": pl.Int64,
            "closed": pl.Boolean,
        },
    )
    rows = kinds[browse.kind.astype("int64")]
    counts = {
        name: pl.Series(browse.columns[name])
        for name in ("tokens", "tokens_thinking", "tokens_answer")
    }
    frame = rows.with_columns(**counts, number=pl.int_range(rows.height, dtype=pl.Int32))
    return frame.rechunk(), browse.questions.texts.str.to_lowercase()


def some_filters(browse: Any, rounds: int) -> list[Any]:
    """Filters of all sorts, each other than the last: (ours, polars, SQL)."""
    import polars as pl

    from openthoughts_cli.data.browse_filter import RowFilter, Span

    found: list[Any] = []
    sources = sorted({kind.source for kind in browse.kinds})
    for i in range(rounds):
        low, high = 1_000 + 37 * i, 30_000 + 101 * i
        source = sources[i % len(sources)]
        kind = i % 4
        if kind == 0:
            ours = RowFilter(tokens=Span(low, high))
            plain = pl.col("tokens").is_between(low, high)
            sql = f"tokens BETWEEN {low} AND {high}"
        elif kind == 1:
            ours = RowFilter(sources=(source,), thinking=Span(low, None))
            plain = (pl.col("source") == source) & (pl.col("tokens_thinking") >= low)
            sql = f"source = '{source}' AND tokens_thinking >= {low}"
        elif kind == 2:
            ours = RowFilter(domains=("math",), closed=True, tokens=Span(None, high))
            plain = (pl.col("domain") == "math") & pl.col("closed") & (pl.col("tokens") <= high)
            sql = f"domain = 'math' AND closed AND tokens <= {high}"
        else:
            ours = RowFilter(difficulty=("none",), tokens=Span(low // 2, None))
            plain = pl.col("difficulty").is_null() & (pl.col("tokens") >= low // 2)
            sql = f"difficulty IS NULL AND tokens >= {low // 2}"
        found.append((ours, plain, sql))
    return found


def pages_in_memory(browse: Any, frame: Any, rounds: int) -> Times:
    """50 rows at any depth of a filter, the columns of all in memory."""
    import duckdb

    times = Times()
    connection = duckdb.connect()
    arrow = frame.with_columns(
        source=frame["source"].cast(str), domain=frame["domain"].cast(str)
    ).to_arrow()
    connection.register("arrow_rows", arrow)
    connection.execute("CREATE TABLE rows AS SELECT * FROM arrow_rows")
    lazy = frame.lazy()
    browse.page(sort="tokens")  # the order is made once, as it is when the app starts to sort
    for i, (ours, plain, sql) in enumerate(some_filters(browse, rounds)):
        total = len(browse.selection(ours))
        browse._selections.clear()
        number = total // 50 * (i % 5) // 5
        first = times.take("ours, new filter", lambda: browse.page(ours, number=number))
        times.take("ours, next page", lambda: browse.page(ours, number=number + 1))
        skip = first.first
        other = times.take("polars", lambda: lazy.filter(plain).slice(skip, 50).collect())
        query = f"SELECT * FROM rows WHERE {sql} ORDER BY number LIMIT 50 OFFSET {skip}"
        third = times.take("duckdb", lambda: connection.execute(query).fetchall())
        assert first.rows.tolist() == other["number"].to_list() == [row[-1] for row in third]
        times.take(
            "ours, new filter, sorted",
            lambda: browse.page(ours, number=number, sort="tokens", descending=True),
        )
        times.take(
            "ours, next page, sorted",
            lambda: browse.page(ours, number=number + 1, sort="tokens", descending=True),
        )
        times.take(
            "polars, sorted",
            lambda: (
                lazy.filter(plain)
                .sort("tokens", descending=True, maintain_order=True)
                .slice(skip, 50)
                .collect()
            ),
        )
        query = (
            f"SELECT * FROM rows WHERE {sql} ORDER BY tokens DESC, number LIMIT 50 OFFSET {skip}"
        )
        times.take("duckdb, sorted", lambda: connection.execute(query).fetchall())
    return times


def pages_of_files(browse: Any, folder: Path, rounds: int) -> Times:
    """50 rows with the beginnings of their questions, from the corpus's own parquet files."""
    import duckdb
    import polars as pl

    from openthoughts_cli.data.browse_filter import RowFilter
    from openthoughts_cli.data.browse_rows import table_lines

    times = Times()
    files = str(folder / "*.parquet")
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW files AS SELECT * FROM read_parquet('{files}')")
    question = pl.col("conversations").list.get(0).struct.field("value").str.slice(0, 300)
    sources = sorted({kind.source for kind in browse.kinds})
    for i in range(rounds):
        source = sources[i % len(sources)]
        ours = RowFilter(sources=(source,))
        total = len(browse.selection(ours))
        browse._selections.clear()
        skip = total // 50 * (i % 5) // 5 * 50
        lines = times.take(
            "ours",
            lambda: table_lines(browse, browse.page(ours, number=skip // 50).rows.tolist()),
        )
        scan = pl.scan_parquet(files).filter(pl.col("source") == source).slice(skip, 50)
        rows = times.take("polars", lambda: scan.select("source", "difficulty", question).collect())
        assert [line.question for line in lines] == rows["value"].to_list()
        query = (
            "SELECT source, difficulty, left(conversations[1].value, 300) FROM files "
            f"WHERE source = '{source}' LIMIT 50 OFFSET {skip}"
        )
        times.take("duckdb", lambda: connection.execute(query).fetchall())
    return times


def counts(browse: Any, frame: Any, rounds: int) -> Times:
    """Counts by all labels and a histogram by source, against one group-by of the same columns."""
    import polars as pl

    from openthoughts_cli.data.browse_counts import compose, histogram

    times = Times()
    by = ["source", "domain", "difficulty", (pl.col("tokens") // 1_000).alias("bar")]
    for ours, plain, _ in some_filters(browse, rounds):
        times.take("ours, counts", lambda: compose(browse, ours))
        times.take("ours, histogram", lambda: histogram(browse, ours, by="source"))
        both = [
            a + b
            for a, b in zip(
                times.seconds["ours, counts"], times.seconds["ours, histogram"], strict=True
            )
        ]
        times.seconds["ours, both"] = both
        times.take(
            "polars group-by", lambda: frame.group_by(by).agg(pl.len(), pl.col("tokens").sum())
        )
        times.take(
            "polars filter and group-by",
            lambda: (
                frame.lazy()
                .filter(plain)
                .group_by(by)
                .agg(pl.len(), pl.col("tokens").sum())
                .collect()
            ),
        )
    return times


def searches(browse: Any, lower: Any, rounds: int) -> Times:
    """Words in the distinct questions, against a bare scan of the same text for the first word."""
    from openthoughts_cli.data.browse_filter import Search

    times = Times()
    times.take("ours, words made once", lambda: browse.questions.words)
    for i in range(rounds):
        for words in WORDS:
            longest = max(words.split(), key=len)
            times.take("ours", lambda: browse.questions.find(Search("words", words)))
            times.take("polars", lambda: lower.str.contains(longest, literal=True))
            pattern = rf"(?i)\b{longest}\b"
            if i < 5:
                times.take(
                    "polars, whole words", lambda: browse.questions.texts.str.contains(pattern)
                )
    return times


EMPTY_APP = "import streamlit as st\nst.title('empty')\n"
TABLE_APP = (
    "import streamlit as st\nst.title('table')\n"
    "st.dataframe([{'a': i, 'text': 'x' * 50} for i in range(50)])\n"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A Streamlit server, started and waited for."""

    def __init__(self, command: list[str], port: int, environ: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | environ
        )
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise SystemExit("the server did not answer")

    def peak_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return (
            next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
            / 1024
        )

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)


def first_screens(folder: Path, rounds: int) -> tuple[Times, float]:
    """Seconds from opening the address to the first useful screen, in Chromium."""
    from playwright.sync_api import sync_playwright

    times = Times()
    scratch = Path(tempfile.mkdtemp(prefix="ot-bench-empty-"))
    (scratch / "empty.py").write_text(EMPTY_APP)
    (scratch / "table.py").write_text(TABLE_APP)
    ports = free_port(), free_port(), free_port()
    path = {"PYTHONPATH": str(HERE.parent)}
    flags = [
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
        "--server.fileWatcherType=none",
        "--server.address=127.0.0.1",
    ]

    def plain(script: str, port: int) -> Server:
        streamlit = [sys.executable, "-m", "streamlit", "run", str(scratch / script), *flags]
        return Server([*streamlit, f"--server.port={port}"], port, path)

    empty, bare = plain("empty.py", ports[0]), plain("table.py", ports[2])
    ours = [sys.executable, "-m", "openthoughts_cli", "explore", "--no-open", "--plain"]
    ours += ["--dataset", str(folder), "--tokenizer", TOKENIZER, "--port", str(ports[1])]
    app = Server(ours, ports[1], path)
    first = f"{app.url}/data_set"  # as it is printed and opened
    time.sleep(5)  # both have read what they read at their start
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium") or "/usr/bin/chromium",
                args=["--no-sandbox", "--disable-dev-shm-usage"],
            )
            for _ in range(rounds):
                for way, url, there in (
                    ("empty app", empty.url, "text=empty"),
                    ("ours, figures", first, '[data-testid="stMain"] >> text=questions'),
                    ("ours, table", first, '[data-testid="stDataFrame"] canvas'),
                    ("only a table", bare.url, '[data-testid="stDataFrame"] canvas'),
                ):
                    context = browser.new_context(viewport={"width": 1280, "height": 800})
                    page = context.new_page()
                    started = time.perf_counter()
                    page.goto(url)
                    page.wait_for_selector(there, state="visible")
                    times.seconds[way].append(time.perf_counter() - started)
                    context.close()
            browser.close()
        return times, app.peak_mb()
    finally:
        empty.stop()
        bare.stop()
        app.stop()
        shutil.rmtree(scratch, ignore_errors=True)


def memory_at(folder: Path, index: Any, python: str) -> float:
    """Peak MB of a process that has Streamlit, loads the scaled index and answers each kind of query."""
    described = folder / "states.json"
    described.write_text(
        json.dumps([[s.number, s.identity, str(s.path), s.num_bytes] for s in index.states])
    )
    done = subprocess.run(
        [python, __file__, "--load", str(described), "--corpus", str(index.corpus.dataset)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
    )
    return float(done.stdout.split()[-1])


def load_alone(described: Path, corpus: str) -> None:
    """The child of `memory_at`."""
    import altair
    import streamlit

    del altair, streamlit
    from openthoughts_cli.data.browse_counts import compose, histogram
    from openthoughts_cli.data.browse_filter import RowFilter, Search, Span
    from openthoughts_cli.data.browse_load import load_browse
    from openthoughts_cli.data.browse_sql import SQL_EXAMPLES, query

    looked = looked_up(Path(corpus))
    states = [
        looked.states[number]._replace(identity=identity, path=Path(path), num_bytes=size)
        for number, identity, path, size in json.loads(described.read_text())
    ]
    started = time.perf_counter()
    browse = load_browse(looked.index, states, tokenizer=TOKENIZER)
    print(f"loaded {len(browse):,} rows in {time.perf_counter() - started:.1f} s", file=sys.stderr)
    chosen = RowFilter(tokens=Span(1_000, 30_000), search=Search("words", "the"))
    compose(browse, chosen)
    histogram(browse, chosen, by="source")
    for sort in ("tokens", "tokens_thinking", "difficulty", "answers"):
        browse.page(chosen, number=1_000, sort=sort, descending=True)
    query(browse, SQL_EXAMPLES[0])
    print(peak_mb())


def peak_mb() -> float:
    """The highest resident memory of this process, in MB. Not `ru_maxrss`: that one begins, after
    fork and exec, with the parent's, which holds the frames of the peers."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def table(title: str, times: Times, ways: list[tuple[str, str]], than: str) -> list[str]:
    lines = [f"| {title} | median ms | p95 ms | p95 / {than} |", "|---|---|---|---|"]
    return [*lines, *(times.row(name, way, than) for name, way in ways), ""]


def report(chosen: argparse.Namespace, corpus: Path, scratch: Path) -> str:
    from openthoughts_cli.data.browse_load import load_browse

    looked = looked_up(corpus)
    small = looked.load()
    scaled = ScaledIndex(looked, scratch, chosen.index_rows)
    browse = load_browse(scaled, scaled.states, tokenizer=TOKENIZER)  # pyright: ignore
    frame, lower = frames(browse)
    size = f"{len(browse):,} index rows, {len(browse.questions):,} questions"
    text_mb = browse.questions.texts.str.len_bytes().sum() / 1e6
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {_machine()}; corpus of {len(small):,} rows; "
        f"{size} ({text_mb:.0f} MB); {chosen.rounds} rounds.",
        "",
    ]
    targets: list[tuple[str, str, bool]] = []

    def target(what: str, ratio: float, fine: bool) -> None:
        targets.append((what, f"{ratio:.2f}", fine))

    files = pages_of_files(small, corpus, min(chosen.rounds, 10))
    lines += table(
        "50 rows of the files, at any depth",
        files,
        [("ours", "ours"), ("polars scan, filter, slice", "polars"), ("duckdb, warm", "duckdb")],
        "ours",
    )
    ratio = files.p95("polars") / files.p95("ours")
    target("polars scan, filter, slice / our page: at least 10", ratio, ratio >= 10)
    ratio = files.p95("ours") / files.p95("duckdb")
    target("our page / duckdb, warm, on the files: at most 1", ratio, ratio <= 1)
    memory = pages_in_memory(browse, frame, chosen.rounds)
    lines += table(
        f"50 rows, columns in memory, {len(browse):,} rows",
        memory,
        [
            ("ours, a new filter", "ours, new filter"),
            ("ours, the next page", "ours, next page"),
            ("polars filter, slice", "polars"),
            ("duckdb, warm", "duckdb"),
            ("ours, a new filter, sorted", "ours, new filter, sorted"),
            ("ours, the next page, sorted", "ours, next page, sorted"),
            ("polars, sorted", "polars, sorted"),
            ("duckdb, sorted", "duckdb, sorted"),
        ],
        "duckdb",
    )
    for mine, other in (
        ("ours, new filter", "duckdb"),
        ("ours, new filter, sorted", "duckdb, sorted"),
    ):
        ratio = memory.p95(mine) / memory.p95(other)
        target(f"{mine} / {other}, in memory: at most 1", ratio, ratio <= 1)
    counted = counts(browse, frame, chosen.rounds)
    lines += table(
        f"counts and histogram, {len(browse):,} rows",
        counted,
        [
            ("ours: counts by every label", "ours, counts"),
            ("ours: histogram and percentiles by source", "ours, histogram"),
            ("ours: both", "ours, both"),
            ("one bare polars group-by", "polars group-by"),
            ("polars filter and group-by", "polars filter and group-by"),
        ],
        "polars group-by",
    )
    ratio = counted.p95("ours, both") / counted.p95("polars group-by")
    target("counts and histogram / one bare group-by: at most 2", ratio, ratio <= 2)
    searched = searches(browse, lower, min(chosen.rounds, 20))
    lines += table(
        f"word search, {len(browse.questions):,} questions",
        searched,
        [
            ("ours: whole words, any case", "ours"),
            ("bare polars scan, lower case made before", "polars"),
            ("polars, whole words by a regex", "polars, whole words"),
            ("ours: made once, before the first", "ours, words made once"),
        ],
        "polars",
    )
    ratio = searched.p95("ours") / searched.p95("polars")
    target("word search / bare polars scan: at most 2", ratio, ratio <= 2)
    del frame, lower, browse
    peak = memory_at(scratch, scaled, sys.executable)
    target(f"memory at {chosen.index_rows:,} rows, MB: under 700", peak, peak < 700)
    if not chosen.no_browser:
        screens, server_mb = first_screens(corpus, min(chosen.rounds, 10))
        lines += table(
            "first useful screen, Chromium",
            screens,
            [
                ("ours: figures and the filter's result", "ours, figures"),
                ("ours: the rows drawn", "ours, table"),
                ("an app with one title and one table of 50 rows", "only a table"),
                ("empty app", "empty app"),
            ],
            "empty app",
        )
        ratio = screens.p95("ours, table") / screens.p95("empty app")
        target("the rows drawn / empty app: at most 2", ratio, ratio <= 2)
        ratio = screens.p95("ours, figures") / screens.p95("empty app")
        target("figures, the first useful screen / empty app: at most 2", ratio, ratio <= 2)
        lines += [f"The server of {len(small):,} rows had at most {server_mb:.0f} MB.", ""]
    lines += ["| target | measured | met |", "|---|---|---|"]
    lines += [f"| {what} | {ratio} | {'yes' if fine else 'no'} |" for what, ratio, fine in targets]
    return "\n".join(lines) + "\n"


def _machine() -> str:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.split(":")[1].strip()
            for line in info.read_text().splitlines()
            if "model name" in line
        ]
        name = models[0] if models else name
    return f"{os.cpu_count()} cores of {name}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--index-rows", type=int, default=1_200_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--corpus", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.load:
        load_alone(chosen.load, chosen.corpus)
        return
    from corpus import corpus_folder

    corpus = corpus_folder(chosen.rows)
    scratch = Path(tempfile.mkdtemp(prefix="ot-bench-explorer-"))
    try:
        text = report(chosen, corpus, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(text)
    if chosen.markdown:
        chosen.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
