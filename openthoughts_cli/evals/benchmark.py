"""What a benchmark is, and the benchmarks there are.

A benchmark is one class in one file: it reads its problems, words the prompt and grades a text.
Sampling, storage, resuming and statistics are the same for all and live in `evals.run`. A class of
your own runs with `ot eval -b path/to/file.py:ClassName`; those shipped are named in `_SHIPPED`.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from openthoughts_cli.config.benchmark import NLL, BenchmarkConfig
from openthoughts_cli.errors import ConfigError, NotFoundError, UsageError
from openthoughts_cli.evals.prompts import fill_template, read_template
from openthoughts_cli.problems.problem import Problem, ProblemSet
from openthoughts_cli.words import did_you_mean

__all__ = [
    "Benchmark",
    "Grade",
    "Verdict",
    "benchmark",
    "benchmark_names",
    "prepare_grader",
    "summaries",
]

_SHIPPED = {
    "aime25": "openthoughts_cli.evals.aime25:Aime25",
    "arithmetic": "openthoughts_cli.evals.arithmetic:Arithmetic",
    "gpqa": "openthoughts_cli.evals.gpqa:Gpqa",
    "livecodebench": "openthoughts_cli.evals.livecodebench:LiveCodeBench",
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NLL_SUMMARY = "held-out rows: nats per token and per byte, thinking and answer apart"


class Verdict:
    """The verdicts that every benchmark may use; a benchmark may add its own (e.g. "timeout")."""

    CORRECT: ClassVar[str] = "correct"
    WRONG: ClassVar[str] = "wrong"
    NO_ANSWER: ClassVar[str] = "no-answer"
    NOT_GRADED: ClassVar[str] = "not-graded"


@dataclass(frozen=True, slots=True)
class Grade:
    """What a grader says of one text.

    `parsed` is the normalised answer, None where the text states none (then it is not correct).
    `correct` is None only where grading itself failed (no sandbox, a broken machine): that is
    counted apart and is not a wrong answer. `diagnosis` says why, in a few words.
    """

    parsed: str | None
    correct: bool | None
    verdict: str
    diagnosis: str = ""


class Benchmark(ABC):
    """One benchmark. Subclass it, set `name` and `summary`, and write the three methods."""

    name: ClassVar[str]
    """Lower case; names the result's directory."""

    summary: ClassVar[str] = ""
    """One line for `ot eval --list`."""

    place: ClassVar[str] = ""
    """`file.py:ClassName`, as `benchmark` read it; empty for those shipped."""

    votes: ClassVar[bool] = True
    """Whether equal `parsed` answers can be counted as votes (maj@k)."""

    grading_threads: ClassVar[int] = 0
    """0: grading takes microseconds and is done in place. Else: how many `grade` calls may run at
    once, each in a thread of its own."""

    runs_code: ClassVar[bool] = False
    """Grading runs programs that the model wrote."""

    usual_limit: ClassVar[int | None] = None
    """How many problems are asked where the settings name no limit; None: all."""

    text_is_private: ClassVar[bool] = False
    """The data's terms forbid showing its text in public: reports and W&B leave it out."""

    def __init__(self, template: str | None = None) -> None:
        """`template` replaces the benchmark's own prompt; it must contain `{problem}`."""
        self.template = self.own_template() if template is None else template
        self._loaded: tuple[BenchmarkConfig, ProblemSet] | None = None

    def configured(self, settings: BenchmarkConfig) -> Benchmark:
        """The same benchmark with the prompt that `settings` name; itself where they name none."""
        if settings.prompt is None:
            return self
        return type(self)(read_template(Path(settings.prompt).expanduser()))

    def own_template(self) -> str:
        """The shipped prompt, `evals/prompts/<name>.txt`; for a benchmark of your own `<name>.txt`
        beside its file, or the problem's text alone where there is none."""
        if not self.place:
            return read_template(self.name)
        beside = Path(self.place.rpartition(":")[0]).with_name(f"{self.name}.txt")
        return read_template(beside) if beside.is_file() else "{problem}"

    @abstractmethod
    def read(self, row: Mapping[str, Any], where: str) -> Problem:
        """A problem from a row in the benchmark's own schema.

        Raises:
            SchemaError: naming `where` (file:line) and the key.
        """

    @abstractmethod
    def load(self, settings: BenchmarkConfig) -> ProblemSet:
        """The chosen problems, at least one.

        Raises:
            OtError: the data cannot be read, is gated, is malformed or is empty.
        """

    @abstractmethod
    def grade(self, problem: Problem, text: str) -> Grade:
        """The verdict on a whole completion, thinking included. Called from several threads."""

    def prompt(self, problem: Problem) -> str:
        """The user's message for a problem: the template with its `{fields}` filled in."""
        return fill_template(self.template, self.fields(problem))

    def fields(self, problem: Problem) -> Mapping[str, str]:
        """What the template may name in braces."""
        return {"problem": problem.question}

    def limited(self, settings: BenchmarkConfig) -> BenchmarkConfig:
        """`settings` with the usual limit, where they name none."""
        if settings.limit is not None or self.usual_limit is None:
            return settings
        return settings.model_copy(update={"limit": self.usual_limit})

    def load_once(self, settings: BenchmarkConfig) -> ProblemSet:
        """`load`, remembered while the settings stay the same: checking, planning and asking share it."""
        if self._loaded is None or self._loaded[0] != settings:
            self._loaded = (settings, self.load(settings))
        return self._loaded[1]

    def check(self, settings: BenchmarkConfig) -> None:
        """Raise what would stop the benchmark here (data, sandbox), before anything is spent."""
        self.load_once(settings)

    def check_grading(self, settings: BenchmarkConfig) -> None:
        """Raise what would stop grading here (no sandbox); the problems need not be there."""
        del settings

    def describe(self, settings: BenchmarkConfig) -> dict[str, Any]:
        """What else belongs in config.json (a sandbox and its limits); it is part of identity."""
        del settings
        return {}


def benchmark_names() -> tuple[str, ...]:
    """The sampled benchmarks that are shipped, sorted (`nll` draws no samples and is apart)."""
    return tuple(sorted(_SHIPPED))


def summaries() -> dict[str, str]:
    """One line for each benchmark, `nll` included, by name."""
    lines = {name: _class_of(place).summary for name, place in _SHIPPED.items()}
    return dict(sorted((lines | {NLL: _NLL_SUMMARY}).items()))


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name, or of `path/to/file.py:ClassName`.

    Raises:
        NotFoundError: no such benchmark; says what was perhaps meant.
        ConfigError: the file cannot be used.
    """
    if ".py:" in name:
        return _from_file(name)()
    if name == NLL:
        raise UsageError(
            "nll is computed from held-out rows and has no prompts or answers",
            hint="`ot eval -b nll` computes it",
        )
    if name not in _SHIPPED:
        raise NotFoundError(
            f"unknown benchmark {name!r}{did_you_mean(name, [*_SHIPPED, NLL])}",
            hint=f"choose from {', '.join(sorted([*_SHIPPED, NLL]))}, or give file.py:ClassName",
        )
    return _class_of(_SHIPPED[name])()


def prepare_grader(name: str, *, unsafe_no_sandbox: bool = False) -> Benchmark:
    """The benchmark of that name, ready to grade: what grading needs is there (a sandbox).

    Raises:
        UsageError: `unsafe_no_sandbox` for a benchmark that runs no code.
        OtError: grading cannot work here.
    """
    kind = benchmark(name)
    settings = BenchmarkConfig(unsafe_no_sandbox=unsafe_no_sandbox)
    if unsafe_no_sandbox and not kind.runs_code:
        raise UsageError(
            f"{kind.name} runs no code, so --unsafe-no-sandbox means nothing to it",
            hint="leave it out",
        )
    kind.check_grading(settings)
    return kind


def _class_of(place: str) -> type[Benchmark]:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _from_file(name: str) -> type[Benchmark]:
    file, _, attribute = name.rpartition(":")
    path = Path(file).expanduser()
    if not path.is_file():
        raise NotFoundError(
            f"{name}: there is no file {path}",
            hint="give file.py:ClassName with the path of a file that exists",
        )
    found = getattr(_imported(path), attribute, None)
    if not (isinstance(found, type) and issubclass(found, Benchmark)):
        raise ConfigError(
            f"{path} has no class {attribute} that is a Benchmark",
            hint="subclass openthoughts_cli.evals.benchmark.Benchmark",
        )
    own = getattr(found, "name", None)
    if not (isinstance(own, str) and _NAME.fullmatch(own)) or own in {*_SHIPPED, NLL}:
        raise ConfigError(
            f"{name}: its name {own!r} cannot name a directory of results",
            hint="set name to lower-case letters, digits, - and _, other than a shipped benchmark's",
        )
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise ConfigError(
            f"{name} lacks the methods {', '.join(missing)}",
            hint="write them in that class, as openthoughts_cli.evals.benchmark.Benchmark "
            "describes",
        )
    found.place = f"{path.resolve()}:{attribute}"
    return found


def _imported(path: Path) -> ModuleType:
    """The module in a file of the user's own, read anew each time."""
    module_name = f"ot_benchmark_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be imported", hint="give a file whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses of the file look themselves up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code may raise anything
        raise ConfigError(
            f"{path} cannot be imported: {type(error).__name__}: {error}",
            hint="correct that file; it is run as Python",
        ) from error
    return module
