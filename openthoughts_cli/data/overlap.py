"""Contamination: rows whose question is also a benchmark's.

Two questions are compared when they share a run of words (8 by default, as in open-r1 and s1; 13 as
in marin), and are one question when a fuzzy match of the whole texts confirms it and the numbers of
the benchmark's question all stand in the row's. A shared run alone convicts half of all competition
problems ("find the number of ordered pairs of positive integers such that"); a problem told again
with other numbers has another answer. A benchmark question shorter than the run must be equal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.data.rows import normal_question
from openthoughts_cli.digests import digest_value
from openthoughts_cli.errors import AuthError, NetworkError, NotFoundError, SchemaError
from openthoughts_cli.events import Listener, StageDone, StageStarted, silent
from openthoughts_cli.problems.files import read_file

__all__ = ["KNOWN", "Benchmarks", "Match", "Question", "load_benchmarks"]

KNOWN = ("aime25", "arithmetic", "gpqa", "livecodebench")
LEAST_SIMILARITY = 80.0
"""Of 100: rapidfuzz's ratio of edits, of the benchmark's question and the best fitting part."""
_QUESTION_KEYS = ("question", "problem", "Question", "question_content", "prompt")
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")
_REMEMBERED = 1 << 16


class Question(NamedTuple):
    """A question of a benchmark."""

    benchmark: str
    problem: str
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """A benchmark's question that a row's question is, and how that was seen."""

    benchmark: str
    problem: str
    shared: str
    """The first run of words that both have."""
    similarity: float
    """0 to 100."""


class _Prepared(NamedTuple):
    question: Question
    words: str
    numbers: Counter[str]


class Benchmarks:
    """Questions that no row may have."""

    def __init__(self, questions: Sequence[Question], *, ngram: int = 8) -> None:
        self.questions = tuple(questions)
        self.ngram = ngram
        self._prepared: list[_Prepared] = []
        self._runs: dict[str, list[int]] = {}
        self._short: dict[str, int] = {}
        self._known: dict[str, Match | None] = {}
        for number, question in enumerate(self.questions):
            text = normal_question(question.text)
            words = _WORD.findall(text)
            numbers = Counter(_NUMBER.findall(text))
            self._prepared.append(_Prepared(question, " ".join(words), numbers))
            if len(words) < ngram:
                self._short.setdefault(text, number)
            for run in set(_runs(words, ngram)):
                self._runs.setdefault(run, []).append(number)

    @property
    def digest(self) -> str:
        """Of the questions and the length of the run."""
        texts = sorted(normal_question(question.text) for question in self.questions)
        return digest_value({"questions": texts, "ngram": self.ngram, "format": 1})

    def find(self, question_id: str, question: str) -> Match | None:
        """The benchmark question that this one is; None when it is none of them.

        Args:
            question_id: the hash of the normalised question; the answer is remembered by it.
            question: its text.
        """
        if question_id not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[question_id] = self._search(normal_question(question))
        return self._known[question_id]

    def _search(self, text: str) -> Match | None:
        if (number := self._short.get(text)) is not None:
            asked = self._prepared[number].question
            return Match(asked.benchmark, asked.problem, text, 100.0)
        words = _WORD.findall(text)
        shared: dict[int, str] = {}
        for run in _runs(words, self.ngram):
            for number in self._runs.get(run, ()):
                shared.setdefault(number, run)
        if not shared:
            return None
        joined, numbers = " ".join(words), Counter(_NUMBER.findall(text))
        matches = (self._confirm(number, run, joined, numbers) for number, run in shared.items())
        found = [match for match in matches if match is not None]
        return max(found, key=lambda match: (match.similarity, match.problem), default=None)

    def _confirm(self, number: int, run: str, words: str, numbers: Counter[str]) -> Match | None:
        from rapidfuzz import fuzz

        asked = self._prepared[number]
        if not asked.numbers <= numbers:
            return None
        # A row may say more than the benchmark does, an instruction before or behind; one that
        # says less is another question, however well it fits into the longer one.
        compare = fuzz.partial_ratio if len(words) > len(asked.words) else fuzz.ratio
        similarity = compare(asked.words, words, score_cutoff=LEAST_SIMILARITY)
        if similarity < LEAST_SIMILARITY:
            return None
        question = asked.question
        return Match(question.benchmark, question.problem, run, round(similarity, 1))


def _runs(words: Sequence[str], length: int) -> Iterator[str]:
    for start in range(len(words) - length + 1):
        yield " ".join(words[start : start + length])


def load_benchmarks(
    names: Sequence[str], *, ngram: int = 8, listener: Listener = silent
) -> Benchmarks:
    """The questions of benchmarks by name, and of files.

    Args:
        names: of `KNOWN`, or files (.jsonl, .json, .csv, .parquet) whose rows have a key `question`
            or `problem`.
        ngram: words in a row that questions must share to be compared.
        listener: hears what was read.

    Raises:
        NotFoundError: neither a benchmark nor a file.
        NetworkError, AuthError: a benchmark is on the hub and cannot be fetched.
        SchemaError: a file's row has no question.
    """
    stage = "reading benchmarks"
    listener(StageStarted(stage, None, "questions"))
    questions = [question for name in names for question in _questions(name)]
    listener(StageDone(stage, f"{len(questions):,} questions of {', '.join(names)}"))
    return Benchmarks(questions, ngram=ngram)


def _questions(name: str) -> Iterable[Question]:
    if name not in KNOWN:
        return _of_file(Path(name).expanduser())
    if name == "arithmetic":
        from openthoughts_cli.problems.arithmetic import arithmetic_rows

        return [Question(name, row["id"], row["problem"]) for row in arithmetic_rows()]
    from openthoughts_cli.problems.aime25 import load_aime25
    from openthoughts_cli.problems.gpqa import load_gpqa
    from openthoughts_cli.problems.livecodebench import load_livecodebench

    load = {"aime25": load_aime25, "gpqa": load_gpqa, "livecodebench": load_livecodebench}[name]
    try:
        found = load(BenchmarkConfig())
    except (NetworkError, AuthError) as error:
        raise type(error)(
            f"{error.message}; nothing was read or written",
            hint="check the connection (and HF_TOKEN for gated data), or give a file of its "
            f"questions in the place of the name: --decontaminate {name}.jsonl",
        ) from error
    return [Question(name, problem.id, problem.question) for problem in found.problems]


def _of_file(path: Path) -> list[Question]:
    if not path.is_file():
        raise NotFoundError(
            f"{path} is neither a benchmark ({', '.join(KNOWN)}) nor a file",
            hint="give one of these names, or a .jsonl file whose rows have `question`",
        )
    questions: list[Question] = []
    for number, (where, row) in enumerate(read_file(path), start=1):
        text = next((row[key] for key in _QUESTION_KEYS if isinstance(row.get(key), str)), None)
        if not text or not text.strip():
            raise SchemaError(
                f"{where}: there is no question here",
                hint=f"each row needs one of the keys {', '.join(_QUESTION_KEYS)}",
            )
        questions.append(Question(path.name, str(row.get("id", number)), text))
    if not questions:
        raise SchemaError(f"{path} holds no question", hint="give a file of problems, a row each")
    return questions
