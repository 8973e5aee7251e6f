"""A small world for the app: a data set with its index, subsets, and room for runs and sweeps."""

from __future__ import annotations

import os
import random
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.doubles.rows import CODE, MATH, PHYSICS, record, write
from tests.doubles.tokenizer import byte_model

EVIL = '<img src="http://evil.invalid/x.png" onerror="alert(1)">'
"""What a row must never do."""


@dataclass(frozen=True)
class Places:
    """Where everything is."""

    root: Path
    dataset: Path
    model: Path

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which `ot` finds them."""
        return {
            "OT_RUNS": str(self.root / "runs"),
            "OT_SUBSETS": str(self.root / "subsets"),
            "OT_SWEEPS": str(self.root / "sweeps"),
            "OT_INDEX": str(self.root / "index"),
            "OT_CACHE": str(self.root / "cache"),
        }

    @contextmanager
    def in_force(self) -> Generator[None]:
        """These variables in this process."""
        before = {name: os.environ.get(name) for name in self.environ}
        os.environ.update(self.environ)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def make_places(root: Path, *, index: bool = True, questions: int = 40) -> Places:
    """Write the data set below `root`, its index, and a subset of it."""
    places = Places(root, root / "data", root / "model")
    rows = explorer_rows(questions)
    for i in range(3):
        write(places.dataset / f"train-{i:05}.parquet", rows[i::3], row_group_size=40)
    byte_model(places.model)
    if index:
        with places.in_force():
            _build(places)
    return places


def _base(places: Places) -> dict[str, Any]:
    return {"dataset": str(places.dataset), "tokenizer": str(places.model), "max_tokens": 1 << 20}


def build_index_of(places: Places) -> None:
    """Build the index of the data set; the places must be in force."""
    from openthoughts_cli.config.subset import SubsetConfig
    from openthoughts_cli.data.index import Index
    from openthoughts_cli.data.index_build import build_index
    from openthoughts_cli.data.plan import plan_subset

    plan = plan_subset(SubsetConfig.model_validate(_base(places)))
    build_index(Index(plan.corpus, plan.counter.digest), plan.counter, workers=1)


def _build(places: Places) -> None:
    from openthoughts_cli.config.subset import SubsetConfig
    from openthoughts_cli.data.subset import build_subset

    build_index_of(places)
    for name, limit, seed in (("small", 20, 1), ("other", 30, 2)):
        options = {"name": name, "limit": limit, "seed": seed}
        build_subset(SubsetConfig.model_validate({**_base(places), **options}))


def explorer_rows(questions: int = 40) -> list[Any]:
    """Questions with four answers each, of three sources, with the kinds of text that rows have."""
    draw = random.Random(8)
    rows: list[Any] = []
    for i in range(questions):
        kind = i % 4
        source, domain, level = (
            (MATH, "math", None),
            (MATH, "math", None),
            (CODE, "code", 6 + i % 5),
            (PHYSICS, "science", None),
        )[kind]
        question = _question(kind, i)
        rows += [
            record(
                question,
                _answer(kind, i, answer, draw),
                source=source,
                domain=domain,
                difficulty=level,
            )
            for answer in range(4)
        ]
    rows.append(
        record(
            f"Is {EVIL} an image?",
            f"<think>{EVIL}</think>\n\nNo: {EVIL}. <script>alert(2)</script>",
        )
    )
    rows.append(
        record("Broken: $\\frac{1}{$ and \\[ \\undefined{x \\]", "<think>hm</think>$$\\frac{1}$$")
    )
    rows.append(record("A malformed one") | {"conversations": None})
    return rows


def _question(kind: int, i: int) -> str:
    if kind == 2:
        return f"Write a function `double_{i}` that reads a list and returns each number times {i}."
    if kind == 3:
        return f"A body of mass {i} kg falls from {10 + i} m. With \\(g = 9.81\\), how fast is it?"
    return f"Let $x^2 - {i}x + {i - 1} = 0$. Find the sum of its roots, for case {i}."


def _answer(kind: int, i: int, answer: int, draw: random.Random) -> str:
    steps = "\n\n".join(
        f"Step {n}: I consider \\({draw.choice('abxy')}_{n} = \\frac{{{n}}}{{{i + 1}}}\\) and go on."
        for n in range(1, draw.randrange(3, 40))
    )
    if kind == 2:
        said = f"```python\ndef double_{i}(numbers):\n    return [n * {i} for n in numbers]\n```"
    else:
        result = i if answer < 3 else i + 1
        said = (
            f"## Answer\n\nThe **sum** is the coefficient:\n\n\\[ x_1 + x_2 = {result} \\]\n\n"
            f"| root | value |\n|---|---|\n| $x_1$ | 1 |\n| $x_2$ | {result - 1} |\n\n"
            f"The answer is $\\boxed{{{result}}}$."
        )
    closed = draw.random() < 0.7
    return f"<think>\n{steps}\n</think>\n\n{said}" if closed else f"<think>\n{steps}"
