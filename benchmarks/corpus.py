"""Makes the benchmarks' corpus: rows like OpenThoughts3's, as many as wanted, in a minute or two.

    python benchmarks/corpus.py [--rows 40000] [--out FOLDER]

Five sources in the data set's shares, grouped by domain as there (code, math, science), 16 files,
row groups of 1,000, snappy. A row has about 50 KB, 14.6 thousand tokens, spread as widely as real
traces; 16 answers share a question. Texts are drawn from hundreds of thousands of different lines
with their own numbers and names, so no two rows, and no two parts of a row, repeat each other. The
same rows come from the same seed on any machine; the words are listed here.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from openthoughts_cli.places import cache_dir

__all__ = ["FILES", "corpus_folder", "main", "part_of_corpus"]

FORMAT = 2
FILES = 16
SEED = 20_261_124
ROW_GROUP = 1_000
ANSWERS = 16
_POOL_LINES = 60_000
_LINE_BYTES = 58


class Source(NamedTuple):
    name: str
    domain: str
    share: float
    mean_bytes: int
    closed: float
    """Share of answers with a `</think>`."""


SOURCES = (
    Source("nvidia/OpenCodeReasoning", "code", 0.10487, 56_000, 0.7),
    Source("stackexchange_codegolf", "code", 0.10347, 50_000, 0.6),
    Source("ai2-adapt-dev/openmath-2-math", "math", 0.70832, 47_500, 0.35),
    Source("organic-chemistry-questions", "science", 0.04992, 31_000, 0.8),
    Source("stackexchange-physics", "science", 0.03342, 33_000, 0.8),
)

_ORDER = ("first", "next", "now", "then", "so", "but", "wait", "hmm", "okay", "actually", "also")
_VERBS = (
    *("compute", "check", "consider", "rewrite", "simplify", "substitute", "compare", "bound"),
    *("expand", "factor", "integrate", "differentiate", "count", "verify", "assume", "estimate"),
    *("solve", "recall", "apply", "rearrange", "evaluate", "approximate", "prove", "reduce"),
)
_THINGS = (
    *("the equation", "this expression", "the remaining terms", "both sides", "the triangle"),
    *("the sequence", "the polynomial", "the matrix", "the probability", "each coefficient"),
    *("the boundary case", "the second condition", "the derivative", "the sum", "the product"),
    *("the smallest value", "the largest root", "the number of ways", "the angle", "the remainder"),
    *(
        "the common difference",
        "the ratio",
        "the constraint",
        "the area",
        "the volume",
        "the limit",
    ),
)
_WHY = (
    *(
        "because the two cases are symmetric",
        "which is what the problem asks for",
        "since it is even",
    ),
    *("by the same argument as before", "and nothing else changes", "so that the signs agree"),
    *("unless I made a mistake above", "which looks right", "but I should double-check that"),
    *("as the discriminant is positive", "if the denominator is not zero", "modulo the last step"),
    *("and the rest follows", "which contradicts the assumption", "for every integer in the range"),
)
_SCIENCE = (
    *(
        "the carbonyl carbon",
        "a nucleophile",
        "the leaving group",
        "the benzene ring",
        "the enolate",
    ),
    *(
        "the electric field",
        "the momentum",
        "the wave function",
        "the potential energy",
        "a photon",
    ),
    *("the boundary layer", "the resonance structure", "the chiral centre", "the Hamiltonian"),
    *(
        "the angular velocity",
        "the entropy",
        "the reaction rate",
        "the oxidation state",
        "the flux",
    ),
)
_SYLLABLES = (
    *("al", "be", "cor", "den", "el", "far", "gor", "hin", "is", "jor", "kel", "lam", "mor", "nas"),
    *(
        "or",
        "pel",
        "qui",
        "ros",
        "sen",
        "tor",
        "ul",
        "ven",
        "wis",
        "xan",
        "yor",
        "zel",
        "tri",
        "bra",
    ),
)
_CALLS = ("solve", "count", "merge", "parse", "update", "search", "push", "relax", "visit", "score")
_TYPES = ("left", "right", "total", "best", "queue", "graph", "index", "value", "cache", "node")
_SIGNS = ("\u2264", "\u2265", "\u00d7", "\u2192", "\u2211", "\u221a", "\u2260", "\u00b1")
_RARE = ("\U0001f914", "\u2705", "\u2126", "e\u0301", "\u4f60\u597d", "\U0001d465", "\u212b")


class _Lines:
    """Makes lines of one domain out of a random generator."""

    def __init__(self, random: Any) -> None:
        self._random = random
        self._names = _names()

    def _some(self, items: Any) -> Any:
        # The first are the most frequent, about as words are.
        return items[int(len(items) * self._random.random() ** 1.7)]

    def number(self) -> str:
        kind = self._random.random()
        if kind < 0.85:
            return str(int(10 ** (2.9 * self._random.random())))
        if kind < 0.95:
            return f"{self._random.random() * 10:.{1 + int(kind * 20) % 3}f}"
        return str(int(self._random.random() * 10**6))

    def letter(self) -> str:
        return "xyzabnkmpqrt"[int(self._random.random() * 12)]

    def name(self) -> str:
        return self._some(self._names)

    def formula(self) -> str:
        x, y, n = self.letter(), self.letter(), self.number
        kind = int(8 * self._random.random())
        if kind == 0:
            return f"{n()}{x} + {n()} = {n()}"
        if kind == 1:
            return f"{x} = {n()}"
        if kind == 2:
            return f"{x}^2 - {n()}{x} + {n()} = 0"
        if kind == 3:
            return f"\\frac{{{n()}}}{{{n()}}} {x}"
        if kind == 4:
            return f"({x} + {n()})({y} - {n()})"
        if kind == 5:
            return f"\\sqrt{{{n()} {x}^{{{n()[:1]}}}}} {self._some(_SIGNS)} {n()}"
        if kind == 6:
            return f"{x}_{{{n()[:2]}}} = {n()} \\cdot {n()}"
        return f"\\sum_{{{x}=1}}^{{{n()}}} {x}^{n()[:1]}"

    def math(self) -> str:
        kind = self._random.random()
        thing = self._some(_THINGS)
        if kind < 0.42:
            start = self._some(_ORDER).capitalize()
            verb = self._some(_VERBS)
            return f"{start}, I {verb} {thing} and {self._some(_THINGS)}, {self._some(_WHY)}. "
        if kind < 0.58:
            return f"That gives ${self.formula()}$, and {thing} is {self.number()}. "
        if kind < 0.64:
            return f"\n\n{self.formula()} = {self.number()}\n"
        if kind < 0.76:
            return f"\n\nLet me {self._some(_VERBS)} {thing} of {self.name().capitalize()}: "
        if kind < 0.82:
            return f"\n- {self.formula()}, {thing}"
        if kind < 0.88:
            return f"{self.number()} + {self.number()} = {self.number()}, {self._some(_WHY)}. "
        if kind < 0.997:
            return f"{self._some(_WHY).capitalize()}, {thing} must be {self._some(_THINGS)}. "
        return f"{self._some(_RARE)} {self._some(_WHY)}. "

    def science(self) -> str:
        if self._random.random() < 0.5:
            return self.math()
        one, other = self._some(_SCIENCE), self._some(_SCIENCE)
        return f"Here {one} of {self.name()}-{self.number()} meets {other} {self._some(_WHY)}. "

    def code(self) -> str:
        kind = self._random.random()
        if kind < 0.55:
            return self.math()
        call, one, other = self._some(_CALLS), self._some(_TYPES), self._some(_TYPES)
        name = self.name()
        if kind < 0.7:
            return f"\n    {one}_{name} = {call}({other}, {self.number()})"
        if kind < 0.8:
            return f"\n    if {one}[{self.letter()}] > {self.number()}:\n        {other} += {name}"
        if kind < 0.87:
            return f"\n```python\ndef {call}_{name}({one}, {other}):\n    return {one} % {self.number()}\n"
        if kind < 0.92:
            return f"\n    for {self.letter()} in range({self.number()}):\n        print({name})"
        return f"The {one} of `{call}_{name}` is O({self.letter()} log {self.letter()}). "


def _random(*key: int) -> Any:
    import numpy

    return numpy.random.Generator(numpy.random.PCG64(numpy.random.SeedSequence((SEED, *key))))


@cache
def _names() -> list[str]:
    """Words that no vocabulary knows whole, as the names and identifiers of real text."""
    picked = _random(5).random((20_000, 4))
    return [
        "".join(_SYLLABLES[int(len(_SYLLABLES) * each**1.3)] for each in row[: 2 + i % 3].tolist())
        for i, row in enumerate(picked)
    ]


@cache
def _pools() -> dict[str, Any]:
    """Lines of each domain, as object arrays."""
    import numpy

    pools: dict[str, Any] = {}
    for number, domain in enumerate(("code", "math", "science")):
        lines = _Lines(_random(1, number))
        make: Callable[[], str] = getattr(lines, domain)
        pools[domain] = numpy.array([make() for _ in range(_POOL_LINES)], dtype=object)
    return pools


def _labels(rows: int) -> list[int]:
    """The source of every row, by number, grouped by domain and mixed within one."""
    import numpy

    numbers: list[int] = []
    done = 0.0
    for domain in ("code", "math", "science"):
        group = [i for i, source in enumerate(SOURCES) if source.domain == domain]
        block: list[int] = []
        for i in group:
            before, done = round(done * rows), done + SOURCES[i].share
            block += [i] * (round(done * rows) - before)
        numbers += numpy.array(block)[_random(2, group[0]).permutation(len(block))].tolist()
    return numbers


def _conversation(row: int, source: Source, pool: Any, fresh: _Lines, random: Any) -> Any:
    question_lines = _random(3, row // ANSWERS, len(source.name)).integers(0, len(pool), 3)
    question = "".join(pool[question_lines]).strip() + f" What is it for {row // ANSWERS}?"
    sigma = 0.7
    size = source.mean_bytes * float(random.lognormal(-sigma * sigma / 2, sigma))
    picked = pool[random.integers(0, len(pool), max(2, int(size / _LINE_BYTES)))]
    # Lines of its own all along, so that no long part is made of known lines alone.
    for at in range(0, len(picked), 12):
        picked[at] = fresh.math()
    body = "".join(picked)
    kind = random.random()
    result = f"The answer is \\boxed{{{fresh.number()}}}." if random.random() < 0.4 else "Done."
    if kind < source.closed:
        answer = f"<think>\n{body}\n</think>\n\n{result}"
    else:
        answer = f"<think>\n{body}" if kind < 0.9 else f"{body}\n\n{result}"
    role = "assistant" if source.domain == "science" else "gpt"
    return [{"from": "human", "value": question}, {"from": role, "value": answer}]


def _batches(rows: range, labels: list[int]) -> Iterator[dict[str, list[Any]]]:
    pools = _pools()
    for start in range(rows.start, rows.stop, ROW_GROUP):
        batch: dict[str, list[Any]] = {
            name: [] for name in ("difficulty", "source", "domain", "conversations")
        }
        for row in range(start, min(start + ROW_GROUP, rows.stop)):
            source, random = SOURCES[labels[row]], _random(4, row)
            talk = _conversation(row, source, pools[source.domain], _Lines(random), random)
            level = int(random.integers(6, 11)) if source.domain == "code" else None
            batch["difficulty"].append(level)
            batch["source"].append(source.name)
            batch["domain"].append(source.domain)
            batch["conversations"].append(talk)
        yield batch


def _write(task: tuple[str, int, int, int]) -> int:
    """One file; returns the bytes of its texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, rows, first, last = task
    turn = pa.struct([("from", pa.string()), ("value", pa.string())])
    schema = pa.schema(
        [
            ("difficulty", pa.int64()),
            ("source", pa.string()),
            ("domain", pa.string()),
            ("conversations", pa.list_(turn)),
        ]
    )
    size = 0
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for batch in _batches(range(first, last), _labels(rows)):
            size += sum(len(turn["value"]) for talk in batch["conversations"] for turn in talk)
            writer.write_table(pa.table(batch, schema=schema), row_group_size=ROW_GROUP)
    return size


def corpus_folder(rows: int, out: Path | None = None) -> Path:
    """The folder with `rows` rows; made if it is not there, and then whole."""
    folder = out or cache_dir() / "benchmarks" / f"corpus-{FORMAT}-{rows}"
    if folder.is_dir():
        return folder
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    aside.mkdir(parents=True)
    started = time.perf_counter()
    cuts = [rows * i // FILES for i in range(FILES + 1)]
    tasks = [
        (str(aside / f"train-{i:05}-of-{FILES:05}.parquet"), rows, cuts[i], cuts[i + 1])
        for i in range(FILES)
    ]
    try:
        with multiprocessing.get_context("spawn").Pool(min(os.cpu_count() or 1, 8)) as pool:
            size = sum(pool.imap_unordered(_write, tasks))
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    took = time.perf_counter() - started
    print(f"{folder}: {rows:,} rows, {size / 1e9:.2f} GB of text, made in {took:.0f} s")
    return folder


def part_of_corpus(folder: Path, files: int) -> Path:
    """A folder of links to `files` of the corpus's files, spread evenly over it."""
    if files == FILES:
        return folder
    part = folder.with_name(f"{folder.name}-part-{files}")
    part.mkdir(exist_ok=True)
    paths = sorted(folder.glob("*.parquet"))
    for i in range(files):
        path = paths[(2 * i + 1) * FILES // (2 * files)]
        link = part / path.name
        if not link.exists():
            link.symlink_to(path)
    return part


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    print(corpus_folder(chosen.rows, chosen.out))


if __name__ == "__main__":
    main()
